"""AwaitedDay: a report's day that somebody waits for, as plain facts that a worker can hand to a triggerer."""

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
    """A local day of a report. All fields are text, numbers, or lists of text: none is a secret, and all can be stored.

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
        """The day that gave these facts; lists come back from Airflow's database in place of tuples."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.items()
        }
        return cls(**fields)

    def facts(self) -> dict[str, Any]:
        """All that it takes to make it anew."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def is_there(self, hook: We360Hook, *, now: float) -> bool:
        """Whether the day has settled and its report holds rows. Nobody is asked before it has settled.

        A fault that may pass counts as "not yet": whoever waits asks again.

        :raises We360Error: where asking again cannot help.
        """
        if now < self.settled_at:
            log.info(
                "%s of %s settles in %.0f min", self.report, self.day, (self.settled_at - now) / 60
            )
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
            log.warning("%s of %s: %s; asking again later", self.report, self.day, error)
            return False
        log.info(
            "%s of %s %s", self.report, self.day, "holds rows" if found else "holds no rows yet"
        )
        return found
