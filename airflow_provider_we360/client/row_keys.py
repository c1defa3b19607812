"""RowKeys: what names a row. Duplicates, rows without a key and rows of another day are found here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_we360.client.report import Query
from airflow_provider_we360.errors import We360ApiError, We360DataError
from airflow_provider_we360.types import Day

_SEPARATOR = "\0"
"""Between the parts of a key; no text that is loaded can hold it."""


class ConflictingRows(We360DataError):
    """Two rows of one key are not the same."""


@dataclass(frozen=True, slots=True)
class RowKeys:
    """The key of a report's rows.

    :param names: columns that name a row within one day (or one window in summary mode).
    :param day_column: column that must hold the requested day in every row; None in summary mode.
    """

    names: tuple[str, ...]
    day_column: str | None

    def of(self, rows: pa.RecordBatch) -> pa.Array:
        """Return the key of each row, without its day, as text."""
        parts = [rows.column(name) for name in self.names if name != self.day_column]
        if len(parts) == 1:
            # By far the usual case, and joining costs more than everything else here.
            return parts[0].cast(pa.string())
        return pc.binary_join_element_wise(*(part.cast(pa.string()) for part in parts), _SEPARATOR)

    def of_day(self, rows: pa.RecordBatch, day: Day) -> pa.Array:
        """Return the keys of the rows of one day, from an answer that covers several days."""
        if self.day_column is None:
            return self.of(rows)
        is_of_day = pc.equal(rows.column(self.day_column), pa.scalar(day))
        return self.of(rows.filter(is_of_day))

    def distinct(self, rows: pa.RecordBatch, query: Query) -> pa.RecordBatch:
        """Return the rows without identical duplicates, the first of each kept.

        :raises ConflictingRows: two rows of one key are not the same.
        :raises We360DataError: a row without key, or of a day that was not requested.
        """
        self._check(rows, query)
        # Rows become Python objects only if there are duplicates, which is rare.
        if rows.num_rows == 0 or pc.count_distinct(self.of(rows)).as_py() == rows.num_rows:
            return rows
        kept: dict[tuple[object, ...], int] = {}
        values = rows.to_pylist()
        for number, row in enumerate(values):
            first = kept.setdefault(tuple(row[name] for name in self.names), number)
            # Which of the two is right is unknown, so neither is loaded.
            if row != values[first]:
                raise ConflictingRows(
                    f"{query.days}: rows {first + 1} and {number + 1} of the answer have one key "
                    f"({', '.join(self.names)}) but differ; nothing was loaded. Report the day to "
                    "We360 support"
                )
        return rows.take(pa.array(kept.values()))

    def _check(self, rows: pa.RecordBatch, query: Query) -> None:
        for name in self.names:
            if rows.column(name).null_count:
                number = pc.index(rows.column(name).is_null(), True).as_py() + 1
                raise We360DataError(
                    f"{query.days}: row {number} of the answer has no {name}, which is part of "
                    "its key; nothing was loaded. Report the day to We360 support"
                )
        if self.day_column is None or rows.num_rows == 0:
            return
        # Rows of another day would replace nothing there, and be missing here.
        days = pc.min_max(rows.column(self.day_column)).as_py()
        if (days["min"], days["max"]) != (query.first_day, query.last_day):
            raise We360DataError(
                f"{query.days}: the answer holds rows of {days['min']} to {days['max']}, which "
                "were not requested; nothing was loaded. Check the time zone (extra timezone) of "
                "the Connection"
            )


def missing_keys(expected: pa.Array, found: pa.Array) -> pa.Array:
    """Return the expected keys that were not found."""
    return expected.filter(pc.invert(pc.is_in(expected, value_set=found)))


def find_names(error: We360ApiError, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the column names or IDs that an error of the server names."""
    return tuple(
        # As a whole word: "active" must not be found in "active_duration".
        name
        for name in names
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", error.reason)
    )
