"""RowDecoder: decodes the JSON text of an answer's rows to a typed Arrow batch.

Two decoders return the same rows. The fast one converts the usual forms, all columns of a kind at once
(``rows.columns``). The plain one converts value by value and knows the row and column of a value that
does not fit. It decodes everything that the fast one cannot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from airflow_provider_we360.errors import ValueDoesNotFit, We360DataError
from airflow_provider_we360.rows.arrow import ARROW_TYPES, arrow_schema
from airflow_provider_we360.rows.columns import ColumnReader, Unusual
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.rows.values import converter
from airflow_provider_we360.types import Value

_WIRE_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.DURATION: str | int | None,
    Kind.BIGINT: str | int | None,
    Kind.DOUBLE: str | float | None,
    Kind.TIMESTAMP: str | None,
    Kind.DATE: str | None,
}
_BACKSLASH, _NUL = b"\\", rb"\u0000"


class NotJson(We360DataError):
    """The text is no JSON list of objects: it is cut off, or something else."""


class RowDecoder:
    """Decodes rows of one set of columns. Safe to share between threads.

    :param columns: the requested columns; others in the answer are ignored, missing ones are NULL.
    :param timezone: the company's time zone, for punch times that come with an offset.
    """

    def __init__(self, columns: Sequence[Column], timezone: str) -> None:
        self.columns = tuple(columns)
        self.schema = arrow_schema(columns)
        self._converters = [converter(column.kind, timezone) for column in columns]
        self._readers = {
            column.kind: ColumnReader(column.kind, convert) for column, convert in self._paired()
        }
        self._places = {
            kind: [i for i, column in enumerate(columns) if column.kind is kind]
            for kind in self._readers
        }
        fields = [(f"f{i}", _WIRE_TYPES[column.kind], None) for i, column in enumerate(columns)]
        names = {f"f{i}": column.name for i, column in enumerate(columns)}
        # Fields are numbered: a column name need not be a Python identifier. Without gc, because
        # rows hold no cycles and the collector would visit each one.
        row = msgspec.defstruct("WireRow", fields, rename=names, gc=False)
        self._decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]

    def _paired(self) -> Iterator[tuple[Column, Callable[[object], Value]]]:
        return zip(self.columns, self._converters, strict=True)

    def decode(self, rows: bytes | msgspec.Raw) -> pa.RecordBatch:
        """Return the rows of a JSON array of flat objects.

        :raises NotJson: it is no such array.
        :raises ValueDoesNotFit: a value is not of its column's type; names column and row, from 1.
        """
        text = bytes(rows)
        try:
            return self._decode_fast(text)
        # Slower, but it names the row and column of a value that does not fit.
        except (Unusual, msgspec.DecodeError, UnicodeDecodeError, RecursionError, pa.ArrowInvalid):
            return self._decode_one_by_one(text)

    def _decode_fast(self, rows: bytes) -> pa.RecordBatch:
        # Searching for the backslash alone is ten times as fast, and most answers have none.
        if _BACKSLASH in rows and _NUL in rows:
            raise Unusual
        structs = self._decoder.decode(rows)
        if not structs:
            return _empty(self.schema)
        wire = list(zip(*map(msgspec.structs.astuple, structs), strict=True))
        arrays: dict[int, pa.Array] = {}
        for kind, places in self._places.items():
            arrays.update(
                zip(
                    places, self._readers[kind].read([wire[place] for place in places]), strict=True
                )
            )
        return pa.RecordBatch.from_arrays(
            [arrays[place] for place in range(len(wire))], schema=self.schema
        )

    def _decode_one_by_one(self, rows: bytes) -> pa.RecordBatch:
        try:
            # json and not msgspec: it also reads what is not strict JSON, such as NaN.
            objects = json.loads(rows)
        except (ValueError, RecursionError):
            raise NotJson(
                "the rows of the answer are no JSON: cut off, or changed on the way"
            ) from None
        if not isinstance(objects, list) or not all(isinstance(row, dict) for row in objects):
            raise NotJson("the rows of the answer are JSON, but no list of objects")
        arrays = [
            pa.array(self._column(column, convert, objects), ARROW_TYPES[column.kind])
            for column, convert in self._paired()
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _column(
        self, column: Column, convert: Callable[[object], Value], rows: list[dict[str, Any]]
    ) -> list[Value]:
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
