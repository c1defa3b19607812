"""A transaction that a target takes back because of another one is retried as a whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError
from airflow_provider_we360.sinks.loader import SqlSink
from airflow_provider_we360.sinks.session import DbSession, driver_calls
from airflow_provider_we360.sinks.target import TableName, Target
from airflow_provider_we360.sinks.warehouse import Warehouse
from airflow_provider_we360.sinks.warehouses import sqlite
from support.engines import SQLite
from support.loads import batch, load, rows


def failing(times: int, text: str = "taken back") -> Warehouse:
    """Return a SQLite whose first transactions fail when they have changed everything."""
    left = iter(range(times))

    class Failing(sqlite.SqliteSession):
        def commit(self) -> None:
            if (
                self.fetch("SELECT 1 FROM attendance WHERE note = 'new'")
                and next(left, None) is not None
            ):
                with driver_calls(self.errors):
                    raise sqlite3.OperationalError(text)
            super().commit()

    @contextmanager
    def connect(target: Target) -> Iterator[DbSession]:
        with sqlite.connect(target) as session:
            session.__class__ = Failing
            yield session

    errors = replace(sqlite.ERRORS, is_conflict=lambda error: str(error) == "taken back")
    return replace(sqlite.WAREHOUSE, connect=connect, errors=errors)


def sink(engine: SQLite, warehouse: Warehouse, pauses: list[float]) -> SqlSink:
    place: dict[str, Any] = {
        "hook": engine.hook(),
        "table": TableName("attendance"),
        "conn_id": engine.conn_id,
    }
    target = Target(**place, sleep=pauses.append, clock=lambda: 60.0 * len(pauses), now=lambda: 0.0)
    return SqlSink(warehouse, target)


@pytest.fixture
def engine(tmp_path: Path) -> SQLite:
    engine = SQLite(tmp_path)
    engine.load("attendance", load(), rows(1, 3, note="old"))
    return engine


def test_the_transaction_is_retried_and_rows_are_staged_once(engine: SQLite) -> None:
    pauses: list[float] = []
    result = sink(engine, failing(2), pauses).load(load(), iter([batch(rows(1, 3, note="new"))]))
    assert (result.rows, result.rows_removed, len(pauses)) == (3, 3, 2)
    assert [one["note"] for one in engine.rows("attendance")] == ["new"] * 3


def test_the_retries_end_and_nothing_was_changed(engine: SQLite) -> None:
    pauses: list[float] = []
    with pytest.raises(SinkBusy, match="nothing was changed"):
        sink(engine, failing(1000), pauses).load(load(), [batch(rows(1, 3, note="new"))])
    assert len(pauses) == 10
    assert [one["note"] for one in engine.rows("attendance")] == ["old"] * 3


def test_any_other_error_is_not_retried(engine: SQLite) -> None:
    pauses: list[float] = []
    with pytest.raises(SinkError):
        sink(engine, failing(1, "disk I/O error"), pauses).load(
            load(), [batch(rows(1, 3, note="new"))]
        )
    assert pauses == []
