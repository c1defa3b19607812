"""RowDecoder: the JSON text of an answer's rows to a typed Arrow batch.

Two ways that agree: a fast one for answers in the usual forms, column by column, and a patient one that reads value by
value and so knows which row and column is to blame. Whatever the fast way does not like goes the patient way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_we360.errors import ValueDoesNotFit, We360DataError
from airflow_provider_we360.rows.arrow import ARROW_TYPES, arrow_schema
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.rows.values import NOTHING, converter
from airflow_provider_we360.types import Value

_WIRE_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.DURATION: str | int | None,
    Kind.BIGINT: str | int | None,
    Kind.DOUBLE: str | float | None,
    Kind.TIMESTAMP: str | None,
    Kind.DATE: str | None,
}
_ISO_LENGTH = {Kind.TIMESTAMP: len("2026-06-01 11:55:39"), Kind.DATE: len("2026-06-01")}
_NUL = rb"\u0000"
_DASHES = pa.array(sorted(NOTHING), pa.string())


class NotJson(We360DataError):
    """The text is no JSON list of objects: cut off, or something else."""


class _Unusual(Exception):
    """A form that the fast way leaves to the patient one."""


class _Memo(dict[Any, Value]):
    """Each distinct wire form is read once: a day holds at most 86,400 durations."""

    def __init__(self, read: Callable[[object], Value]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, wire: Any) -> Value:
        try:
            value = self._read(wire)
        except ValueError:
            raise _Unusual from None
        return self.setdefault(wire, value)


class RowDecoder:
    """Decodes rows of one set of columns. Safe to share between threads.

    :param columns: the columns asked for; others in the answer are passed over, missing ones are NULL.
    :param timezone: the company's time zone, for punch times that come with an offset.
    """

    def __init__(self, columns: Sequence[Column], timezone: str) -> None:
        self.columns = tuple(columns)
        self.schema = arrow_schema(columns)
        self._converters = [converter(column.kind, timezone) for column in columns]
        by_kind = {column.kind: _Memo(convert) for column, convert in zip(columns, self._converters, strict=True)}
        self._memos = [by_kind[column.kind] for column in columns]
        fields = [(f"f{i}", _WIRE_TYPES[column.kind], None) for i, column in enumerate(columns)]
        names = {f"f{i}": column.name for i, column in enumerate(columns)}
        row = msgspec.defstruct("WireRow", fields, rename=names, gc=False)
        self._decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    def decode(self, rows: bytes | msgspec.Raw) -> pa.RecordBatch:
        """The rows of a JSON array of flat objects.

        :raises NotJson: where it is none.
        :raises ValueDoesNotFit: where a value is not of its column's type; names column and row number, from 1.
        """
        text = bytes(rows)
        try:
            return self._decode_fast(text)
        except (_Unusual, msgspec.DecodeError, UnicodeDecodeError, RecursionError, pa.ArrowInvalid):
            return self._decode_patiently(text)

    def _decode_fast(self, rows: bytes) -> pa.RecordBatch:
        if _NUL in rows:
            raise _Unusual
        structs = self._decoder.decode(rows)
        if not structs:
            return _empty(self.schema)
        wire_columns = zip(*map(msgspec.structs.astuple, structs), strict=True)
        arrays = [
            _typed(list(wire), column.kind, memo)
            for wire, column, memo in zip(wire_columns, self.columns, self._memos, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _decode_patiently(self, rows: bytes) -> pa.RecordBatch:
        try:
            objects = json.loads(rows)
        except (ValueError, RecursionError):
            raise NotJson("the rows of the answer are no JSON: cut off, or changed on the way") from None
        if not isinstance(objects, list) or not all(isinstance(row, dict) for row in objects):
            raise NotJson("the rows of the answer are JSON, but no list of objects")
        arrays = [
            pa.array(self._column(column, convert, objects), ARROW_TYPES[column.kind])
            for column, convert in zip(self.columns, self._converters, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _column(self, column: Column, convert: Callable[[object], Value], rows: list[dict[str, Any]]) -> list[Value]:
        values: list[Value] = []
        for number, row in enumerate(rows, start=1):
            try:
                values.append(convert(row.get(column.name)))
            except ValueError:
                advice = (
                    ""
                    if column.kind is Kind.TEXT
                    else f"load the column as text (column_types={{{column.name!r}: 'text'}}), or "
                )
                raise ValueDoesNotFit(
                    f"column {column.name!r}, row {number} of the answer: the value does not fit type {column.kind.value}; "
                    f"{advice}leave it out of columns"
                ) from None
        return values


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _typed(wire: list[Any], kind: Kind, memo: _Memo) -> pa.Array:
    if kind in (Kind.DURATION, Kind.BIGINT):
        return pa.array([memo[value] for value in wire], pa.int64())
    if kind is Kind.DOUBLE:
        return pa.array([memo[value] if isinstance(value, str) else value for value in wire], pa.float64())
    array = _without_dashes(pa.array(wire, pa.string()))
    if kind is Kind.TEXT:
        return array
    lengths = pc.min_max(pc.utf8_length(array)).as_py()
    # Arrow knows a year 0, Python's dates do not.
    if not set(lengths.values()) <= {None, _ISO_LENGTH[kind]} or pc.any(pc.starts_with(array, "0000")).as_py():
        raise _Unusual
    return array.cast(ARROW_TYPES[kind])


def _without_dashes(array: pa.Array) -> pa.Array:
    nothing = pc.is_in(array, value_set=_DASHES)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), array) if pc.any(nothing).as_py() else array
