"""A transaction that a target takes back, because another changed the same, is tried again whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError
from airflow_provider_we360.sinks.scope import Condition
from airflow_provider_we360.sinks.sql import SqlSink
from airflow_provider_we360.sinks.table import TableName
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse
from airflow_provider_we360.sinks.warehouses.sqlite import SqliteWarehouse
from support.engines import SQLite
from support.loads import batch, load, rows


def losing(times: int, told: str = "taken back") -> type[Warehouse]:
    """A SQLite whose first transactions are taken back when they have changed everything."""
    left = iter(range(times))

    class Losing(SqliteWarehouse):
        def is_conflict(self, error: Exception) -> bool:
            return str(error) == "taken back"

        def insert(self, condition: Condition) -> int:
            inserted = super().insert(condition)
            if next(left, None) is not None:
                raise sqlite3.OperationalError(told)
            return inserted

    return Losing


def sink(engine: SQLite, warehouse: type[Warehouse], pauses: list[float]) -> SqlSink:
    place: dict[str, Any] = {
        "hook": engine.hook(),
        "table": TableName("attendance"),
        "conn_id": engine.conn_id,
    }
    return SqlSink(
        warehouse, Target(**place, sleep=pauses.append, clock=lambda: 60.0 * len(pauses))
    )


@pytest.fixture
def engine(tmp_path: Path) -> SQLite:
    engine = SQLite(tmp_path)
    engine.load("attendance", load(), rows(1, 3, note="old"))
    return engine


def test_the_transaction_is_tried_again_and_the_rows_are_staged_once(engine: SQLite) -> None:
    pauses: list[float] = []
    result = sink(engine, losing(2), pauses).load(load(), iter([batch(rows(1, 3, note="new"))]))
    assert (result.rows, result.rows_removed, len(pauses)) == (3, 3, 2)
    assert [one["note"] for one in engine.rows("attendance")] == ["new"] * 3


def test_patience_has_an_end_and_then_nothing_was_changed(engine: SQLite) -> None:
    pauses: list[float] = []
    with pytest.raises(SinkBusy, match="nothing was changed"):
        sink(engine, losing(1000), pauses).load(load(), [batch(rows(1, 3, note="new"))])
    assert len(pauses) == 10
    assert [one["note"] for one in engine.rows("attendance")] == ["old"] * 3


def test_any_other_error_is_not_tried_again(engine: SQLite) -> None:
    pauses: list[float] = []
    with pytest.raises(SinkError):
        sink(engine, losing(1, "disk I/O error"), pauses).load(
            load(), [batch(rows(1, 3, note="new"))]
        )
    assert pauses == []
