"""Rows in a temporary file, by day."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from airflow_provider_we360.sinks.day_spool import DaySpool

ONE, TWO = dt.date(2026, 4, 1), dt.date(2026, 4, 2)


def test_a_day_comes_back_whole_also_in_parts() -> None:
    with DaySpool() as spool:
        spool.add(ONE, pa.table({"a": [1, 2]}))
        spool.add(TWO, pa.table({"a": [3]}))
        spool.add(ONE, pa.table({"a": [4]}))
        spool.add(TWO, pa.table({"a": pa.array([], pa.int64())}))
        found = [spool.read(day) for day in (ONE, TWO, ONE)]
        assert [rows.column("a").to_pylist() for rows in found if rows] == [
            [1, 2, 4],
            [3],
            [1, 2, 4],
        ]
        assert (spool.rows, spool.split_days) == ({ONE: 3, TWO: 1}, {ONE})
        assert spool.read(dt.date(2026, 4, 3)) is None
