"""We360ReportSensor: waits until a day's report holds rows and the day has settled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (  # type: ignore[attr-defined]
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    conf,
    timezone,
)

from airflow_provider_we360 import errors
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.hooks.run_facts import run_facts
from airflow_provider_we360.window import day_end, resolve_window

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_we360.hooks.awaited_day import AwaitedDay
    from airflow_provider_we360.hooks.we360 import We360Hook

SETTLE_HOURS = 11.5
"""We360 takes in the HR system's data of a day at 11:00 of the next one in India: a Dag at noon need not wait."""
POKE_INTERVAL_S = 600.0
TIMEOUT_S = 12 * 3600.0
AIRFLOWS_OWN_S = 60.0
"""Airflow's own time-out of a deferral comes later than the trigger's, which says more and which ``soft_fail`` hears."""


class We360ReportSensor(BaseSensorOperator):
    """Waits until the report of a day holds at least one row, and the day ended ``settle_hours`` ago.

    The day is the last one of the window, which is chosen as the transfers choose theirs. Nothing is asked before the day has
    settled; then one row of the key columns, every ``poke_interval``. Faults that may pass are waited out. A refusal of
    login, account or arguments ends the task at once. A day on which nobody works never holds rows: the sensor times out, and
    with ``soft_fail=True`` the task is skipped.

    :param we360_conn_id: the We360 account, a Connection of type ``we360``. (templated)
    :param report: name of the report. (templated)
    :param group_ids: rows of these groups count only, a list of UUIDs. (templated)
    :param user_ids: rows of these people count only, a list of UUIDs. (templated)
    :param shift_ids: rows of these shifts count only, a list of UUIDs. (templated)
    :param report_params: further inputs of the report, where it has any. (templated)
    :param window_start: first day, or start of an interval; left out, the run decides (see "Windows" in the docs). (templated)
    :param window_end: last day, inclusive, or end of an interval: the day that is waited for. (templated)
    :param timezone: IANA name of the zone in which days are counted; left out: the We360 Connection's. (templated)
    :param settle_hours: hours from the end of the day until it counts as settled. (templated)
    :param deferrable: wait in the triggerer, without a worker; left out: ``[operators] default_deferrable``.
    :param poke_interval: seconds between two questions.
    :param timeout: seconds after which the task fails, or is skipped with ``soft_fail``; there always is one.
    """

    template_fields: Sequence[str] = (
        "we360_conn_id",
        "report",
        "group_ids",
        "user_ids",
        "shift_ids",
        "report_params",
        "window_start",
        "window_end",
        "timezone",
        "settle_hours",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "group_ids": "json",
        "user_ids": "json",
        "shift_ids": "json",
        "report_params": "json",
    }
    ui_color = "#e8f1fb"

    def __init__(
        self,
        *,
        we360_conn_id: str = "we360_default",
        report: str = "dynamic_report",
        group_ids: Collection[str] = (),
        user_ids: Collection[str] = (),
        shift_ids: Collection[str] = (),
        report_params: Mapping[str, Any] | None = None,
        window_start: Any = None,
        window_end: Any = None,
        timezone: str | None = None,
        settle_hours: float | str = SETTLE_HOURS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: dt.timedelta | float = POKE_INTERVAL_S,
        timeout: dt.timedelta | float = TIMEOUT_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.we360_conn_id = we360_conn_id
        self.report = report
        self.group_ids = group_ids
        self.user_ids = user_ids
        self.shift_ids = shift_ids
        self.report_params = report_params
        self.window_start = window_start
        self.window_end = window_end
        self.timezone = timezone
        self.settle_hours = settle_hours
        self.deferrable = deferrable

    def poke(self, context: Context) -> bool:
        """Look once."""
        with closing(self._hook()) as hook:
            return self._awaited(context, hook).is_there(hook, now=timezone.utcnow().timestamp())

    def execute(self, context: Context) -> None:
        """Wait; where ``deferrable``, look once and leave the rest to the triggerer."""
        if not self.deferrable:
            super().execute(context)
            return
        if self.soft_fail or self.never_fail:
            self._look_gently(context)
        elif not self.poke(context):
            self._leave_to_triggerer(context)

    def _look_gently(self, context: Context) -> None:
        """What fails at the first look is skipped, as it is in the other modes."""
        try:
            found = self.poke(context)
        except errors.We360Error as error:
            raise AirflowSkipException(str(error)) from None
        if not found:
            self._leave_to_triggerer(context)

    def _leave_to_triggerer(self, context: Context) -> None:
        from airflow_provider_we360.triggers.report import We360ReportTrigger

        with closing(self._hook()) as hook:
            awaited = self._awaited(context, hook)
        self.defer(
            trigger=We360ReportTrigger(
                awaited.facts(), self.poke_interval, timezone.utcnow().timestamp() + self.timeout
            ),
            method_name=self.execute_complete.__name__,
            timeout=dt.timedelta(seconds=self.timeout + AIRFLOWS_OWN_S),
        )

    def execute_complete(self, context: Context, event: dict[str, str]) -> None:  # noqa: ARG002 - Airflow hands it in
        """What the trigger has found.

        :raises AirflowSensorTimeout: time was up.
        :raises We360Error: We360 refused for good.
        """
        from airflow_provider_we360.triggers.report import FOUND, REFUSED

        if event["outcome"] == FOUND:
            self.log.info("The report holds rows, and its day has settled")
        elif event["outcome"] == REFUSED:
            kind = getattr(errors, event["error"], errors.We360Error)
            raise kind(event["message"])
        else:
            raise AirflowSensorTimeout(
                f"After {self.timeout:.0f} s the report held no rows yet, or could not be asked; look into the trigger's log. "
                "A day on which nobody works never holds any: soft_fail=True skips the task then"
            )

    def _hook(self) -> We360Hook:
        from airflow_provider_we360.hooks.we360 import We360Hook

        return We360Hook(self.we360_conn_id)

    def _awaited(self, context: Context, hook: We360Hook) -> AwaitedDay:
        from airflow_provider_we360.client.extract import require_ids
        from airflow_provider_we360.hooks.awaited_day import AwaitedDay

        zone = self.timezone or hook.settings.timezone
        _, day = resolve_window(
            run_facts(context),
            window_start=self.window_start,
            window_end=self.window_end,
            timezone=zone,
        )
        return AwaitedDay(
            we360_conn_id=self.we360_conn_id,
            report=self.report,
            day=day.isoformat(),
            settled_at=day_end(day, zone).timestamp() + 3600 * _hours(self.settle_hours),
            group_ids=require_ids(self.group_ids, "group_ids"),
            user_ids=require_ids(self.user_ids, "user_ids"),
            shift_ids=require_ids(self.shift_ids, "shift_ids"),
            report_params=dict(self.report_params) if self.report_params else None,
        )


def _hours(value: object) -> float:
    try:
        hours = float(str(value))
    except ValueError:
        hours = -1.0
    if not 0 <= hours < float("inf"):
        raise We360ConfigError(
            f"settle_hours: expected a number of hours, 0 or more, got {errors.foreign_text(repr(value), 60)}"
        )
    return hours
