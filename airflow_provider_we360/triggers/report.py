"""We360ReportTrigger: asks for a day's report now and then, until it holds rows or time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from airflow_provider_we360._compat import BaseTrigger, TriggerEvent
from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.hooks.awaited_day import AwaitedDay
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.types import Clock

FOUND, TIMED_OUT, REFUSED = "found", "timed out", "refused"


class We360ReportTrigger(BaseTrigger):
    """Ends with one event: the rows are there, time is up, or We360 has refused for good.

    What it is made of lies in Airflow's database: names and days, no token and no password. The hook logs in by the
    Connection's id. Its calls block, so they run in a thread; faults that may pass only cost another round.

    :param awaited: facts of an :class:`AwaitedDay`.
    :param poke_interval: seconds between two questions.
    :param deadline: when to give up, seconds since the epoch.
    :param hook: makes the hook of a Connection; for tests, as ``clock`` and ``sleep``.
    """

    def __init__(
        self,
        awaited: dict[str, Any],
        poke_interval: float,
        deadline: float,
        *,
        hook: Callable[[str], We360Hook] = We360Hook,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.awaited = awaited
        self.poke_interval = poke_interval
        self.deadline = deadline
        self._hook = hook
        self._clock = clock
        self._sleep = sleep

    def serialize(self) -> tuple[str, dict[str, Any]]:
        facts = {
            "awaited": self.awaited,
            "poke_interval": self.poke_interval,
            "deadline": self.deadline,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", facts

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        awaited = AwaitedDay.from_facts(self.awaited)
        hook = self._hook(awaited.we360_conn_id)
        try:
            yield TriggerEvent(await self._outcome(awaited, hook))  # type: ignore[no-untyped-call]
        finally:
            await asyncio.to_thread(hook.close)

    async def _outcome(self, awaited: AwaitedDay, hook: We360Hook) -> dict[str, str]:
        while True:
            try:
                if await asyncio.to_thread(awaited.is_there, hook, now=self._clock()):
                    return {"outcome": FOUND}
            except We360Error as error:
                return {"outcome": REFUSED, "error": type(error).__name__, "message": str(error)}
            now = self._clock()
            if now >= self.deadline:
                return {"outcome": TIMED_OUT}
            # Nobody is asked before the day has settled: sleep until then at once.
            pause = max(self.poke_interval, awaited.settled_at - now)
            await self._sleep(min(pause, self.deadline - now))
