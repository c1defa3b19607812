"""The trigger of asset watchers reports each day once it has settled, and goes on whatever happens."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
from typing import Any

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.triggers.day import PAUSE_AFTER_ERROR_S, REPORTED_DAY, We360DayTrigger
from simulator.config import LOGIN
from support.airflow_line import since

SETTLED = dt.datetime(2026, 6, 3, 6, 0, tzinfo=dt.UTC).timestamp()
"""When Tuesday, 2 June, has settled: half past eleven in India, the day after."""
HOUR = 3600.0


class Stopped(BaseException):
    """The end of a test that the trigger itself never reaches."""


class Time:
    """A clock that only sleep moves; it stops the trigger at ``end``."""

    def __init__(self, now: float, end: float) -> None:
        self.now = now
        self.end = end

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        if self.now + seconds > self.end:
            raise Stopped
        self.now += seconds


class Store:
    """The state store of one asset."""

    def __init__(self, **values: str) -> None:
        self.values = values

    async def aget(self, key: str) -> Any:
        return self.values.get(key)

    async def aset(self, key: str, value: str) -> None:
        self.values[key] = value


class ManyAssets:
    """What Airflow passes if several assets share the trigger."""

    async def aget(self, key: str) -> Any:
        raise ValueError(f"which asset's {key}?")

    async def aset(self, key: str, value: str) -> None:
        raise ValueError(f"which asset's {key}?")


@pytest.fixture(autouse=True)
def memory(sandbox, monkeypatch):
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    connection["extra"]["token_cache"] = "memory"
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))
    return connection


def days_of(time: Time, store: Any = None, **arguments: Any) -> list[tuple[str, float]]:
    """Return each day that was reported, and the hours after ``SETTLED`` at which it was."""

    def hook(conn_id: str) -> We360Hook:
        return We360Hook(conn_id, clock=time.clock, sleep=time.sleep)

    trigger = We360DayTrigger(hook=hook, clock=time.clock, sleep=time.asleep, **arguments)
    trigger.asset_state_store = store
    seen = []

    async def read() -> None:
        async for event in trigger.run():
            first, last = event.payload["window"]
            assert first == last
            assert event.payload["report"] == "dynamic_report"
            seen.append((first, round((time.now - SETTLED) / HOUR, 2)))

    with pytest.raises(Stopped):
        asyncio.run(read())
    return seen


def test_each_day_is_reported_the_minute_it_settles(sandbox):
    time = Time(SETTLED - HOUR, SETTLED + 49 * HOUR)
    store = Store(**{REPORTED_DAY: "2026-06-01"})
    assert days_of(time, store) == [("2026-06-02", 0), ("2026-06-03", 24), ("2026-06-04", 48)]
    assert store.values == {REPORTED_DAY: "2026-06-04"}
    assert [request.start_date[:10] for request in sandbox.request_log.requests] == [
        "2026-06-02",
        "2026-06-03",
        "2026-06-04",
    ]


def test_the_latest_settled_day_is_the_first(sandbox):
    assert days_of(Time(SETTLED + HOUR, SETTLED + 2 * HOUR)) == [("2026-06-02", 1.17)]
    sandbox.request_log.requests.clear()
    assert days_of(Time(SETTLED - HOUR, SETTLED - HOUR + 700)) == [("2026-06-01", -0.83)]


def test_days_that_settled_without_a_triggerer_are_reported():
    time = Time(SETTLED + HOUR, SETTLED + 2 * HOUR)
    store = Store(**{REPORTED_DAY: "2026-05-30"})
    assert [day for day, _ in days_of(time, store)] == ["2026-05-31", "2026-06-01", "2026-06-02"]


def test_a_day_off_is_not_reported_and_stops_nothing(sandbox):
    sandbox.identity.change_account(sees=())
    time = Time(SETTLED, SETTLED + 26 * HOUR)

    async def then(seconds: float) -> None:
        await Time.asleep(time, seconds)
        if time.now > SETTLED + 24 * HOUR:
            sandbox.identity.change_account(sees=None)

    time.asleep = then  # type: ignore[method-assign]
    assert days_of(time, poke_interval=HOUR) == [("2026-06-03", 25)]


@pytest.mark.parametrize("store", [None, ManyAssets()], ids=["before 3.3", "several assets"])
def test_without_a_store_a_day_is_reported_again_at_most(store):
    assert [
        [day for day, _ in days_of(Time(SETTLED + HOUR, SETTLED + 25 * HOUR), store)]
        for _ in range(2)
    ] == [["2026-06-02", "2026-06-03"]] * 2


def test_a_refused_login_is_logged_and_waited_out(sandbox, caplog):
    caplog.set_level(logging.INFO)
    sandbox.faults.add("login", "account_disabled", times=1)
    time = Time(SETTLED, SETTLED + 3 * HOUR)
    days = days_of(time)
    assert [day for day, _ in days] == ["2026-06-02"]
    assert days[0][1] >= PAUSE_AFTER_ERROR_S / HOUR
    assert f"looking again in {PAUSE_AFTER_ERROR_S / 60:.0f} min" in caplog.text
    assert sandbox.request_log.counts["logins_sent"] <= 2
    assert LOGIN not in caplog.text


def test_a_missing_connection_is_logged_and_waited_out(caplog, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WE360_DEFAULT")
    assert days_of(Time(SETTLED, SETTLED + 2 * HOUR)) == []
    assert caplog.text.count("looking again in 30 min") == 5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"we360_conn_id": " "}, "we360_conn_id"),
        ({"report": "dynamic_reports"}, "report"),
        ({"timezone": "Asia/Calcuta"}, "timezone"),
        ({"settle_hours": -1}, "settle_hours"),
    ],
)
def test_a_wrong_argument_fails_while_the_dag_is_parsed(arguments, named):
    with pytest.raises(We360ConfigError, match=named):
        We360DayTrigger(**arguments)


@since((3, 0), "asset watchers")
def test_a_watcher_takes_it_and_it_survives_the_database():
    from airflow.models.trigger import Trigger
    from airflow.providers.common.compat.sdk import Asset
    from airflow.sdk import AssetWatcher

    made = We360DayTrigger(timezone="Asia/Dubai", settle_hours=3)
    asset = Asset(
        uri="we360://acme-demo/dynamic_report", watchers=[AssetWatcher(name="days", trigger=made)]
    )
    assert asset.watchers[0].trigger is made
    row = Trigger.from_object(made)
    assert We360DayTrigger(**row.kwargs).serialize() == made.serialize()
