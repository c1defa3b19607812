"""The load log, on every warehouse: a row a load and day, committed with the rows or not at all."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from airflow_provider_we360 import __version__
from airflow_provider_we360.errors import EmptyDayRefused, SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import OnEmpty
from support import loads
from support.engines import Engine
from support.loads import append, batch, batches, day, is_clean_up, load, merge, rows, summary

Logged = Callable[..., list[dict[str, Any]]]
DAYS = (Column("day", Kind.DATE), Column("row_count", Kind.BIGINT), Column("outcome"))


class Killed(BaseException):
    """What a task's time-out is: no Exception."""


@pytest.fixture
def log(table: str) -> str:
    return f"{table}_log"


@pytest.fixture
def logged(engine: Engine, log: str) -> Logged:
    """What the log holds: day, rows, outcome, or the columns that are named."""

    def read(*columns: Column, extra: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        return engine.rows(log, columns or (() if extra else DAYS), extra=extra)

    return read


def told(number: int, count: int, outcome: str = "loaded") -> dict[str, Any]:
    return {"day": day(number), "row_count": count, "outcome": outcome}


def test_every_day_of_a_load_has_its_row_an_empty_one_too(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    engine.load(table, load(window=(day(1), day(3))), rows(1, 3) + rows(3, 2), log)
    assert logged() == [told(1, 3), told(2, 0), told(3, 2)]


def test_a_row_says_who_what_when_and_where(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    engine.load(table, load(window=(day(1), day(1))), rows(1, 3), log)
    names = (
        "_we360_tenant",
        "_we360_run_id",
        "_we360_loaded_at",
        "report",
        "mode",
        "target_table",
        "filters",
    )
    assert logged(Column("last_day", Kind.DATE), extra=(*names, "provider_version")) == [
        {
            "last_day": day(1),
            "_we360_tenant": loads.TENANT,
            "_we360_run_id": "dag|run|task|-1",
            "_we360_loaded_at": loads.LOADED_AT,
            "report": "dynamic_report",
            "mode": "detailed",
            "target_table": engine.full_name(table),
            "filters": "",
            "provider_version": __version__,
        }
    ]


@pytest.mark.parametrize("a_load", [load, merge, append])
def test_a_retry_replaces_its_log_rows_and_another_run_adds(
    engine: Engine, table: str, log: str, logged: Logged, a_load: Callable[..., Any]
) -> None:
    window = (day(1), day(2))
    engine.load(table, a_load(window=window), rows(1, 3), log)
    engine.load(table, a_load(window=window), rows(1, 4), log)
    assert logged() == [told(1, 4), told(2, 0)]
    people = [{"attendance_date": day(1), "identity_id": f"new{number}"} for number in range(5)]
    engine.load(table, a_load(window=window, run_id="dag|another|task"), people, log)
    assert logged() == [told(1, 4), told(1, 5), told(2, 0), told(2, 0)]


def test_a_day_that_was_kept_is_told_apart(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    engine.load(table, load(window=(day(1), day(2)), run_id="one"), rows(1, 3) + rows(2, 3))
    engine.load(table, load(window=(day(1), day(3)), on_empty=OnEmpty.KEEP), rows(1, 3), log)
    assert logged() == [told(1, 3), told(2, 0, "kept"), told(3, 0)]


def test_a_load_that_is_refused_leaves_no_trace(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    engine.load(table, load(run_id="one"), rows(1, 3), log)
    before = logged()
    with pytest.raises(EmptyDayRefused):
        engine.load(table, load(run_id="two"), [], log)
    assert logged() == before
    assert len(before) == 30


def test_a_killed_task_leaves_rows_and_log_in_the_same_state(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    engine.load(table, load(window=(day(1), day(1))), rows(1, 3, note="old"), log)
    before = (engine.rows(table), logged())
    statements: list[str] = []
    for survived in itertools.count():
        counter = itertools.count()

        def kill(sql: str, survived: int = survived, counter: Iterator[int] = counter) -> None:
            if is_clean_up(sql):  # after the COMMIT, and in the loader's own session only
                return
            statements.append(sql)
            if next(counter) == survived:
                raise Killed

        try:
            engine.sink(table, engine.hook_with(kill), log).load(
                load(window=(day(1), day(1))), [batch(rows(1, 5, note="new"))]
            )
        except Killed:
            assert (engine.rows(table), logged()) == before, statements[-1]
        else:
            break
    assert statements[-1] == "COMMIT"
    assert logged() == [told(1, 5)]
    assert {row["note"] for row in engine.rows(table)} == {"new"}


def test_a_summary_has_one_row_for_its_window(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    edges = (
        Column("day", Kind.DATE),
        Column("last_day", Kind.DATE),
        Column("row_count", Kind.BIGINT),
        Column("outcome"),
    )
    engine.load(table, summary(1, 7), [{"identity_id": f"p{number}"} for number in range(20)], log)
    assert logged(*edges) == [
        {"day": day(1), "last_day": day(7), "row_count": 20, "outcome": "loaded"}
    ]
    engine.load(table, summary(1, 7, on_empty=OnEmpty.KEEP), [], log)
    assert logged(*edges) == [
        {"day": day(1), "last_day": day(7), "row_count": 0, "outcome": "kept"}
    ]
    engine.load(table, summary(8, 14), [], log)
    assert logged(*edges) == [
        {"day": day(8), "last_day": day(14), "row_count": 0, "outcome": "loaded"}
    ]


def test_filters_are_logged_by_name_without_their_ids(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    for person in ("p1", "p2"):
        filters = f'{{"user_ids": ["{person}"]}}'
        engine.load(
            table,
            load(window=(day(1), day(1)), user_ids=(person,), filters=filters, run_id=person),
            [{"attendance_date": day(1), "identity_id": person}],
            log,
        )
    found = [row["filters"] for row in logged(extra=("filters",))]
    assert len(set(found)) == 2
    assert all(
        text.startswith("user_ids ") and "p1" not in text and "p2" not in text for text in found
    )


def test_a_long_window_and_the_longest_name_of_a_run_fit(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    name = "|".join(["d" * 250, "r" * 250, "t" * 250, "1023"])
    wide = load(window=(day(1), day(1) + dt.timedelta(days=364)), run_id=name)
    for _ in range(2):
        engine.load(table, wide, rows(1, 2), log)
    assert len(logged()) == 365
    assert {row["_we360_run_id"] for row in logged(extra=("_we360_run_id",))} == {name}


def test_parallel_loads_of_several_tables_share_one_log(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    """Each is its own second try: it deletes in the log, too. Two to a table, so that both kinds of lock are waited for."""

    def all_at_once() -> None:
        barrier = Barrier(6, timeout=30)

        def one(number: int) -> int:
            def when_all_are_there() -> Iterator[RowBatch]:
                yield from batches(rows(number, 5))
                barrier.wait()

            mine = load(window=(day(number), day(number)), run_id=f"run {number}")
            return (
                engine.sink(f"{table}_{number % 3}", log=log).load(mine, when_all_are_there()).rows
            )

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(one, range(1, 7))) == [5] * 6

    for _ in range(3):
        all_at_once()
        assert logged() == [told(number, 5) for number in range(1, 7)]


def test_a_log_of_an_earlier_version_gets_its_missing_columns(
    engine: Engine, table: str, log: str, logged: Logged
) -> None:
    engine.execute(f"CREATE TABLE {log} (load_id {engine.text}, day DATE)")
    engine.load(table, load(window=(day(1), day(1))), rows(1, 3), log)
    assert logged() == [told(1, 3)]


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("{table}", {}, "load_log_table: .* is the table of the rows"),
        ("{TABLE}", {}, "load_log_table: .* is the table of the rows"),
        ("a.b.c.d", {}, "load_log_table: .* is not a table name"),
        (
            "{table}_log",
            {"create_table": False},
            "load_log_table: .*_log does not exist and create_table is False",
        ),
    ],
)
def test_a_log_that_cannot_be_is_refused_by_its_arguments_name(
    engine: Engine, table: str, name: str, changes: dict[str, Any], says: str
) -> None:
    engine.load(table, load(), [])
    with pytest.raises(We360ConfigError, match=says):
        engine.load(
            table, load(**changes), rows(1, 1), name.format(table=table, TABLE=table.upper())
        )
    assert engine.rows(table) == []


def test_a_log_that_refuses_rolls_the_load_back_and_is_named(
    engine: Engine, table: str, log: str
) -> None:
    engine.execute(
        f"CREATE TABLE {log} (load_id {engine.text}, day DATE, row_count BIGINT CHECK (row_count < 3))"
    )
    with pytest.raises(SinkError, match=f"^load_log_table: .*{log}"):
        engine.load(table, load(window=(day(1), day(1))), rows(1, 3), log)
    assert engine.rows(table) == []
