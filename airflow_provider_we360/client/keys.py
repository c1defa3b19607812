"""What names a row within a slice: its key. Twins, rows without a key and rows of another day are found here."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_we360.client.exchange import slice_name
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.errors import We360ApiError, We360DataError


class Differing(We360DataError):
    """Two rows of one key are not the same."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The key of a report's rows.

    :param names: columns that name a row within a slice.
    :param day_column: column that must hold the slice's own day in every row; None where a slice is no single day.
    """

    names: tuple[str, ...]
    day_column: str | None

    def of(self, rows: pa.RecordBatch) -> set[tuple[object, ...]]:
        """The keys of these rows."""
        return set(zip(*(rows.column(name).to_pylist() for name in self.names), strict=True))

    def distinct(self, rows: pa.RecordBatch, query: Query) -> pa.RecordBatch:
        """The rows without identical twins, the first of each kept.

        :raises Differing: two rows of one key are not the same.
        :raises We360DataError: a row without key, or of a day that was not asked for.
        """
        self._require(rows, query)
        if self._count(rows) == rows.num_rows:
            return rows
        kept: dict[tuple[object, ...], int] = {}
        values = rows.to_pylist()
        for number, row in enumerate(values):
            first = kept.setdefault(tuple(row[name] for name in self.names), number)
            if row != values[first]:
                raise Differing(
                    f"slice {slice_name(query)}: rows {first + 1} and {number + 1} of the answer have one key "
                    f"({', '.join(self.names)}) but differ; nothing was loaded. Tell We360 support which day it is"
                )
        return rows.take(pa.array(kept.values()))

    def _count(self, rows: pa.RecordBatch) -> int:
        """How many keys there are."""
        telling = [
            name for name in self.names if name != self.day_column
        ]  # the day is one and the same
        if len(telling) == 1:
            return int(pc.count_distinct(rows.column(telling[0])).as_py())
        return int(
            pa.Table.from_batches([rows])
            .group_by(telling, use_threads=False)
            .aggregate([])
            .num_rows
        )

    def _require(self, rows: pa.RecordBatch, query: Query) -> None:
        for name in self.names:
            if rows.column(name).null_count:
                number = pc.index(rows.column(name).is_null(), True).as_py() + 1
                raise We360DataError(
                    f"slice {slice_name(query)}: row {number} of the answer has no {name}, which is part of its key; "
                    "nothing was loaded. Tell We360 support which day it is"
                )
        if self.day_column is None or rows.num_rows == 0:
            return
        days = pc.min_max(rows.column(self.day_column)).as_py()
        if (days["min"], days["max"]) != (query.first_day, query.last_day):
            raise We360DataError(
                f"slice {slice_name(query)}: the answer holds rows of {days['min']} to {days['max']}, which were not "
                "asked for; nothing was loaded. Check extra timezone of the Connection"
            )


def named_columns(error: We360ApiError, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the columns that an error of the server names."""
    return tuple(
        name for name in columns if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", error.reason)
    )
