"""We360ReportTrigger: wait in the triggerer until a day's report is ready or time is up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from airflow_provider_we360._compat import BaseTrigger, TriggerEvent
from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.triggers.look_threads import THREADS, LookThreads
from airflow_provider_we360.triggers.report_readiness import AwaitedDay
from airflow_provider_we360.types import Clock

log = logging.getLogger(__name__)

FOUND, TIMED_OUT, REFUSED = "found", "timed out", "refused"
LOOK_TIMEOUT_S = 60.0
"""Seconds after which a look counts as "not yet". Its thread goes on; its answer is used later."""
CLOSE_TIMEOUT_S = 10.0
MIN_PAUSE_S = 1.0
_STORED = {
    "awaited",
    "poke_interval",
    "deadline",
    "started_at",
    "exponential_backoff",
    "max_wait",
}


class We360ReportTrigger(BaseTrigger):
    """Yield one event: the report is ready, time is up, or We360 refused for good.

    Its arguments are stored in Airflow's database: names and days, no token and no password. The
    hook reads the Connection by its ID. Faults that can pass by themselves only cost another look.

    :param awaited: facts of an :class:`AwaitedDay`.
    :param poke_interval: seconds between two looks.
    :param deadline: when to give up, seconds since the epoch.
    :param started_at: when the sensor looked first, seconds since the epoch; looks are scheduled
        from it, so that a restarted triggerer keeps the schedule. None: now.
    :param exponential_backoff: double the pause after each look.
    :param max_wait: longest pause in seconds; None: no limit.
    :param hook: builds the hook of a Connection; for tests, like ``clock``, ``sleep`` and
        ``threads``.
    """

    def __init__(
        self,
        awaited: dict[str, Any],
        poke_interval: float,
        deadline: float,
        *,
        started_at: float | None = None,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        hook: Callable[[str], We360Hook] = We360Hook,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        threads: LookThreads = THREADS,
        look_timeout_s: float = LOOK_TIMEOUT_S,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.awaited = awaited
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.started_at = started_at
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self._hook = hook
        self._clock = clock
        self._sleep = sleep
        self._threads = threads
        self._look_timeout_s = look_timeout_s
        self._look: asyncio.Future[bool] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        stored = {name: value for name, value in vars(self).items() if name in _STORED}
        return f"{type(self).__module__}.{type(self).__qualname__}", stored

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        day = AwaitedDay.from_facts(self.awaited)
        hook = self._hook(day.we360_conn_id)
        try:
            yield TriggerEvent(await self._wait(day, hook))  # type: ignore[no-untyped-call]
        finally:
            # The thread of an unfinished look cannot be stopped. Its result is dropped, and closing
            # the hook ends its requests.
            if self._look is not None:
                self._look.cancel()
            await asyncio.wait({self._threads.submit(hook.close)}, timeout=CLOSE_TIMEOUT_S)

    async def _wait(self, day: AwaitedDay, hook: We360Hook) -> dict[str, str]:
        started_at = self._clock() if self.started_at is None else self.started_at
        # The sensor has just looked: the first thing to do is to wait.
        while (now := self._clock()) < self.deadline:
            # Before the day has settled its rows are incomplete: no request is worth sending.
            if now < day.settled_at:
                pause = day.settled_at - now
            else:
                pause = self._pause(now - max(started_at, day.settled_at))
            await self._sleep(min(pause, self.deadline - now))
            try:
                if await self._is_ready(day, hook):
                    return {"outcome": FOUND}
            except We360Error as error:
                return {"outcome": REFUSED, "error": type(error).__name__, "message": str(error)}
        return {"outcome": TIMED_OUT}

    def _pause(self, elapsed: float) -> float:
        """Return the seconds until the next look.

        :param elapsed: seconds since the first look.
        """
        limit = self.max_wait or float("inf")
        pause = max(self.poke_interval, MIN_PAUSE_S)
        if not self.exponential_backoff:
            return pause - elapsed % pause
        # The looks that are due are derived from the time, not counted: a triggerer that restarts
        # has no memory of the looks before.
        pause = due = max(min(pause, limit), MIN_PAUSE_S)
        while due <= elapsed:
            pause = max(min(2 * pause, limit), MIN_PAUSE_S)
            due += pause
        return due - elapsed

    async def _is_ready(self, day: AwaitedDay, hook: We360Hook) -> bool:
        if self._look is None:
            self._look = self._threads.submit(partial(day.is_ready, hook, now=self._clock()))
        # A slow server must not hold up the schedule; the look's thread ends by its own time-outs.
        done, _ = await asyncio.wait({self._look}, timeout=self._look_timeout_s)
        if not done:
            log.warning(
                "%s of %s: no answer within %.0f s; looking again later",
                day.report,
                day.day,
                self._look_timeout_s,
            )
            return False
        look, self._look = self._look, None
        return look.result()
