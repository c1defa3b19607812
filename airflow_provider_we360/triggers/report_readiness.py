"""AwaitedDay: the day of a report that a sensor waits for, and whether it is ready."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.hooks.we360 import We360Hook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AwaitedDay:
    """A local day of a report.

    All fields are text, numbers, or lists of text, so that Airflow can store them while the sensor
    is deferred. None is a secret.

    :param we360_conn_id: the Connection.
    :param day: ISO date.
    :param settled_at: when the day counts as settled, seconds since the epoch.
    """

    we360_conn_id: str
    report: str
    day: str
    settled_at: float
    group_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    shift_ids: tuple[str, ...] = ()
    report_params: Mapping[str, Any] | None = None

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> AwaitedDay:
        """Return the day that :meth:`facts` described; the database returns lists for tuples."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        return cls(**fields)

    def facts(self) -> dict[str, Any]:
        """Return everything that :meth:`from_facts` needs."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def is_ready(self, hook: We360Hook, *, now: float) -> bool:
        """Return whether the day has settled and its report holds rows.

        No request is sent before the day has settled. A fault that can pass by itself counts as
        "not yet", because the sensor looks again.

        :raises We360Error: if looking again cannot help.
        """
        if now < self.settled_at:
            minutes = (self.settled_at - now) / 60
            log.info("%s of %s settles in %.0f min", self.report, self.day, minutes)
            return False
        try:
            found = hook.has_rows(
                self.report,
                day=dt.date.fromisoformat(self.day),
                group_ids=self.group_ids,
                user_ids=self.user_ids,
                shift_ids=self.shift_ids,
                report_params=self.report_params,
            )
        except We360Error as error:
            if isinstance(error, AirflowFailException):
                raise
            log.warning("%s of %s: %s; looking again later", self.report, self.day, error)
            return False
        log.info("%s of %s holds %s", self.report, self.day, "rows" if found else "no rows yet")
        return found
