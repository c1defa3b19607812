"""Threads in which sensors look at reports, apart from the event loop and its default pool."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

LOOK_THREADS = 8
"""Number of looks of one triggerer at the same time; further ones wait for their turn."""


class LookThreads:
    """A small pool of daemon threads for blocking calls.

    ``asyncio.to_thread`` runs in the event loop's default pool, in which asyncio also resolves host
    names: sensors of a server that does not answer would stop all other triggers of the triggerer.
    ``ThreadPoolExecutor`` waits for its threads when the process exits; daemon threads do not keep
    a triggerer that stops.
    """

    def __init__(self, limit: int = LOOK_THREADS) -> None:
        self._limit = limit
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = 0

    def submit(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run a blocking function in one of the threads, and return a future of its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()  # Airflow binds each trigger's log to its context

        def call() -> None:
            try:
                result, error = context.run(function), None
            except BaseException as raised:  # noqa: BLE001 - handed to the caller
                result, error = None, raised
            with suppress(RuntimeError):  # the loop has ended: no one waits for the result
                loop.call_soon_threadsafe(_settle, future, result, error)

        self._calls.put(call)
        if self._threads < self._limit:
            self._threads += 1
            threading.Thread(target=self._work, name="we360-look", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


THREADS = LookThreads()
"""The threads of this process."""
