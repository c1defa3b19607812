"""Extract: the rows that a task requests, checked as a whole before the first byte is sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_we360.client import reports
from airflow_provider_we360.client.report import Mode, Query, Report
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column, parse_kinds, require_column_names
from airflow_provider_we360.types import Window

# The HTTP client opens at most 64 connections (transport/client.py), for logins as well.
MOST_PARALLEL_REQUESTS = 32


@dataclass(frozen=True, slots=True)
class Extract:
    """Rows of one report over a window.

    :param columns: the requested columns, key columns first.
    :param optional: those of them from the report's default list: dropped with a warning if the
        server refuses them by name.
    """

    report: Report
    mode: Mode
    mode_name: str
    window: Window
    columns: tuple[Column, ...]
    optional: frozenset[str]
    group_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    shift_ids: tuple[str, ...]
    params: Mapping[str, Any]

    def queries(self) -> Iterator[Query]:
        """Yield a query for each day, or one for the window if the mode has no rows by day."""
        first, last = self.window
        whole = Query(
            first_day=first,
            last_day=last,
            mode=self.mode_name,
            columns=tuple(column.name for column in self.columns),
            group_ids=self.group_ids,
            user_ids=self.user_ids,
            shift_ids=self.shift_ids,
            params=self.params,
        )
        if not self.mode.is_daily:
            yield whole
            return
        for number in range((last - first).days + 1):
            day = first + dt.timedelta(days=number)
            yield replace(whole, first_day=day, last_day=day)

    @property
    def days(self) -> int:
        """The number of queries: days, or 1 if the mode has no rows by day."""
        return (self.window[1] - self.window[0]).days + 1 if self.mode.is_daily else 1

    def without(self, names: Iterable[str]) -> Extract:
        """Return the same extract without these columns."""
        gone = frozenset(names)
        return replace(
            self, columns=tuple(column for column in self.columns if column.name not in gone)
        )


def parse_extract(
    report: str,
    *,
    window: Window,
    mode: str = "detailed",
    columns: Iterable[str] | None = None,
    group_ids: Iterable[str] = (),
    user_ids: Iterable[str] = (),
    shift_ids: Iterable[str] = (),
    report_params: Mapping[str, Any] | None = None,
    column_types: Mapping[str, str] | None = None,
) -> Extract:
    """Return the extract that these arguments describe.

    :raises We360ConfigError: an argument is wrong; the message names the first one.
    """
    chosen = reports.get(report)
    chosen_mode = chosen.mode(mode)
    first, last = _require_days(window)
    if first > last:
        raise We360ConfigError(
            f"window: begins on {first} and ends before, on {last}; give the first day first"
        )
    names = chosen_mode.default_columns if columns is None else require_column_names(columns)
    # A key column that the user writes in another case is still the key column.
    own_spelling = {name.lower(): name for name in chosen_mode.key}
    names = tuple(
        dict.fromkeys((*chosen_mode.key, *(own_spelling.get(name.lower(), name) for name in names)))
    )
    filters = {"group_ids": group_ids, "user_ids": user_ids, "shift_ids": shift_ids}
    ids = _parse_filters(chosen, filters)
    return Extract(
        report=chosen,
        mode=chosen_mode,
        mode_name=mode,
        window=(first, last),
        columns=_typed(chosen, names, column_types or {}, chosen_mode.key),
        # Only defaults are optional: a column that was named in the Dag must not vanish with a
        # warning.
        optional=frozenset(names) - set(chosen_mode.key) if columns is None else frozenset(),
        **ids,
        params=_params(chosen, report_params),
    )


def _parse_filters(
    report: Report, filters: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    """Return the IDs by filter if the report takes all filters that are given."""
    ids = {argument: require_ids(given, argument) for argument, given in filters.items()}
    if untaken := sorted(
        argument for argument, given in ids.items() if given and argument not in report.filters
    ):
        raise We360ConfigError(
            f"{', '.join(untaken)}: report {report.name!r} takes no such filter; leave it out"
        )
    return ids


def _params(report: Report, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``report_params`` if the report has all of them."""
    if given and not isinstance(given, Mapping):
        raise We360ConfigError(
            "report_params: expected a mapping of names to values; a template renders one only if the "
            "Dag has render_template_as_native_obj=True"
        )
    params = dict(given or {})
    if unknown := sorted(set(params) - report.params):
        known = ", ".join(sorted(report.params)) or "none"
        raise We360ConfigError(
            f"report_params: {', '.join(unknown)} is no parameter of report {report.name!r}; it has {known}"
        )
    return params


def _require_days(window: object) -> Window:
    if isinstance(window, tuple | list) and len(window) == 2:
        first, last = window
        if all(isinstance(day, dt.date) and not isinstance(day, dt.datetime) for day in window):
            return first, last
    raise We360ConfigError(
        "window: expected two dates, first and last local day, both inclusive: (date, date)"
    )


def require_parallel_requests(number: object) -> int:
    """Return the number of requests that may run at once.

    :raises We360ConfigError: it is no whole number from 1 to 32.
    """
    if type(number) is int and 1 <= number <= MOST_PARALLEL_REQUESTS:
        return number
    raise We360ConfigError(
        f"max_parallel_requests: must be a whole number from 1 to {MOST_PARALLEL_REQUESTS}"
    )


def _typed(
    report: Report, names: tuple[str, ...], column_types: Mapping[str, str], key: tuple[str, ...]
) -> tuple[Column, ...]:
    if not isinstance(column_types, Mapping):
        raise We360ConfigError("column_types: expected a mapping of column names to types")
    kinds = parse_kinds(column_types)
    if strangers := sorted(set(kinds) - set(names)):
        raise We360ConfigError(
            f"column_types: {', '.join(strangers)} is not among the requested columns"
        )
    if pinned := sorted(set(kinds) & set(key)):
        raise We360ConfigError(
            f"column_types: {', '.join(pinned)} is a key column, whose type is fixed"
        )
    columns = (report.column(name) for name in names)
    return tuple(
        replace(column, kind=kinds[column.name]) if column.name in kinds else column
        for column in columns
    )


def require_ids(ids: Iterable[str] | None, argument: str) -> tuple[str, ...]:
    """Return the IDs of a filter; one text may hold several, separated by commas, as templates do.

    :raises We360ConfigError: one is empty, no text, or ``None`` from a template: without a filter the
        load would contain everyone.
    """
    if ids is None or (isinstance(ids, str) and not ids.strip()):
        return ()
    given = ids.split(",") if isinstance(ids, str) else list(ids)
    parsed = []
    for one in map(str, given):
        if not one.strip() or "," in one:
            raise We360ConfigError(
                f"{argument}: expected a list of IDs (UUIDs), each a text of its own"
            )
        # The usual result of a template whose XCom or param is missing.
        if one.strip() == "None":
            raise We360ConfigError(
                f"{argument}: a template rendered 'None'; render IDs, or nothing at all to load everyone"
            )
        parsed.append(one.strip())
    return tuple(dict.fromkeys(parsed))
