"""The sensor waits for rows and for the day to settle, in each of its modes, until its time is up."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
import threading
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
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.triggers.look_threads import LookThreads
from airflow_provider_we360.triggers.report import We360ReportTrigger
from airflow_provider_we360.triggers.report_readiness import AwaitedDay
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
        self.woke: list[float] = []
        """When each sleep ended, seconds after the day settled."""

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.woke.append(self.now - SETTLED)


def event_of(
    time: Time, *, deadline: float, day: AwaitedDay | None = None, **arguments: Any
) -> Any:
    """Return the event of a trigger under that clock."""

    def hook(conn_id: str) -> We360Hook:
        return We360Hook(conn_id, clock=time.clock, sleep=time.sleep)

    facts = (day or awaited(settled_at=SETTLED)).facts()
    trigger = We360ReportTrigger(
        facts, 600.0, deadline, hook=hook, clock=time.clock, sleep=time.asleep, **arguments
    )

    async def first() -> Any:
        return await anext(trigger.run())

    return asyncio.run(first()).payload


# Which day, and when it has settled


def test_day_is_the_one_a_transfer_would_load(sandbox):
    assert sensor().poke(context())
    (request,) = sandbox.request_log.requests
    assert (request.start_date[:10], request.end_date[:10]) == (DAY, DAY)


def test_last_day_of_a_window_is_awaited(sandbox):
    assert sensor(window_start="2026-05-25", window_end="2026-05-29").poke(context())
    assert [request.start_date[:10] for request in sandbox.request_log.requests] == ["2026-05-29"]


def test_one_row_of_the_key_columns_is_requested(sandbox):
    sensor().poke(context())
    (request,) = sandbox.request_log.requests
    assert (request.columns, request.page, request.limit, request.rows) == (2, 1, 1, 1)


@pytest.mark.parametrize(
    ("now", "there"),
    [(SETTLED - 1, False), (SETTLED, True), (SETTLED + 0.5 * HOUR, True)],
    ids=["before", "at", "noon"],
)
def test_day_settles_at_half_past_eleven_in_india(sandbox, now, there):
    task = sensor()
    day = task._resolve_day(context(), "we360_default", "Asia/Kolkata")
    assert day.settled_at == SETTLED
    assert day.is_ready(We360Hook(), now=now) is there
    assert sandbox.request_log.logins == int(there), "nobody is asked before the day has settled"


@pytest.mark.parametrize(
    ("zone", "ends"), [("Asia/Beirut", "2026-03-28T22:00"), ("America/Havana", "2026-11-01T04:00")]
)
def test_day_ends_when_the_next_date_begins(zone, ends):
    day = {"Asia/Beirut": "2026-03-28", "America/Havana": "2026-10-31"}[zone]
    task = sensor(window_start=day, window_end=day, timezone=zone, settle_hours="0")
    assert (
        task._resolve_day(context(), "we360_default", zone).settled_at
        == dt.datetime.fromisoformat(f"{ends}+00:00").timestamp()
    )


def test_run_without_a_day_is_skipped():
    hour = dt.datetime(2026, 6, 3, 6, tzinfo=dt.UTC)
    with pytest.raises(AirflowSkipException, match="No day"):
        sensor().poke(
            context(data_interval_start=hour, data_interval_end=hour + dt.timedelta(hours=1))
        )


@pytest.mark.parametrize("hours", ["soon", -1, "nan", "inf"])
def test_invalid_settle_hours_are_named(hours):
    with pytest.raises(AirflowFailException, match="settle_hours"):
        sensor(settle_hours=hours).poke(context())


# Looking


def test_day_without_rows_is_not_ready(sandbox):
    sandbox.identity.change_account(sees=())
    assert sensor().poke(context()) is False


def test_only_rows_of_the_given_people_count(sandbox):
    person = sandbox.company.rows(dt.date(2026, 6, 2), dt.date(2026, 6, 2))[0]["identity_id"]
    assert sensor(user_ids=[person]).poke(context())
    nobody = "00000000-0000-4000-8000-000000000000"
    sandbox.company.people = tuple(
        one for one in sandbox.company.people if one.identity_id != person
    )
    with pytest.raises(AirflowFailException, match="user_id"):
        sensor(user_ids=[nobody]).poke(context())


@pytest.mark.parametrize("fault", ["http_503", "html_200", "reset"])
def test_passing_fault_means_not_ready(sandbox, caplog, fault):
    sandbox.faults.add("report", fault, times=None)
    time = Time(SETTLED)
    hook = We360Hook(clock=time.clock, sleep=time.sleep)
    assert awaited().is_ready(hook, now=SETTLED) is False
    assert "looking again later" in caplog.text
    hook.close()


def test_refused_login_ends_a_poke(sandbox, wrong_password):
    sandbox.faults.add("login", "account_disabled", times=None)
    with pytest.raises(AirflowFailException) as caught:
        sensor(mode="reschedule").poke(context())
    assert isinstance(caught.value, CredentialsRefused)
    assert sandbox.request_log.counts["logins_sent"] == 1


# The trigger


def test_trigger_sleeps_until_settled_then_looks_regularly(sandbox):
    sandbox.identity.change_account(sees=())
    time = Time(SETTLED - 5 * HOUR)

    async def then(seconds: float) -> None:
        await Time.asleep(time, seconds)
        if len(time.slept) == 3:
            sandbox.identity.change_account(sees=None)

    time.asleep = then  # type: ignore[method-assign]
    assert event_of(time, deadline=SETTLED + 10 * HOUR) == {"outcome": "found"}
    assert time.woke == [0, 600, 1200]
    assert len(sandbox.request_log.requests) == 3


def test_trigger_times_out_at_its_deadline(sandbox):
    sandbox.identity.change_account(sees=())
    time = Time(SETTLED)
    assert event_of(time, deadline=SETTLED + 1500) == {"outcome": "timed out"}
    assert time.woke == [600, 1200, 1500]
    assert time.now == SETTLED + 1500


def test_deadline_before_settlement_sends_no_request(sandbox):
    time = Time(SETTLED - 5 * HOUR)
    assert event_of(time, deadline=SETTLED - HOUR) == {"outcome": "timed out"}
    assert time.slept == [4 * HOUR]
    assert sandbox.request_log.counts == {}


def test_trigger_waits_out_passing_faults(sandbox):
    sandbox.faults.add("report", "http_503", times=7)
    time = Time(SETTLED)
    assert event_of(time, deadline=SETTLED + 10 * HOUR) == {"outcome": "found"}
    assert time.woke == [600, 1200]
    assert sandbox.faults.pending == []


def test_refusal_ends_the_trigger_without_secrets(sandbox, caplog, wrong_password):
    caplog.set_level(logging.DEBUG)
    sandbox.faults.add("login", "account_disabled", times=None)
    time = Time(SETTLED)
    event = event_of(time, deadline=SETTLED + 10 * HOUR)
    assert (event["outcome"], event["error"]) == ("refused", "AccountRefused")
    assert time.woke == [600]
    assert "not-it-at-all" not in json.dumps(event) + caplog.text
    assert LOGIN not in json.dumps(event) + caplog.text
    with pytest.raises(AirflowFailException) as caught:
        sensor().execute_complete(context(), event)
    assert str(caught.value) == event["message"]


def test_trigger_round_trips_through_the_database():
    from airflow.models.trigger import Trigger

    day = awaited(settled_at=SETTLED, user_ids=("one", "two"), report_params={"x": 1})
    made = We360ReportTrigger(
        day.facts(), 600.0, SETTLED + 1, started_at=1.0, exponential_backoff=True, max_wait=60.0
    )
    row = Trigger.from_object(made)
    assert row.classpath == "airflow_provider_we360.triggers.report.We360ReportTrigger"
    again = We360ReportTrigger(**row.kwargs)
    assert again.serialize() == made.serialize()
    assert AwaitedDay.from_facts(again.awaited) == day
    assert not [secret for secret in (PASSWORD, LOGIN, "token") if secret in json.dumps(row.kwargs)]


@pytest.mark.parametrize(
    ("arguments", "pauses"),
    [
        ({}, [600, 600, 600, 600, 600, 600]),
        ({"exponential_backoff": True}, [600, 1200, 1800]),
        ({"exponential_backoff": True, "max_wait": 900.0}, [600, 900, 900, 900, 300]),
        ({"exponential_backoff": True, "max_wait": 0.0}, [600, 1200, 1800]),
    ],
)
def test_trigger_pauses_grow_with_exponential_backoff(sandbox, arguments, pauses):
    sandbox.identity.change_account(sees=())
    time = Time(SETTLED)
    event = event_of(time, deadline=SETTLED + 3600, started_at=SETTLED, **arguments)
    assert event == {"outcome": "timed out"}
    assert [round(pause, -1) for pause in time.slept] == pauses


@pytest.mark.parametrize(
    ("arguments", "pause"), [({}, 400), ({"exponential_backoff": True}, 400 + 1200)]
)
def test_restarted_trigger_keeps_its_schedule(sandbox, arguments, pause):
    time = Time(SETTLED + 800)
    assert event_of(time, deadline=SETTLED + 9000, started_at=SETTLED, **(arguments)) == {
        "outcome": "found"
    }
    assert time.slept == [pause - (600 if arguments else 0)]


def test_slow_looks_leave_the_default_pool_free(sandbox, monkeypatch):
    """Every sensor waits for a server that does not answer; asyncio resolves names meanwhile."""
    release = threading.Event()
    monkeypatch.setattr(We360Hook, "has_rows", lambda self, *_, **__: release.wait(30))
    threads = LookThreads(limit=3)
    others = sum(thread.name == "we360-look" for thread in threading.enumerate())

    async def main() -> tuple[float, int, list[Any]]:
        loop = asyncio.get_running_loop()
        triggers = [
            We360ReportTrigger(
                awaited().facts(),
                0.01,
                2e9 + 10,
                started_at=1.0,
                threads=threads,
                look_timeout_s=0.05,
            )
            for _ in range(40)
        ]
        waiting = [asyncio.ensure_future(anext(trigger.run())) for trigger in triggers]
        await asyncio.sleep(1.5)
        began = loop.time()
        await loop.run_in_executor(None, lambda: None)
        took = loop.time() - began
        looking = sum(thread.name == "we360-look" for thread in threading.enumerate())
        release.set()
        return took, looking, [event.payload for event in await asyncio.gather(*waiting)]

    took, looking, events = asyncio.run(main())
    assert took < 1
    assert looking - others <= 3
    assert events == [{"outcome": "found"}] * 40


def test_answer_after_the_look_timeout_is_used(sandbox, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(We360Hook, "has_rows", lambda self, *_, **__: release.wait(30))
    time = Time(SETTLED)

    async def then(seconds: float) -> None:
        await Time.asleep(time, seconds)
        if len(time.slept) == 3:
            release.set()

    time.asleep = then  # type: ignore[method-assign]
    event = event_of(time, deadline=SETTLED + 9000, look_timeout_s=0.05, threads=LookThreads(1))
    assert event == {"outcome": "found"}
    assert len(time.slept) == 3


# The modes


def test_ready_report_is_not_deferred(sandbox):
    sensor(deferrable=True).execute(context())
    assert len(sandbox.request_log.requests) == 1


def test_trigger_times_out_before_airflow_does(sandbox):
    sandbox.identity.change_account(sees=())
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True, timeout=dt.timedelta(hours=1), user_ids="").execute(context())
    trigger = deferred.value.trigger
    assert trigger.awaited["day"] == DAY
    assert trigger.deadline - dt.datetime.now(dt.UTC).timestamp() == pytest.approx(HOUR, abs=30)
    assert deferred.value.timeout == dt.timedelta(hours=1, seconds=120)


def test_deferred_sensor_hands_on_its_backoff(sandbox):
    sandbox.identity.change_account(sees=())
    arguments = {"exponential_backoff": True, "max_wait": dt.timedelta(hours=1)}
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True, **arguments).execute(context())
    stored = deferred.value.trigger.serialize()[1]
    assert (stored["exponential_backoff"], stored["max_wait"]) == (True, HOUR)


@pytest.mark.usefixtures("wrong_password")
def test_soft_fail_skips_a_refused_first_look(sandbox):
    sandbox.faults.add("login", "account_disabled", times=None)
    with pytest.raises(AirflowSkipException, match="soft_fail"):
        sensor(deferrable=True, soft_fail=True).execute(context())


def test_timeout_event_fails_and_names_the_remedy():
    with pytest.raises(AirflowSensorTimeout, match=r"holds none yet.*soft_fail"):
        sensor(deferrable=True).execute_complete(context(), {"outcome": "timed out"})


def test_deferrable_defaults_to_airflows_setting(monkeypatch):
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
def test_run_continues_when_rows_arrive(sandbox, way):
    assert run(**WAYS[way], timeout=60.0) == {"wait": "success", "after": "success"}


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
@pytest.mark.parametrize("way", ["poke", "deferred"])
def test_run_without_rows_times_out(sandbox, way, soft_fail, state):
    sandbox.identity.change_account(sees=())
    after = {"failed": "upstream_failed", "skipped": "skipped"}[state]
    assert run(**WAYS[way], soft_fail=soft_fail, retries=3) == {"wait": state, "after": after}


@pytest.mark.usefixtures("airflow_db", "wrong_password")
@pytest.mark.parametrize("way", WAYS)
def test_refused_run_fails_without_a_retry(sandbox, way):
    sandbox.faults.add("login", "account_disabled", times=None)
    assert run(**WAYS[way], timeout=600.0, retries=3)["wait"] == "failed"
    assert sandbox.request_log.counts["logins_sent"] == 1


def test_unknown_report_is_named():
    with pytest.raises(We360ConfigError, match="report: 'dynamic' is unknown"):
        sensor(report="dynamic").poke(context())
