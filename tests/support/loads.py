"""Loads and batches for tests of sinks: small, and of every kind of value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from airflow_provider_we360.rows.arrow import arrow_schema
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import LoadPlan, WriteMode

TENANT = "tenant-1"
LOADED_AT = dt.datetime(2026, 5, 1, 3, 4, 5, 678901, dt.UTC)
NASTY: dict[str, dict[str, Any]] = {
    "nothing": {},
    "empty text": {"note": ""},
    "zeros": {"note": "0", "seconds": 0, "count": 0, "percent": 0.0},
    "quotes": {"note": 'O\'Hara said "no"; -- DROP TABLE \\ \'\' ""'},
    "lines": {"note": "a\nb\r\nc\td\r"},
    "the word": {"note": "NULL"},
    "spaces": {"note": "  x  "},
    "most": {"seconds": 2**63 - 1, "count": 2**63 - 1, "percent": 1.7976931348623157e308},
    "least": {"count": -(2**63), "percent": -5e-324},
    "fine": {"percent": 0.1 + 0.2},
    "moment": {"punch_in": dt.datetime(2026, 4, 1, 9, 0, 0)},
    "fine moment": {"punch_in": dt.datetime(2026, 4, 1, 23, 59, 59, 999999)},
    "long ago": {"punch_in": dt.datetime(1900, 1, 1)},
}
"""Values that every target has to hold as they are."""
COLUMNS = (
    Column("attendance_date", Kind.DATE, "The local business day"),
    Column("identity_id", description="The person's key"),
    Column("note", description="It's text"),
    Column("seconds", Kind.DURATION, "Seconds"),
    Column("count", Kind.BIGINT),
    Column("percent", Kind.DOUBLE),
    Column("punch_in", Kind.TIMESTAMP),
)
SUMS = tuple(column for column in COLUMNS if column.name != "attendance_date")
Row = dict[str, Any]


def day(number: int, month: int = 4) -> dt.date:
    return dt.date(2026, month, number)


def load(**changes: Any) -> LoadPlan:
    """Rows per day, 1 to 30 April, replace_window; every try of it is one run."""
    detailed = LoadPlan(
        report="dynamic_report",
        mode="detailed",
        tenant=TENANT,
        window=(day(1), day(30)),
        day_column="attendance_date",
        key=("attendance_date", "identity_id"),
        columns=COLUMNS,
        run_id="dag|run|task|-1",
        loaded_at=LOADED_AT,
    )
    return replace(detailed, **changes)


def summary(first: int = 1, last: int = 30, **changes: Any) -> LoadPlan:
    """Sums over a window of April."""
    return load(
        **{
            "mode": "summary",
            "window": (day(first), day(last)),
            "day_column": None,
            "key": ("identity_id",),
            "columns": SUMS,
            **changes,
        }
    )


def row(number: int, person: object, **values: Any) -> Row:
    """A row of that day of April; whatever is not named is NULL."""
    return {"attendance_date": day(number), "identity_id": str(person), **values}


def rows(number: int, people: int, **values: Any) -> list[Row]:
    return [row(number, f"p{person}", **values) for person in range(people)]


def batch(
    content: Iterable[Row], columns: tuple[Column, ...] = COLUMNS, number: int = 1
) -> RowBatch:
    complete = [{column.name: one.get(column.name) for column in columns} for one in content]
    arrow = pa.RecordBatch.from_pylist(complete, schema=arrow_schema(columns))
    return RowBatch(columns, (day(number), day(number)), arrow, LOADED_AT)


def batches(content: Iterable[Row], columns: tuple[Column, ...] = COLUMNS) -> Iterator[RowBatch]:
    """A batch a day, as an extract hands them out."""
    by_day: dict[object, list[Row]] = {}
    for one in content:
        by_day.setdefault(one.get("attendance_date"), []).append(one)
    yield from (batch(of_day, columns) for of_day in by_day.values() or [[]])


def is_clean_up(sql: str) -> bool:
    """Whether a statement only removes what a load leaves in its own database session."""
    return sql == "RESET ALL" or sql.startswith("DROP TABLE IF EXISTS")


def append(**changes: Any) -> LoadPlan:
    return load(write_mode=WriteMode.APPEND, **changes)


def merge(**changes: Any) -> LoadPlan:
    return load(write_mode=WriteMode.MERGE, **changes)
