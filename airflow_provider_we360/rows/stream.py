"""RowStream: the rows of one extract, from the API to a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column


class RowStream:
    """Typed rows with the columns that the server returns. Iterate over it once; it yields a batch a day.

    Use it as a context manager: leaving the block cancels the requests that are still running.
    An extract is complete only when the iteration ends without an error: commit nothing before.

    :param columns: the columns of every batch.
    :param batches: the rows, in order of days.
    :param close: called once when no more rows are wanted.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        batches: Iterable[RowBatch],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.columns = columns
        self._batches = iter(batches)
        self._close = close

    def __iter__(self) -> Iterator[RowBatch]:
        return self._batches

    def close(self) -> None:
        """Cancel the requests that are still running. Safe to call twice."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
