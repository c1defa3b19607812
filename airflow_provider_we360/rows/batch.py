"""RowBatch: the typed rows of one day on their way from the API to a target."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.types import Row, Window

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, repr=False)
class RowBatch:
    """Typed rows of one day (in summary mode one window) as an Arrow record batch; may be empty.

    :param columns: the columns, in the order of the Arrow batch.
    :param window: first and last day, both inclusive; the same day twice in detailed mode.
    :param arrow: the rows.
    :param requested_at: moment right before the request for these rows was sent, UTC. Of two batches
        of one day, the one requested later is newer, in whatever order they were received.
    """

    columns: tuple[Column, ...]
    window: Window
    arrow: pa.RecordBatch
    requested_at: dt.datetime

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __repr__(self) -> str:
        first, last = self.window
        return f"<RowBatch {first}..{last} rows={len(self)} columns={len(self.columns)}>"

    def to_arrow(self) -> pa.RecordBatch:
        """Return the rows as a ``pyarrow.RecordBatch``, without a copy."""
        return self.arrow

    @property
    def rows(self) -> list[Row]:
        """The rows as dicts of typed values (durations: int seconds), created again at each call."""
        return cast("list[dict[str, Any]]", self.arrow.to_pylist())
