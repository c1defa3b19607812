"""Glue: the batches of many slices as a few larger ones, so that a target is called seldom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_we360.rows.batch import RowBatch

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000
"""A glued batch has at least so many rows, but for the last: some megabytes."""


def glued(batches: Iterable[RowBatch], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The rows in their order, in batches of at least so many; none is empty."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        if len(batch):
            held.append(batch.to_arrow())
            count += len(batch)
        if count >= rows:
            yield _one(held)
            held, count = [], 0
    if held:
        yield _one(held)


def parts(batches: Iterable[RowBatch], most_bytes: int) -> Iterator[list[pa.RecordBatch]]:
    """The rows in their order, as many batches together as reach so many bytes of Arrow; none is empty."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if len(batch):
            held.append(batch.to_arrow())
            size += held[-1].nbytes
        if size >= most_bytes:
            yield held
            held, size = [], 0
    if held:
        yield held


def _one(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    return held[0] if len(held) == 1 else pa.concat_batches(held)
