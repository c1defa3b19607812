"""Progress: passes batches on, counts them, and tells the log every few seconds how far the extract is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.types import Clock

EVERY_S = 5.0


class Progress:
    """Counts what passes.

    :param slices: how many slices there will be.
    :param clock: any clock that only goes forward, in seconds.
    :param tell: takes a log line and its arguments.
    """

    def __init__(self, slices: int, *, clock: Clock, tell: Callable[..., object]) -> None:
        self.rows = 0
        self.slices_done = 0
        self._slices = slices
        self._clock = clock
        self._tell_line = tell
        self._started = self._told = clock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    def watch(self, batches: Iterable[RowBatch]) -> Generator[RowBatch]:
        """The same batches."""
        for batch in batches:
            self.slices_done += 1
            self.rows += len(batch)
            if self._clock() - self._told >= EVERY_S:
                self._told = self._clock()
                self._tell()
            yield batch

    def _tell(self) -> None:
        left_s = self.seconds / self.slices_done * (self._slices - self.slices_done)
        self._tell_line(
            "%d of %d slices, %d rows, %.0f rows/s, about %.0f s to go",
            self.slices_done,
            self._slices,
            self.rows,
            self.rows / max(self.seconds, 1e-9),
            left_s,
        )
