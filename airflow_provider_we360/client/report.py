"""What a report is: one declarative value a file in ``client/reports/``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column

FILTERS = frozenset({"group_ids", "user_ids", "shift_ids"})
"""Arguments that narrow the rows."""


@dataclass(frozen=True, slots=True)
class Query:
    """One request for rows: the days of a slice, both inclusive, the mode, columns, filters and page.

    :param limit: rows a page, 0 for all rows in one answer.
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
    """One way to ask a report.

    :param key: columns that together name one row of a slice; always asked for.
    :param default_columns: asked for where the user names none; no personal ones.
    :param sliced_by_day: True: one request a day, and every row carries its day in the report's ``day_column``;
        False: the whole window is one slice.
    """

    key: tuple[str, ...]
    default_columns: tuple[str, ...]
    sliced_by_day: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One report of the API.

    :param name: the name users give as ``report=``; also its file's name.
    :param path: path under the Connection's Host; asked with POST.
    :param columns: the known columns; the list is open, an unknown name is passed on and lands as text.
    :param modes: how it can be asked, by name.
    :param day_column: the column that holds a row's day.
    :param body: makes the JSON body of a request.
    :param params: names that ``report_params`` may hold.
    :param filters: which of the filters it takes; of people, only where its rows tell them by the same ids.
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
        """The mode of that name.

        :raises We360ConfigError: where the report has none such.
        """
        if name not in self.modes:
            raise We360ConfigError(
                f"mode: {name!r} is no mode of report {self.name!r}; use one of {', '.join(self.modes)}"
            )
        return self.modes[name]

    def column(self, name: str) -> Column:
        """The column of that name; an unknown one is text."""
        return self.columns.get(name) or Column(name, confirmed=False)
