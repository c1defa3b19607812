"""We360DayTrigger: an asset event for each day of a report, as soon as the day has settled.

Dag files import this module each time they are parsed; what only the triggerer needs is imported
inside functions.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow_provider_we360._compat import BaseEventTrigger, TriggerEvent
from airflow_provider_we360.arguments.values import is_absent, read_hours, read_required_text
from airflow_provider_we360.client import reports
from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.window import SETTLE_HOURS, parse_timezone, settles_at

if TYPE_CHECKING:
    from airflow_provider_we360.hooks.we360 import We360Hook
    from airflow_provider_we360.types import Clock, Day

log = logging.getLogger(__name__)

POKE_INTERVAL_S = 600.0
PAUSE_AFTER_ERROR_S = 1800.0
REPORTED_DAY = "we360_reported_day"
"""Key in the asset's state store (Airflow 3.3): the last day that had an event, or had no rows."""
_ONE_DAY = dt.timedelta(days=1)
_STORED = {"we360_conn_id", "report", "timezone", "settle_hours", "poke_interval"}


class We360DayTrigger(BaseEventTrigger):
    """Yield an event for each local day that has settled and whose report holds rows.

    It is the trigger of an ``AssetWatcher`` (Airflow 3): a Dag that is scheduled on the watched
    asset loads a day once it is final, instead of at a fixed hour. The payload of the event is
    ``{"report", "window": [day, day]}``; a transfer in that Dag loads the window.

    The first day is the latest one that has settled. A day that holds no rows until the next day
    has settled, such as a day off, yields no event. An event can be repeated after a restart of the
    triggerer, and loading a day again is harmless. With Airflow 3.3 and later, the last day is kept
    in the state store of the asset, and days that settled while no triggerer ran have their
    events, too.

    The trigger never ends. If We360 refuses the login or an argument, the error is logged and the
    next request is sent half an hour later.

    :param we360_conn_id: the We360 account, a Connection of type ``we360``.
    :param report: name of the report.
    :param timezone: IANA name of the time zone in which days are counted. Default: the one of the
        We360 Connection.
    :param settle_hours: hours from the end of a day until it counts as settled.
    :param poke_interval: seconds between two looks at a day that has settled but has no rows.
    :param hook: builds the hook of a Connection; for tests, like ``clock`` and ``sleep``.
    :raises We360ConfigError: if an argument is wrong; the message names it.
    """

    def __init__(
        self,
        we360_conn_id: str = "we360_default",
        report: str = "dynamic_report",
        timezone: str | None = None,
        settle_hours: float = SETTLE_HOURS,
        poke_interval: float = POKE_INTERVAL_S,
        *,
        hook: Callable[[str], We360Hook] | None = None,
        clock: Clock = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.we360_conn_id = read_required_text(
            we360_conn_id, "we360_conn_id", "the ID of a Connection of type we360"
        )
        self.report = reports.get(report).name
        self.timezone = None if is_absent(timezone) else parse_timezone(timezone)
        self.settle_hours = read_hours(settle_hours, "settle_hours", SETTLE_HOURS)
        self.poke_interval = poke_interval
        self._hook = hook
        self._clock = clock
        self._sleep = sleep
        self._reported: Day | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        stored = {name: value for name, value in vars(self).items() if name in _STORED}
        return f"{type(self).__module__}.{type(self).__qualname__}", stored

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each day, without end."""
        self._reported = await self._read_reported_day()
        while True:
            try:
                zone = await self._read_zone()
                day = self._next_day(zone)
                has_rows = await self._wait(day, zone)
            # The triggerer would start a trigger that failed again each second.
            except Exception as error:  # noqa: BLE001
                log.error(  # noqa: TRY400 - the message says what to do, and no frame may be logged
                    "%s: %s; looking again in %.0f min",
                    self.report,
                    error if isinstance(error, We360Error) else type(error).__name__,
                    PAUSE_AFTER_ERROR_S / 60,
                )
                await self._sleep(PAUSE_AFTER_ERROR_S)
                continue
            if has_rows:
                window = [day.isoformat()] * 2
                yield TriggerEvent({"report": self.report, "window": window})  # type: ignore[no-untyped-call]
            # After the event: a day that is reported twice is harmless, a lost one is not.
            await self._keep_reported_day(day)

    async def _wait(self, day: Day, zone: str) -> bool:
        """Return True once a day has settled and holds rows, False if the next day comes first."""
        from airflow_provider_we360.triggers.report import FOUND, REFUSED, We360ReportTrigger
        from airflow_provider_we360.triggers.report_readiness import AwaitedDay

        settled_at, deadline = (self._settles_at(one, zone) for one in (day, day + _ONE_DAY))
        if deadline <= self._clock():
            # No triggerer ran, or We360 refused, until now. The load will show what the day holds.
            return True
        awaited = AwaitedDay(self.we360_conn_id, self.report, day.isoformat(), settled_at)
        wait = We360ReportTrigger(
            awaited.facts(),
            self.poke_interval,
            deadline,
            started_at=settled_at,
            clock=self._clock,
            sleep=self._sleep,
            hook=self._build_hook,
        )
        async with aclosing(wait.run()) as events:  # type: ignore[type-var]
            outcome = (await anext(events)).payload
        if outcome["outcome"] == REFUSED:
            raise We360Error(outcome["message"])
        return bool(outcome["outcome"] == FOUND)

    def _next_day(self, zone: str) -> Day:
        """Return the day after the last one that was reported, else the latest that has settled."""
        if self._reported is not None:
            return self._reported + _ONE_DAY
        shifted = self._clock() - 3600 * self.settle_hours
        return dt.datetime.fromtimestamp(shifted, ZoneInfo(zone)).date() - _ONE_DAY

    def _settles_at(self, day: Day, zone: str) -> float:
        return settles_at(day, zone, self.settle_hours).timestamp()

    def _build_hook(self, conn_id: str) -> We360Hook:
        from airflow_provider_we360.hooks.we360 import We360Hook

        return (self._hook or We360Hook)(conn_id)

    async def _read_zone(self) -> str:
        from airflow_provider_we360.triggers.look_threads import THREADS

        if self.timezone is not None:
            return self.timezone
        settings = await THREADS.submit(
            lambda: self._build_hook(self.we360_conn_id).settings  # may query Airflow's database
        )
        return parse_timezone(settings.timezone)

    async def _read_reported_day(self) -> Day | None:
        # Before Airflow 3.3 there is no store. It refuses if several assets share the trigger.
        store = getattr(self, "asset_state_store", None)
        try:
            stored = None if store is None else await store.aget(REPORTED_DAY)
            return None if stored is None else dt.date.fromisoformat(stored)
        except Exception as error:  # noqa: BLE001 - without it, one event is repeated at most
            log.warning("The last reported day cannot be read (%s)", type(error).__name__)
            return None

    async def _keep_reported_day(self, day: Day) -> None:
        self._reported = day
        store = getattr(self, "asset_state_store", None)
        try:
            if store is not None:
                await store.aset(REPORTED_DAY, day.isoformat())
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("The last reported day cannot be kept (%s)", type(error).__name__)
