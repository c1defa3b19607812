"""We360ReportSensor: wait until a day's report holds rows and the day has settled."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (  # type: ignore[attr-defined]
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    conf,
    timezone,
)

from airflow_provider_we360 import errors, links
from airflow_provider_we360.arguments.values import (
    is_absent,
    read_hours,
    read_mapping,
    read_names,
    read_required_text,
    read_text,
)
from airflow_provider_we360.run_context import read_run_facts
from airflow_provider_we360.window import SETTLE_HOURS, day_end, parse_timezone, resolve_window

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_we360.arguments.signatures import (
        Edge,
        Names,
        ReportName,
        SensorArguments,
    )
    from airflow_provider_we360.triggers.report_readiness import AwaitedDay

POKE_INTERVAL_S = 600.0
TIMEOUT_S = 12 * 3600.0
DEFERRAL_MARGIN_S = 120.0
"""Airflow's own time-out of a deferral comes later than the trigger's, whose last look may take a
minute: the trigger's event says more, and soft_fail applies to it in every version of Airflow."""
CONNECTION = "the ID of a Connection of type we360"


class We360ReportSensor(BaseSensorOperator):
    """Wait until the report of a day holds at least one row and the day ended ``settle_hours`` ago.

    The day is the last one of the window, which is resolved as in the transfers. No request is sent
    before the day has settled; then one row of the key columns is requested every
    ``poke_interval``. Faults that can pass by themselves are waited out. If We360 refuses the
    login, the account or an argument, the task fails at once. A day on which no one works never
    holds rows: the sensor times out, and with ``soft_fail=True`` the task is skipped.

    ``poke_interval``, ``timeout``, ``exponential_backoff``, ``max_wait`` and ``soft_fail`` work the
    same way in poke, reschedule and deferrable mode.

    :param we360_conn_id: the We360 account, a Connection of type ``we360``. (templated)
    :param report: name of the report. (templated)
    :param group_ids: count only rows of these groups, a list of UUIDs. (templated)
    :param user_ids: count only rows of these people, a list of UUIDs. (templated)
    :param shift_ids: count only rows of these shifts, a list of UUIDs. (templated)
    :param report_params: further inputs of the report, if it has any. (templated)
    :param window_start: first day, or start of an interval. Default: the run decides (see "Windows"
        in the docs). (templated)
    :param window_end: last day, inclusive, or end of an interval: the day to wait for. (templated)
    :param timezone: IANA name of the time zone in which days are counted. Default: the one of the
        We360 Connection. (templated)
    :param settle_hours: hours from the end of the day until it counts as settled. (templated)
    :param deferrable: wait in the triggerer, without a worker. Default:
        ``[operators] default_deferrable``.
    :param poke_interval: seconds between two looks.
    :param timeout: seconds after which the task fails, or is skipped with ``soft_fail``.
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
    operator_extra_links = (links.DocumentationLink(),)

    def __init__(
        self,
        *,
        we360_conn_id: str = "we360_default",
        report: ReportName = "dynamic_report",
        group_ids: Names = (),
        user_ids: Names = (),
        shift_ids: Names = (),
        report_params: Mapping[str, Any] | Any = None,
        window_start: Edge = None,
        window_end: Edge = None,
        timezone: str | dt.tzinfo | None = None,
        settle_hours: float | str = SETTLE_HOURS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: dt.timedelta | float = POKE_INTERVAL_S,
        timeout: dt.timedelta | float = TIMEOUT_S,
        **kwargs: Unpack[SensorArguments],
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
        self._check_literals()

    def _check_literals(self) -> None:
        from airflow_provider_we360.arguments import literals

        given = literals.find_literals(self, We360ReportSensor.template_fields)
        if "we360_conn_id" in given:
            read_required_text(given["we360_conn_id"], "we360_conn_id", CONNECTION)
        literals.check_rows(given)
        literals.check_window(given)
        read_hours(given.get("settle_hours"), "settle_hours", SETTLE_HOURS)

    def poke(self, context: Context) -> bool:
        """Look once."""
        return self._look(context)[1]

    def execute(self, context: Context) -> None:
        """Wait; if ``deferrable``, look once and leave the rest to the triggerer."""
        with links.linked_errors(self, context):
            self._execute(context)

    def _execute(self, context: Context) -> None:
        if not self.deferrable:
            super().execute(context)
            return
        # The time-out counts from the first look, as in the other modes, not from the deferral.
        started_at = timezone.utcnow().timestamp()
        try:
            day, is_ready = self._look(context)
        except AirflowFailException as error:
            # Airflow does the same for a look in poke and reschedule mode.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped (soft_fail): {error}") from error
            raise
        if not is_ready:
            self._defer(day, started_at)

    def execute_complete(self, context: Context, event: dict[str, str]) -> None:
        """Finish the task with the trigger's event.

        :raises AirflowSensorTimeout: time is up.
        :raises We360Error: We360 refused for good.
        """
        from airflow_provider_we360.triggers.report import FOUND, REFUSED

        if event["outcome"] == FOUND:
            self.log.info("The day has settled and its report holds rows")
        elif event["outcome"] == REFUSED:
            # The class decides about retries; only its name can travel through the database.
            with links.linked_errors(self, context):
                raise getattr(errors, event["error"], errors.We360Error)(event["message"])
        else:
            raise AirflowSensorTimeout(
                f"No rows after {self.timeout:,.0f} s; the report holds none yet, or We360 did not"
                " answer: see the trigger's log. A day on which no one works never holds rows; set"
                " soft_fail=True to skip the task instead"
            )

    def _look(self, context: Context) -> tuple[AwaitedDay, bool]:
        from airflow_provider_we360.hooks.we360 import We360Hook

        conn_id = read_required_text(self.we360_conn_id, "we360_conn_id", CONNECTION)
        with closing(We360Hook(conn_id)) as hook:
            zone = hook.settings.timezone if is_absent(self.timezone) else self.timezone
            day = self._resolve_day(context, conn_id, parse_timezone(zone))
            return day, day.is_ready(hook, now=timezone.utcnow().timestamp())

    def _resolve_day(self, context: Context, conn_id: str, zone: str) -> AwaitedDay:
        from airflow_provider_we360.client.extract import require_ids
        from airflow_provider_we360.triggers.report_readiness import AwaitedDay

        _, day = resolve_window(
            read_run_facts(context),
            window_start=self.window_start,
            window_end=self.window_end,
            timezone=zone,
        )
        settle_s = 3600 * read_hours(self.settle_hours, "settle_hours", SETTLE_HOURS)
        ids = {
            name: require_ids(read_names(getattr(self, name), name), name)
            for name in ("group_ids", "user_ids", "shift_ids")
        }
        return AwaitedDay(
            we360_conn_id=conn_id,
            report=read_text(self.report, "report") or "dynamic_report",
            day=day.isoformat(),
            settled_at=day_end(day, zone).timestamp() + settle_s,
            report_params=read_mapping(self.report_params, "report_params") or None,
            **ids,
        )

    def _defer(self, day: AwaitedDay, started_at: float) -> None:
        from airflow_provider_we360.triggers.report import We360ReportTrigger

        self.defer(
            trigger=We360ReportTrigger(
                day.facts(),
                self.poke_interval,
                deadline=started_at + self.timeout,
                started_at=started_at,
                exponential_backoff=bool(self.exponential_backoff),
                max_wait=None if self.max_wait is None else self.max_wait.total_seconds(),
            ),
            method_name=self.execute_complete.__name__,
            timeout=dt.timedelta(seconds=self.timeout + DEFERRAL_MARGIN_S),
        )
