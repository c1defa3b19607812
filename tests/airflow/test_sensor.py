"""The sensor waits for rows and for the day to settle, in each of its modes, and never longer than it may."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_we360.errors import CredentialsRefused, We360ConfigError
from airflow_provider_we360.hooks.awaited_day import AwaitedDay
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.triggers.report import We360ReportTrigger
from simulator.config import LOGIN, PASSWORD
from support.dag_runs import run_here

DAY = "2026-06-02"
SETTLED = dt.datetime(2026, 6, 3, 6, 0, tzinfo=dt.UTC).timestamp()
"""Half past eleven in India, the day after."""
HOUR = 3600.0


def context(**facts: Any) -> Any:
    """What a task knows of a manual run at noon of 3 June in India."""
    noon = dt.datetime(2026, 6, 3, 6, 30, tzinfo=dt.UTC)
    ti = SimpleNamespace(dag_id="dag", task_id="wait", run_id="manual", map_index=-1)
    return {"ti": ti, "dag_run": SimpleNamespace(run_after=noon, start_date=noon), **facts}


def sensor(**arguments: Any) -> We360ReportSensor:
    return We360ReportSensor(
        **({"task_id": "wait", "poke_interval": 0.01, "timeout": 0.2} | arguments)
    )


def awaited(**changes: Any) -> AwaitedDay:
    return AwaitedDay(
        **(
            {
                "we360_conn_id": "we360_default",
                "report": "dynamic_report",
                "day": DAY,
                "settled_at": 0.0,
            }
            | changes
        )
    )


@pytest.fixture(autouse=True)
def memory(sandbox, monkeypatch):
    """Nothing is kept between two tests."""
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    connection["extra"]["token_cache"] = "memory"
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))
    return connection


@pytest.fixture
def wrong_password(memory, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_WE360_DEFAULT", json.dumps(memory | {"password": "not-it-at-all"})
    )


class Time:
    """A clock that only sleep moves, for threads and for the event loop alike."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def event_of(time: Time, *, deadline: float, day: AwaitedDay | None = None) -> Any:
    """What a trigger ends with, under that clock."""

    def hook(conn_id: str) -> We360Hook:
        return We360Hook(conn_id, clock=time.clock, sleep=time.sleep)

    facts = (day or awaited(settled_at=SETTLED)).facts()
    trigger = We360ReportTrigger(
        facts, 600.0, deadline, hook=hook, clock=time.clock, sleep=time.asleep
    )

    async def first() -> Any:
        return await anext(trigger.run())

    return asyncio.run(first()).payload


# Which day, and when it has settled


def test_the_day_is_the_one_that_a_transfer_of_the_same_run_loads(sandbox):
    assert sensor().poke(context())
    (request,) = sandbox.request_log.requests
    assert (request.start_date[:10], request.end_date[:10]) == (DAY, DAY)


def test_of_a_longer_window_the_last_day_is_waited_for(sandbox):
    assert sensor(window_start="2026-05-25", window_end="2026-05-29").poke(context())
    assert [request.start_date[:10] for request in sandbox.request_log.requests] == ["2026-05-29"]


def test_one_row_of_the_key_columns_is_asked_for(sandbox):
    sensor().poke(context())
    (request,) = sandbox.request_log.requests
    assert (request.columns, request.page, request.limit, request.rows) == (2, 1, 1, 1)


@pytest.mark.parametrize(
    ("now", "there"),
    [(SETTLED - 1, False), (SETTLED, True), (SETTLED + 0.5 * HOUR, True)],
    ids=["before", "at", "noon"],
)
def test_a_day_settles_half_past_eleven_of_the_next_in_india_so_that_a_dag_at_noon_goes_on(
    sandbox, now, there
):
    task = sensor()
    day = task._awaited(context(), We360Hook())
    assert day.settled_at == SETTLED
    assert day.is_there(We360Hook(), now=now) is there
    assert sandbox.request_log.logins == int(there), "nobody is asked before the day has settled"


@pytest.mark.parametrize(
    ("zone", "ends"), [("Asia/Beirut", "2026-03-28T22:00"), ("America/Havana", "2026-11-01T04:00")]
)
def test_a_day_whose_next_midnight_is_skipped_or_comes_twice_ends_when_the_next_date_begins(
    zone, ends
):
    day = {"Asia/Beirut": "2026-03-28", "America/Havana": "2026-10-31"}[zone]
    task = sensor(window_start=day, window_end=day, timezone=zone, settle_hours="0")
    assert (
        task._awaited(context(), We360Hook()).settled_at
        == dt.datetime.fromisoformat(f"{ends}+00:00").timestamp()
    )


