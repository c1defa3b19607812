"""Columns as an Arrow schema."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from airflow_provider_we360.rows.schema import Column, Kind

ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.DURATION: pa.int64(),
    Kind.BIGINT: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
}


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema of these columns, all nullable."""
    return pa.schema([(column.name, ARROW_TYPES[column.kind]) for column in columns])
