"""Which days are missed, by the load log."""

from __future__ import annotations

import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.transfers import catch_up
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from airflow_provider_we360.window import day_end
from support import loads
from support.loads import day

ZONE = "America/New_York"
NOW = dt.datetime(2026, 4, 20, 18, tzinfo=dt.UTC)
ONE_DAY = dt.timedelta(days=1)


def settled(one: dt.date) -> dt.datetime:
    return day_end(one, ZONE) + dt.timedelta(hours=11.5)


def missed(logged: dict[dt.date, dt.datetime], now: dt.datetime = NOW) -> list[dt.date]:
    return catch_up.find_missed_days(
        (day(1), day(4)), logged, now=now, timezone=ZONE, settle_hours=11.5
    )


def test_a_day_that_the_log_lacks_is_missed():
    assert missed({day(n): settled(day(n)) for n in (1, 3, 4)}) == [day(2)]


def test_a_day_requested_before_it_settled_is_missed():
    logged = {day(n): settled(day(n)) for n in (1, 2, 3, 4)}
    early = settled(day(2)) - dt.timedelta(seconds=1)
    assert missed(logged | {day(2): early}) == [day(2)]


def test_an_unsettled_day_that_was_loaded_waits():
    now = settled(day(4)) - dt.timedelta(seconds=1)
    logged = {day(n): settled(day(n)) for n in (1, 2, 3)}
    assert missed(logged | {day(4): now - ONE_DAY}, now) == []
    assert missed(logged, now) == [day(4)]


@given(st.sets(st.integers(0, 60)))
def test_joined_days_are_the_same_days(numbers):
    days = {day(1) + number * ONE_DAY for number in numbers}
    windows = catch_up.join_days(days)
    assert days == {
        first + number * ONE_DAY
        for first, last in windows
        for number in range((last - first).days + 1)
    }
    for (_, last), (first, _) in itertools.pairwise(windows):
        assert first - last > ONE_DAY


def find(logged: Any = None, **arguments: Any) -> catch_up.MissedDays:
    operator = SimpleNamespace(
        **{
            "complete_since": str(day(1)),
            "max_catch_up_days": None,
            "settle_hours": None,
            "load_log_table": "log",
        }
        | arguments
    )
    plan = loads.load(window=(day(10), day(11)))
    return catch_up.find_for_operator(
        operator, plan, lambda plan: logged or {}, now=NOW, timezone=ZONE
    )


def test_the_oldest_days_come_first_and_the_rest_is_left():
    assert find(max_catch_up_days="4") == catch_up.MissedDays(((day(1), day(4)),), 5)
    assert find() == catch_up.MissedDays(((day(1), day(9)),), 0)


def test_the_window_itself_is_not_missed():
    assert find(complete_since=day(10)) == catch_up.NONE_MISSED


def test_the_log_is_read_from_the_first_day_to_the_window():
    windows = []

    def read_log(plan: LoadPlan) -> dict[dt.date, dt.datetime]:
        windows.append(plan.window)
        return {}

    operator = SimpleNamespace(
        complete_since=day(3), max_catch_up_days=None, settle_hours=0, load_log_table="log"
    )
    catch_up.find_for_operator(
        operator,
        loads.load(window=(day(10), day(11))),
        read_log,
        now=NOW,
        timezone=ZONE,
    )
    assert windows == [(day(3), day(9))]


def test_caught_up_days_are_a_load_of_their_own():
    plan = loads.load(window=(day(10), day(11)))
    own = catch_up.plan_of(plan, (day(2), day(3)), NOW)
    assert own.window == (day(2), day(3))
    assert own.run_id == f"{plan.run_id}|{day(2)}..{day(3)}"


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"complete_since": "2026-13-01"}, "complete_since"),
        ({"complete_since": "2026-04-01T00:00"}, "complete_since"),
        ({"complete_since": "2026-04-01", "load_log_table": None}, "complete_since"),
        ({"complete_since": "2026-04-01", "mode": "summary"}, "complete_since"),
        ({"complete_since": "2026-04-01", "write_mode": "append"}, "complete_since"),
        ({"max_catch_up_days": 0}, "max_catch_up_days"),
        ({"max_catch_up_days": "many"}, "max_catch_up_days"),
        ({"max_catch_up_days": True}, "max_catch_up_days"),
        ({"settle_hours": -1}, "settle_hours"),
    ],
)
def test_a_wrong_argument_fails_while_the_dag_is_parsed(arguments, argument):
    with pytest.raises(We360ConfigError, match=rf"^{argument}: "):
        We360ToSqlOperator(
            **{"task_id": "load", "sql_conn_id": "w", "table": "t", "load_log_table": "log"}
            | arguments
        )


def test_templated_arguments_are_left_to_the_run():
    operator = We360ToSqlOperator(
        task_id="load",
        sql_conn_id="w",
        table="t",
        load_log_table="{{ var.value.log }}",
        complete_since="{{ params.since }}",
        max_catch_up_days="{{ params.days }}",
    )
    assert {*catch_up.ARGUMENTS} < {*operator.template_fields}


def test_rendered_arguments_are_checked_again():
    with pytest.raises(We360ConfigError, match=r"^complete_since: needs load_log_table"):
        find(load_log_table="")


def test_files_cannot_be_caught_up():
    untyped: Any = We360ToObjectStorageOperator
    with pytest.raises(We360ConfigError, match=r"^complete_since: .*files"):
        untyped(task_id="x", path="/x", complete_since="2026-04-01")