def test_a_run_that_ends_no_day_is_skipped_as_a_transfer_is():
    hour = dt.datetime(2026, 6, 3, 6, tzinfo=dt.UTC)
    with pytest.raises(AirflowSkipException, match="No day"):
        sensor().poke(
            context(data_interval_start=hour, data_interval_end=hour + dt.timedelta(hours=1))
        )


@pytest.mark.parametrize("hours", ["soon", -1, "nan", "inf"])
def test_hours_that_are_none_fail_at_once_by_name(hours):
    with pytest.raises(AirflowFailException, match="settle_hours"):
        sensor(settle_hours=hours).poke(context())


# Looking


def test_a_day_without_rows_is_not_there_yet(sandbox):
    sandbox.identity.change_account(sees=())
    assert sensor().poke(context()) is False


def test_rows_of_those_who_are_named_count_only(sandbox):
    person = sandbox.company.rows(dt.date(2026, 6, 2), dt.date(2026, 6, 2))[0]["identity_id"]
    assert sensor(user_ids=[person]).poke(context())
    nobody = "00000000-0000-4000-8000-000000000000"
    sandbox.company.people = tuple(
        one for one in sandbox.company.people if one.identity_id != person
    )
    with pytest.raises(AirflowFailException, match="user_id"):
        sensor(user_ids=[nobody]).poke(context())


@pytest.mark.parametrize("fault", ["http_503", "html_200", "reset"])
def test_a_fault_that_may_pass_means_not_yet(sandbox, caplog, fault):
    sandbox.faults.add("report", fault, times=None)
    time = Time(SETTLED)
    hook = We360Hook(clock=time.clock, sleep=time.sleep)
    assert awaited().is_there(hook, now=SETTLED) is False
    assert "asking again later" in caplog.text
    hook.close()


def test_a_refused_password_ends_a_poke_at_once(sandbox, wrong_password):
    sandbox.faults.add("login", "account_disabled", times=None)
    with pytest.raises(AirflowFailException) as caught:
        sensor(mode="reschedule").poke(context())
    assert isinstance(caught.value, CredentialsRefused)
    assert sandbox.request_log.counts["logins_sent"] == 1


# The trigger


def test_a_trigger_sleeps_until_the_day_has_settled_and_then_asks_now_and_then(sandbox):
    sandbox.identity.change_account(sees=())
    time = Time(SETTLED - 5 * HOUR)

    async def then(seconds: float) -> None:
        await Time.asleep(time, seconds)
        if len(time.slept) == 3:
            sandbox.identity.change_account(sees=None)

    time.asleep = then  # type: ignore[method-assign]
    assert event_of(time, deadline=SETTLED + 10 * HOUR) == {"outcome": "found"}
    assert time.slept == [5 * HOUR, 600, 600]
    assert len(sandbox.request_log.requests) == 3


def test_a_trigger_gives_up_at_its_deadline_and_not_later(sandbox):
    sandbox.identity.change_account(sees=())
    time = Time(SETTLED)
    assert event_of(time, deadline=SETTLED + 1500) == {"outcome": "timed out"}
    assert time.slept == [600, 600, pytest.approx(300, abs=10)]
    assert time.now == SETTLED + 1500


def test_a_deadline_before_the_day_has_settled_asks_nobody(sandbox):
    time = Time(SETTLED - 5 * HOUR)
    assert event_of(time, deadline=SETTLED - HOUR) == {"outcome": "timed out"}
    assert time.slept == [4 * HOUR]
    assert sandbox.request_log.counts == {}


def test_a_trigger_waits_out_faults_that_pass(sandbox):
    sandbox.faults.add("report", "http_503", times=7)
    time = Time(SETTLED)
    assert event_of(time, deadline=SETTLED + 10 * HOUR) == {"outcome": "found"}
    assert len(time.slept) == 1
    assert sandbox.faults.pending == []


