"""A load that requested its days earlier never overwrites one that requested them later."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks.base import LoadPlan, LoadResult, OnEmpty
from airflow_provider_we360.sinks.formats import FileFormat
from support import loads
from support.engines import Engine
from support.loads import LOADED_AT, append, batch, day, load, merge, rows
from support.stores import Store

NOON = LOADED_AT
LATER = NOON + dt.timedelta(hours=1)
NEXT_CENTURY = LOADED_AT.replace(year=2126)
WINDOW = (day(1), day(2))


def requested(content: list[loads.Row], moment: dt.datetime, number: int = 1) -> RowBatch:
    """Return the rows of one day as an answer to a request of that moment."""
    return replace(batch(content, number=number), requested_at=moment)


def run(engine: Engine, table: str, plan: LoadPlan, *answers: RowBatch, **how: Any) -> LoadResult:
    """Load these answers."""
    return engine.sink(table, **how).load(plan, answers)


def notes(engine: Engine, table: str) -> list[tuple[int, str]]:
    return sorted(
        (one["attendance_date"].day, one["note"]) for one in engine.rows(table, loads.COLUMNS[:3])
    )


def test_days_with_newer_rows_are_kept(engine: Engine, table: str) -> None:
    plan = load(window=WINDOW)
    newer = [requested(rows(1, 2, note="new"), LATER), requested(rows(2, 2, note="x"), NOON, 2)]
    older = [requested(rows(1, 3, note="old"), NOON), requested(rows(2, 2, note="y"), LATER, 2)]
    run(engine, table, plan, *newer)
    result = run(engine, table, replace(plan, run_id="zombie"), *older)
    assert notes(engine, table) == [(1, "new"), (1, "new"), (2, "y"), (2, "y")]
    assert (result.rows, result.rows_removed) == (2, 2)
    assert (result.days_kept, result.days_kept_newer) == ((), (day(1),))


def test_the_stamp_of_a_row_is_the_moment_of_its_request(engine: Engine, table: str) -> None:
    answers = [requested(rows(1, 1), NOON), requested(rows(2, 1), LATER, 2)]
    run(engine, table, load(window=WINDOW), *answers)
    stamps = engine.rows(table, (), extra=("_we360_loaded_at",))
    assert [one["_we360_loaded_at"] for one in stamps] == [NOON, LATER]


def test_a_stamp_in_the_future_keeps_nothing(engine: Engine, table: str) -> None:
    plan = load(window=(day(1), day(1)))
    run(engine, table, plan, requested(rows(1, 2, note="clock ahead"), NEXT_CENTURY))
    result = run(engine, table, plan, requested(rows(1, 2, note="right"), NOON))
    assert notes(engine, table) == [(1, "right"), (1, "right")]
    assert result.days_kept_newer == ()


def test_a_merge_keeps_newer_rows_of_its_own_keys_only(engine: Engine, table: str) -> None:
    run(engine, table, merge(), requested(rows(1, 2, note="new"), LATER))
    others = [one | {"identity_id": f"q{one['identity_id']}"} for one in rows(1, 2, note="group")]
    assert run(engine, table, merge(), requested(others, NOON)).rows == 2
    result = run(engine, table, merge(), requested(rows(1, 1, note="old"), NOON))
    assert result.days_kept_newer == (day(1),)
    assert {note for _, note in notes(engine, table)} == {"new", "group"}


def test_an_earlier_try_of_an_append_adds_nothing(engine: Engine, table: str) -> None:
    run(engine, table, append(), requested(rows(1, 2, note="second try"), LATER))
    result = run(engine, table, append(), requested(rows(1, 3, note="first try"), NOON))
    assert result.days_kept_newer == (day(1),)
    assert notes(engine, table) == [(1, "second try")] * 2


def test_the_load_log_keeps_a_day_that_is_empty_now(engine: Engine, table: str) -> None:
    plan, log = load(window=(day(1), day(1)), on_empty=OnEmpty.REPLACE), f"{table}_log"
    run(engine, table, plan, requested(rows(1, 2), NOON - dt.timedelta(hours=9)), log=log)
    run(engine, table, replace(plan, run_id="b"), requested([], LATER), log=log)
    zombie = replace(plan, run_id="zombie")
    result = run(engine, table, zombie, requested(rows(1, 2), NOON), log=log)
    assert result.days_kept_newer == (day(1),)
    assert engine.rows(table) == []


@pytest.mark.parametrize("file_format", list(FileFormat))
def test_files_with_newer_rows_are_kept(tmp_path: Path, file_format: FileFormat) -> None:
    store, plan = Store(str(tmp_path), file_format), load(window=WINDOW)
    newer = [requested(rows(1, 2, note="new"), LATER), requested(rows(2, 2, note="x"), NOON, 2)]
    older = [requested(rows(1, 3, note="old"), NOON), requested(rows(2, 2, note="y"), LATER, 2)]
    store.sink().load(plan, newer)
    result = store.sink().load(plan, older)
    found = sorted(one["note"] for one in store.rows(loads.COLUMNS[:3]))
    assert found == ["new", "new", "y", "y"]
    assert (result.rows, result.days_kept_newer) == (2, (day(1),))
    one_day = load(window=(day(1), day(1)))
    store.sink().load(one_day, [requested(rows(1, 2, note="ahead"), NEXT_CENTURY)])
    right = [requested(rows(1, 2, note="z"), LATER)]
    assert store.sink().load(one_day, right).days_kept_newer == ()
