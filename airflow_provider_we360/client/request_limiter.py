"""RequestLimiter: how many requests run at once, when the server wants none, and when to give up."""

from __future__ import annotations

import threading
from types import TracebackType

from airflow_provider_we360.errors import RetryableApiError, We360Error
from airflow_provider_we360.transport.retry import LONGEST_WAIT_S
from airflow_provider_we360.types import Clock, Sleep

# How long a thread may sleep on after the load was given up.
_STEP_S = 0.5


class Stopped(We360Error):
    """The extract was given up: another request failed, or its rows are no longer wanted."""


class RequestLimiter:
    """Lets a number of threads send requests at once; use it as a context around each request.

    An overloaded server halves the number and can pause all threads of the extract for a while.
    """

    def __init__(self, width: int, *, clock: Clock, sleep: Sleep) -> None:
        self._slots = threading.Semaphore(width)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._width = width
        self._to_retire = 0
        self._closed_until = 0.0
        self._clock = clock
        self._sleep = sleep

    @property
    def width(self) -> int:
        """Requests that may run at once."""
        return self._width

    def narrow(self, retry_after_s: float | None) -> None:
        """Halve the number of requests, and start none before ``retry_after_s`` have passed."""
        with self._lock:
            # Never widened again: the server has shown its limit, and a load lasts minutes.
            keep = max(1, self._width // 2)
            # Requests under way keep their slots; the slots are retired when they end.
            self._to_retire += self._width - keep
            self._width = keep
            self._closed_until = max(self._closed_until, self._clock() + (retry_after_s or 0.0))

    def stop(self) -> None:
        """Give up: every thread that waits, or sends next, gets :class:`Stopped`."""
        self._stopped.set()

    def check_not_stopped(self) -> None:
        """Raise :class:`Stopped` if the extract was given up."""
        if self._stopped.is_set():
            raise Stopped("The extract was given up")

    def pause(self, seconds: float) -> None:
        """Wait, in steps, so that no thread sleeps on after the extract was given up.

        :raises Stopped: if it is.
        """
        while seconds > 0:
            self.check_not_stopped()
            self._sleep(min(seconds, _STEP_S))
            seconds -= _STEP_S

    def __enter__(self) -> None:
        self._slots.acquire()
        try:
            self.check_not_stopped()
            while (wait_s := self._closed_until - self._clock()) > 0:
                if wait_s > LONGEST_WAIT_S:
                    # A worker slot is expensive: Airflow waits for free.
                    raise RetryableApiError(
                        f"The server wants no request for {wait_s:.0f} s", retry_after_s=wait_s
                    )
                self.pause(wait_s)
        except BaseException:
            # An error here means that the block is not entered, so __exit__ will not run.
            self._slots.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._to_retire:
                self._to_retire -= 1
                return
        self._slots.release()