def test_a_refusal_ends_the_trigger_at_once_with_words_and_no_secret(
    sandbox, caplog, wrong_password
):
    caplog.set_level(logging.DEBUG)
    sandbox.faults.add("login", "account_disabled", times=None)
    time = Time(SETTLED)
    event = event_of(time, deadline=SETTLED + 10 * HOUR)
    assert (event["outcome"], event["error"]) == ("refused", "AccountRefused")
    assert time.slept == []
    assert "not-it-at-all" not in json.dumps(event) + caplog.text
    assert LOGIN not in json.dumps(event) + caplog.text
    with pytest.raises(AirflowFailException) as caught:
        sensor().execute_complete(context(), event)
    assert str(caught.value) == event["message"]


def test_a_trigger_survives_airflows_database_and_holds_no_secret():
    from airflow.models.trigger import Trigger

    day = awaited(settled_at=SETTLED, user_ids=("one", "two"), report_params={"x": 1})
    made = We360ReportTrigger(day.facts(), 600.0, SETTLED + 1)
    row = Trigger.from_object(made)
    assert row.classpath == "airflow_provider_we360.triggers.report.We360ReportTrigger"
    again = We360ReportTrigger(**row.kwargs)
    assert again.serialize() == made.serialize()
    assert AwaitedDay.from_facts(again.awaited) == day
    assert not [secret for secret in (PASSWORD, LOGIN, "token") if secret in json.dumps(row.kwargs)]


# The modes


def test_a_sensor_that_finds_all_there_is_never_deferred(sandbox):
    sensor(deferrable=True).execute(context())
    assert len(sandbox.request_log.requests) == 1


def test_a_deferred_sensor_leaves_a_trigger_that_ends_before_airflow_ends_it(sandbox):
    sandbox.identity.change_account(sees=())
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True, timeout=dt.timedelta(hours=1), user_ids="").execute(context())
    trigger = deferred.value.trigger
    assert trigger.awaited["day"] == DAY
    assert trigger.deadline - dt.datetime.now(dt.UTC).timestamp() == pytest.approx(HOUR, abs=30)
    assert deferred.value.timeout == dt.timedelta(hours=1, seconds=60)


def test_time_that_is_up_fails_without_another_try_and_says_what_to_look_at():
    with pytest.raises(AirflowSensorTimeout, match=r"held no rows yet.*soft_fail"):
        sensor(deferrable=True).execute_complete(context(), {"outcome": "timed out"})


def test_the_default_of_deferrable_is_airflows_own(monkeypatch):
    import importlib

    from airflow_provider_we360.sensors import report

    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    try:
        assert importlib.reload(report).We360ReportSensor(task_id="wait").deferrable is True
    finally:
        monkeypatch.undo()
        assert importlib.reload(report).We360ReportSensor(task_id="wait").deferrable is False


# Real Dag runs, in process


WAYS = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}


def run(**arguments: Any) -> dict[str, str]:
    """States of a real run's tasks: the sensor, and one below it."""
    from airflow.providers.common.compat.sdk import task

    with DAG(
        f"waits_{abs(hash(str(arguments)))}",
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1),
    ) as dag:

        @task
        def after() -> None: ...

        sensor(window_start=DAY, window_end=DAY, **arguments) >> after()
    ended = run_here(dag)
    return {ti.task_id: str(ti.state) for ti in ended.get_task_instances()}


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_when_the_rows_are_there(sandbox, way):
    assert run(**WAYS[way], timeout=60.0) == {"wait": "success", "after": "success"}


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
@pytest.mark.parametrize("way", ["poke", "deferred"])
def test_a_run_whose_rows_never_come_ends_in_time(sandbox, way, soft_fail, state):
    sandbox.identity.change_account(sees=())
    after = {"failed": "upstream_failed", "skipped": "skipped"}[state]
    assert run(**WAYS[way], soft_fail=soft_fail, retries=3) == {"wait": state, "after": after}


@pytest.mark.usefixtures("airflow_db", "wrong_password")
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_refused_ends_at_once_without_a_second_try(sandbox, way):
    sandbox.faults.add("login", "account_disabled", times=None)
    assert run(**WAYS[way], timeout=600.0, retries=3)["wait"] == "failed"
    assert sandbox.request_log.counts["logins_sent"] == 1


def test_a_wrong_argument_is_named():
    with pytest.raises(We360ConfigError, match="report: 'dynamic' is unknown"):
        sensor(report="dynamic").poke(context())
