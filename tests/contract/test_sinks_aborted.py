"""Whatever ends a load, at whatever step, leaves the rows as they were."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from airflow_provider_we360.errors import SinkError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks.base import LoadPlan, OnEmpty, WriteMode
from support.engines import Engine
from support.loads import append, batch, day, is_clean_up, load, merge, row, rows

OLD = rows(1, 3, note="old") + rows(2, 3, note="old")
NEW = rows(1, 2, note="new") + rows(2, 4, note="new")


class Killed(BaseException):
    """What a task's time-out is: no Exception."""


def a_load(mode: WriteMode) -> LoadPlan:
    return {WriteMode.REPLACE_WINDOW: load(), WriteMode.MERGE: merge(), WriteMode.APPEND: append()}[
        mode
    ]


@pytest.mark.parametrize("end", [ValueError, Killed])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_broken_extract_changes_nothing_and_keeps_its_error(
    engine: Engine, table: str, after: int, end: type[BaseException]
) -> None:
    engine.load(table, load(), OLD)

    def broken() -> Iterator[RowBatch]:
        yield from [batch(rows(1, 3, note="new")), batch(rows(2, 3, note="new"))][:after]
        raise end("the extract broke")

    with pytest.raises(end, match="the extract broke"):
        engine.sink(table).load(load(), broken())
    assert engine.rows(table) == sorted(OLD_COMPLETE, key=repr)
    assert engine.load(table, load(), NEW).rows == 6


@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_task_killed_before_any_statement_changes_nothing(
    engine: Engine, table: str, mode: WriteMode
) -> None:
    engine.load(table, a_load(mode), OLD)
    told: list[str] = []
    for survived in itertools.count():
        statements = itertools.count()

        def kill(
            sql: str, survived: int = survived, statements: Iterator[int] = statements
        ) -> None:
            if is_clean_up(sql):
                return  # after COMMIT or ROLLBACK
            told.append(sql)
            if next(statements) == survived:
                raise Killed

        sink = engine.sink(table, engine.hook_with(kill))
        try:
            result = sink.load(a_load(mode), [batch(NEW)])
        except Killed:
            assert engine.rows(table) == sorted(OLD_COMPLETE, key=repr), told[-1]
        else:
            break
    assert result.rows == 6
    assert any(sql.startswith(("DELETE", "UPDATE")) for sql in told)
    assert any(sql.startswith("INSERT") for sql in told)
    assert told[-1] == "COMMIT"


def test_a_killed_first_load_leaves_at_most_an_empty_table(engine: Engine, table: str) -> None:
    for survived in itertools.count():
        statements = itertools.count()

        def kill(
            sql: str, survived: int = survived, statements: Iterator[int] = statements
        ) -> None:
            if next(statements) == survived:
                raise Killed

        sink = engine.sink(table, engine.hook_with(kill))
        try:
            sink.load(load(), [batch(NEW)])
        except Killed:
            assert not engine.has_table(table) or engine.rows(table) == []
        else:
            break
    assert len(engine.rows(table)) == 6


def test_rows_that_the_target_refuses_take_the_whole_load_back(engine: Engine, table: str) -> None:
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text}, note {engine.text} CHECK (note <> 'bad'))"
    )
    engine.load(table, load(), OLD)
    with pytest.raises(SinkError, match="constraint"):
        engine.load(
            table,
            load(on_empty=OnEmpty.REPLACE),
            [*rows(1, 3, note="new"), row(2, "p0", note="bad")],
        )
    assert engine.rows(table) == sorted(OLD_COMPLETE, key=repr)


def test_a_load_leaves_no_staging_behind(engine: Engine, table: str) -> None:
    engine.load(table, load(window=(day(1), day(2))), OLD)
    name = engine.table_name
    assert (
        engine.execute(f"SELECT {name} FROM {engine.tables} WHERE {name} LIKE '%we360_stg%'") == []
    )


OLD_COMPLETE = batch(OLD).rows
