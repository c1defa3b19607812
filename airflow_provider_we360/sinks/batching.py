"""Prepare batches for staging: stamp, check and regroup them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks import error_messages
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.types import Day

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
"""A regrouped batch has at least this many rows, except the last: a few megabytes."""


class StagedRows:
    """The batches of a load on their way into the staging table.

    Iterating checks each batch, adds the moment of its request and collects what the loader needs
    later.

    :ivar requested: the moment each day was requested.
    :ivar has_split_days: True if rows of one day came in more than one batch.
    """

    def __init__(self, plan: LoadPlan, batches: Iterable[RowBatch]) -> None:
        self._plan = plan
        self._batches = batches
        self._seen: set[object] = set()
        self.requested: dict[Day, dt.datetime] = dict.fromkeys(plan.days, plan.loaded_at)
        self.has_split_days = False

    def __iter__(self) -> Iterator[RowBatch]:
        for batch in self._batches:
            # A staging table has one set of columns; a server that changes its mind in between is
            # not trusted.
            if batch.columns != self._plan.columns:
                raise error_messages.columns_changed()
            moment = batch.requested_at
            first, last = batch.window
            days = (last - first).days + 1
            for day in (first + dt.timedelta(days=number) for number in range(days)):
                if day in self.requested:
                    self.requested[day] = moment
            check_keys(batch, self._plan)
            self._remember_days(batch)
            yield self._stamp(batch, moment)

    def _stamp(self, batch: RowBatch, moment: dt.datetime) -> RowBatch:
        import pyarrow as pa

        # Without a zone: databases convert an instant with a zone to the time zone of the session.
        stamp = pa.scalar(moment.astimezone(dt.UTC).replace(tzinfo=None), pa.timestamp("us"))
        columns = self._plan.staged_columns
        arrays = [pa.repeat(stamp, len(batch)), *batch.to_arrow().columns]
        names = [column.name for column in columns]
        rows = pa.RecordBatch.from_arrays(arrays, names=names)
        return replace(batch, columns=columns, arrow=rows)

    def _remember_days(self, batch: RowBatch) -> None:
        import pyarrow.compute as pc

        if len(batch) == 0:
            return
        day_column = self._plan.day_column
        days = {None}
        if day_column is not None:
            days = set(pc.unique(batch.to_arrow().column(day_column)).to_pylist())
        self.has_split_days = self.has_split_days or bool(days & self._seen)
        self._seen |= days


def check_keys(batch: RowBatch, plan: LoadPlan) -> None:
    """Check that no two rows of the batch have the same key.

    The check runs on the keys as they are stored: two spellings of one e-mail address are two keys
    before pseudonymization and one afterwards.

    :raises SinkError: with the number of such rows, never a value.
    """
    import pyarrow as pa

    keys = pa.Table.from_batches([batch.to_arrow()]).select(list(plan.key))
    # One thread: the batch is small, and the other threads are fetching.
    distinct = keys.group_by(list(plan.key), use_threads=False).aggregate([]).num_rows
    if distinct != keys.num_rows:
        raise error_messages.duplicate_keys(plan, keys.num_rows - distinct)


def rechunk(batches: Iterable[RowBatch], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the rows in their order, in batches of at least so many rows; none is empty."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if len(batch):
            held.append(batch.to_arrow())
            count += len(batch)
        # A day may have 20 rows, and each batch costs a round trip or a row group.
        if count >= rows:
            yield pa.concat_batches(held)
            held, count = [], 0
    if held:
        yield pa.concat_batches(held)


def split_by_bytes(batches: Iterable[RowBatch], size_bytes: int) -> Iterator[list[pa.RecordBatch]]:
    """Yield the rows in their order, in lists that reach so many bytes of Arrow; none is empty."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if len(batch):
            held.append(batch.to_arrow())
            size += held[-1].nbytes
        if size >= size_bytes:
            yield held
            held, size = [], 0
    if held:
        yield held
