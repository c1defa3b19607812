"""Progress: passes batches on, counts them, and tells the log every few seconds how far the load is, even if nothing comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Self

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.types import Clock, Day

EVERY_S = 5.0
"""So often it is told how far the load is, as long as that changes."""
SELDOM_S = 60.0
"""Where nothing changes, the pauses grow up to this."""


class Progress:
    """Counts what passes. As a context it speaks, from a thread of its own, until the load has ended, however it ends.

    :param slices: how many slices there will be.
    :param clock: any clock that only goes forward, in seconds.
    :param tell: takes a log line and its arguments.
    :param requests: answers how many data requests were sent so far.
    :param every_s: seconds between two looks.
    """

    def __init__(
        self,
        slices: int,
        *,
        clock: Clock,
        tell: Callable[..., object],
        requests: Callable[[], int] = lambda: 0,
        every_s: float = EVERY_S,
    ) -> None:
        self.rows = 0
        self.slices_done = 0
        self.per_day: dict[Day, int] = {}
        """Rows by the first day of their slice."""
        self._slices = slices
        self._clock = clock
        self._tell_line = tell
        self._requests = requests
        self._every_s = every_s
        self._awaits_we360 = True
        self._told_state: tuple[int, bool] = (0, True)
        self._pause_s = every_s
        self._started = self._told = self._changed = clock()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._speaker = threading.Thread(target=self._speak, name="we360-progress", daemon=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    def __enter__(self) -> Self:
        self._speaker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:  # a line that is being said is said to its end; none follows
            self._ended.set()

    def watch(self, batches: Iterable[RowBatch]) -> Generator[RowBatch]:
        """The same batches."""
        for batch in batches:
            self.slices_done += 1
            self.rows += len(batch)
            self.per_day[batch.window[0]] = len(batch)
            self._now(awaits_we360=False)
            yield batch
            self._now(awaits_we360=self.slices_done < self._slices)

    def look(self) -> None:
        """Tell how far the load is, if it is time to: every few seconds as long as that changes, else ever less often."""
        with self._lock:
            if self._ended.is_set() or self._clock() - self._told < self._pause_s:
                return
            state = (self.slices_done, self._awaits_we360)
            is_new = state != self._told_state
            self._pause_s = self._every_s if is_new else min(SELDOM_S, 2 * self._pause_s)
            self._told, self._told_state = self._clock(), state
            if self.slices_done == self._slices:
                self._tell_of_target()
            elif is_new:
                self._tell_of_speed()
            else:
                self._tell_of_wait()

    def _speak(self) -> None:
        while not self._ended.wait(self._every_s):
            self.look()

    def _now(self, *, awaits_we360: bool) -> None:
        self._awaits_we360, self._changed = awaits_we360, self._clock()

    def _tell_of_speed(self) -> None:
        left_s = self.seconds / max(self.slices_done, 1) * (self._slices - self.slices_done)
        self._tell_line(
            "%d of %d slice(s), %d rows, %.0f rows/s, about %s to go",
            self.slices_done,
            self._slices,
            self.rows,
            self.rows / max(self.seconds, 1e-9),
            duration(left_s),
        )

    def _tell_of_wait(self) -> None:
        waiting = f"waiting for We360, {self._requests()} request(s) sent so far"
        self._tell_line(
            "%d of %d slice(s), %d rows; nothing new for %s: %s",
            self.slices_done,
            self._slices,
            self.rows,
            duration(self._clock() - self._changed),
            waiting if self._awaits_we360 else "the target is taking rows",
        )

    def _tell_of_target(self) -> None:
        self._tell_line(
            "All %d slice(s) read, %d rows; the target has been taking them for %s",
            self._slices,
            self.rows,
            duration(self._clock() - self._changed),
        )


def duration(seconds: float) -> str:
    """For people: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
