"""Gate: how many requests are under way at once, and when the server wants none."""

from __future__ import annotations

import threading
from types import TracebackType

from airflow_provider_we360.types import Clock, Sleep


class Gate:
    """Lets at most so many threads through. A server that is overloaded halves the number and can stop them all for a while.

    Use as a context around each request.
    """

    def __init__(self, width: int, *, clock: Clock, sleep: Sleep) -> None:
        self._slots = threading.Semaphore(width)
        self._lock = threading.Lock()
        self._width = width
        self._to_retire = 0
        self._closed_until = 0.0
        self._clock = clock
        self._sleep = sleep

    @property
    def width(self) -> int:
        """Requests that may be under way at once."""
        return self._width

    def narrow(self, retry_after_s: float | None) -> None:
        """Halve the number of requests under way, and let none start before ``retry_after_s`` have passed."""
        with self._lock:
            keep = max(1, self._width // 2)
            self._to_retire += self._width - keep
            self._width = keep
            self._closed_until = max(self._closed_until, self._clock() + (retry_after_s or 0.0))

    def __enter__(self) -> None:
        self._slots.acquire()
        while (wait_s := self._closed_until - self._clock()) > 0:
            self._sleep(wait_s)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            if self._to_retire:
                self._to_retire -= 1
                return
        self._slots.release()
