"""Report: one declarative value per file in ``client/reports/``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column

FILTERS = frozenset({"group_ids", "user_ids", "shift_ids"})
"""Arguments that restrict the rows."""


@dataclass(frozen=True, slots=True)
class Query:
    """One request for rows: first and last day, both inclusive, mode, columns, filters and page.

    :param limit: rows per page, 0 for all rows in one answer.
    """

    first_day: dt.date
    last_day: dt.date
    mode: str
    columns: tuple[str, ...]
    group_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    shift_ids: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    page: int = 1
    limit: int = 0

    @property
    def days(self) -> str:
        """The days, for messages: ``2026-04-01`` or ``2026-04-01..2026-04-07``."""
        first, last = self.first_day.isoformat(), self.last_day.isoformat()
        return first if first == last else f"{first}..{last}"


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode of a report.

    :param key: columns that together name one row of a day or window; always requested.
    :param default_columns: requested if the user names none; no personal ones.
    :param is_daily: True: one request per day, and every row has its day in the report's
        ``day_column``; False: one request for the window.
    """

    key: tuple[str, ...]
    default_columns: tuple[str, ...]
    is_daily: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One report of the API.

    :param name: the value of the argument ``report``; also the name of its file.
    :param path: path under the API URL; requested with POST.
    :param columns: the known columns; the list is open, an unknown one is requested and loaded as text.
    :param modes: its modes by name.
    :param day_column: the column that holds a row's day.
    :param body: returns the JSON body of a request.
    :param params: names that ``report_params`` may hold.
    :param filters: the filters it takes; ``user_ids`` only if its rows name people by the same IDs.
    """

    name: str
    path: str
    columns: Mapping[str, Column]
    modes: Mapping[str, Mode]
    day_column: str
    body: Callable[[Query], dict[str, Any]]
    params: frozenset[str] = frozenset()
    filters: frozenset[str] = FILTERS

    def mode(self, name: str) -> Mode:
        """Return the mode of that name.

        :raises We360ConfigError: the report has no such mode.
        """
        if name not in self.modes:
            raise We360ConfigError(
                f"mode: {name!r} is no mode of report {self.name!r}; use one of {', '.join(self.modes)}"
            )
        return self.modes[name]

    def column(self, name: str) -> Column:
        """Return the column of that name; an unknown one is text."""
        return self.columns.get(name) or Column(name, confirmed=False)
