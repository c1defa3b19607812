"""Whatever happened to earlier runs: enough further ones leave every day loaded, and settled."""

from __future__ import annotations

import datetime as dt
import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.window import SETTLE_HOURS, day_end
from simulator.app import SimulatorConfig
from support.engines import DuckDB
from support.examples import examples
from support.mini_api import FakeTime
from support.proof import Stage, ToEngine

ZONE = "Asia/Kolkata"
SINCE = dt.date(2026, 5, 4)
ONE_DAY = dt.timedelta(days=1)
LIMIT = 3
EARLY, LATE = 3.0, 13.0
"""Hours after midnight at which a run starts: before and after the day before has settled."""


class Killed(BaseException):
    """What ends a task from outside: no Exception."""


class Warehouse:
    """A server with four people, a database, and one Dag that loads yesterday."""

    def __init__(self, folder: Path) -> None:
        self.engine = DuckDB(folder)
        time = FakeTime(day_end(SINCE, ZONE).timestamp())
        # A later day, on which no row is corrected any more: corrections are the lookback's matter.
        final = SimulatorConfig(employees=4, today=dt.date(2026, 7, 1))
        self.stage = Stage(final, time=time)
        self.stage.connect()
        self.runs = itertools.count()

    def run(self, yesterday: dt.date, hour: float, *, fails: bool, dies_at: int) -> None:
        """One run of the Dag.

        :param dies_at: number of the statement before which the task is killed; 0: it is not.
        """
        moment = day_end(yesterday, ZONE) + dt.timedelta(hours=hour)
        self.stage.time.now = max(self.stage.time.now, moment.timestamp())
        if fails:
            self.stage.sandbox.faults.add("report", "http_422", times=1)
        statements = itertools.count(1)

        def before(_: str) -> None:
            if next(statements) == dies_at:
                raise Killed

        task = Catching(
            stage=self.stage,
            engine=self.engine,
            before=before,
            task_id="load",
            we360_conn_id="we360_proof",
            table="days",
            load_log_table="days_log",
            window_start=yesterday,
            window_end=yesterday,
            complete_since=SINCE,
            max_catch_up_days=LIMIT,
        )
        try:
            self.stage.run(task, f"run-{next(self.runs)}")
        except (We360Error, Killed) as error:
            event(f"ended by {type(error).__name__}")
        self.stage.sandbox.faults.clear()

    def rows(self, table: str) -> list[Any]:
        """What a table holds, without what differs from load to load."""
        if not self.engine.has_table(table):
            return []
        return sorted(
            self.engine.execute(
                f"SELECT attendance_date, identity_id, online_duration FROM {table}"
            ),
            key=repr,
        )


class Catching(ToEngine):
    """The operator, under the clock of the stage."""

    def __init__(self, *, stage: Stage, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stage = stage

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._stage.time.now, dt.UTC)


night = st.fixed_dictionaries(
    {
        "pause": st.sampled_from([1, 1, 1, 2, 5]),
        "hour": st.sampled_from([EARLY, LATE]),
        "fails": st.booleans(),
        "dies_at": st.sampled_from([0, 0, 3, 8, 12, 16, 20, 24, 30, 40]),
    }
)


@pytest.mark.long
@settings(max_examples=examples(8))
@given(st.lists(night, min_size=1, max_size=4))
def test_enough_runs_leave_every_day_loaded_and_settled(nights):
    with tempfile.TemporaryDirectory() as folder:
        world, yesterday = Warehouse(Path(folder)), SINCE
        for one in nights:
            yesterday += one["pause"] * ONE_DAY
            world.run(yesterday, one["hour"], fails=one["fails"], dies_at=one["dies_at"])
        healthy = (yesterday - SINCE).days // LIMIT + 2
        for _ in range(healthy):
            yesterday += ONE_DAY
            world.run(yesterday, LATE, fails=False, dies_at=0)
        logged = dict(
            world.engine.execute("SELECT day, max(_we360_loaded_at) FROM days_log GROUP BY day")
        )
        days = [SINCE + number * ONE_DAY for number in range((yesterday - SINCE).days + 1)]
        late = [
            day
            for day in days
            if day not in logged
            or logged[day].astimezone(dt.UTC)
            < day_end(day, ZONE) + dt.timedelta(hours=SETTLE_HOURS)
        ]
        assert late == []
        whole = ToEngine(
            engine=world.engine,
            task_id="load",
            we360_conn_id="we360_proof",
            table="whole",
            window_start=SINCE,
            window_end=yesterday,
        )
        world.stage.run(whole, "whole")
        assert world.rows("days") == world.rows("whole") != []


@pytest.mark.long
def test_a_healthy_night_sends_not_one_request_more():
    sent = {}
    for since in (None, SINCE):
        with tempfile.TemporaryDirectory() as folder:
            world = Warehouse(Path(folder))
            for number in range(3):
                world.run(SINCE + number * ONE_DAY, LATE, fails=False, dies_at=0)
            before = len(world.stage.sandbox.request_log.requests)
            yesterday = SINCE + 3 * ONE_DAY
            moment = day_end(yesterday, ZONE) + dt.timedelta(hours=LATE)
            world.stage.time.now = moment.timestamp()
            task = Catching(
                stage=world.stage,
                engine=world.engine,
                task_id="load",
                we360_conn_id="we360_proof",
                table="days",
                load_log_table="days_log",
                window_start=yesterday,
                window_end=yesterday,
                complete_since=since,
            )
            world.stage.run(task, "last")
            sent[since] = len(world.stage.sandbox.request_log.requests) - before
    assert sent[None] == sent[SINCE] > 0
