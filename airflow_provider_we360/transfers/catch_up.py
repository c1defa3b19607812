"""Catching up: which days before a run's window the load log lacks.

The load log names every day that was loaded, empty days included. A day is missed if it is not
there, or only from before it had settled, when We360 may still have changed it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.arguments.values import read_count, read_hours
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.window import SETTLE_HOURS, parse_edge, settles_at

if TYPE_CHECKING:
    from airflow_provider_we360.sinks.base import LoadPlan
    from airflow_provider_we360.types import Day, Window

ARGUMENTS = ("complete_since", "max_catch_up_days", "settle_hours")
MAX_CATCH_UP_DAYS = 31
_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MissedDays:
    """Days before the window of a run that this run loads as well.

    :param windows: runs of successive days, oldest first.
    :param left: number of missed days that later runs have to load.
    """

    windows: tuple[Window, ...] = ()
    left: int = 0

    @property
    def count(self) -> int:
        """Number of days in the windows."""
        return sum((last - first).days + 1 for first, last in self.windows)


NONE_MISSED = MissedDays()


def parse_since(value: object) -> dt.date | None:
    """Return ``complete_since``; None if it is not given.

    :raises We360ConfigError: if it is no date.
    """
    since = parse_edge(value, "complete_since")
    if isinstance(since, dt.datetime):
        raise We360ConfigError(
            "complete_since: expected a date without a time, such as 2025-04-01; days are counted "
            "in the time zone of the window"
        )
    return since


def check_literals(given: Mapping[str, Any]) -> None:
    """Check the arguments that hold no template, when the Dag is parsed.

    :raises We360ConfigError: for the first argument that is wrong; the message names it.
    """
    since = parse_since(given.get("complete_since"))
    read_count(given.get("max_catch_up_days"), "max_catch_up_days", MAX_CATCH_UP_DAYS)
    read_hours(given.get("settle_hours"), "settle_hours", SETTLE_HOURS)
    if since is None:
        return
    _require_log(given.get("load_log_table", "a template"))
    _require_days(given.get("mode", "detailed"), given.get("write_mode", "replace_window"))


def find_for_operator(
    operator: Any,
    plan: LoadPlan,
    read_log: Callable[[LoadPlan], Mapping[Day, dt.datetime]],
    *,
    now: dt.datetime,
    timezone: str,
) -> MissedDays:
    """Return the days that this run has to catch up, as the rendered arguments of an operator say.

    :param read_log: returns when each day of the plan's window was requested, by the load log.
    :raises We360ConfigError: for the first argument that is wrong; the message names it.
    """
    since = parse_since(operator.complete_since)
    limit = read_count(operator.max_catch_up_days, "max_catch_up_days", MAX_CATCH_UP_DAYS)
    settle_hours = read_hours(operator.settle_hours, "settle_hours", SETTLE_HOURS)
    if since is None:
        return NONE_MISSED
    _require_log(operator.load_log_table)
    _require_days(plan.mode if plan.day_column is None else "detailed", plan.write_mode)
    if since >= plan.window[0]:
        return NONE_MISSED
    before = (since, plan.window[0] - _ONE_DAY)
    missed = find_missed_days(
        before,
        read_log(replace(plan, window=before)),
        now=now,
        timezone=timezone,
        settle_hours=settle_hours,
    )
    return MissedDays(join_days(missed[:limit]), max(0, len(missed) - limit))


def find_missed_days(
    window: Window,
    requested: Mapping[Day, dt.datetime],
    *,
    now: dt.datetime,
    timezone: str,
    settle_hours: float,
) -> list[Day]:
    """Return the days of a window that were never loaded, or not since they settled, oldest first.

    :param requested: when each day was last requested, by day.
    """
    days = [window[0] + number * _ONE_DAY for number in range((window[1] - window[0]).days + 1)]
    missed = []
    for day in days:
        settles = settles_at(day, timezone, settle_hours)
        # Loading a day again before it settles would not help: it would be missed again.
        if day not in requested or requested[day] < settles <= now:
            missed.append(day)
    return missed


def join_days(days: Collection[Day]) -> tuple[Window, ...]:
    """Return the runs of successive days, in order. Each run is one load."""
    windows: list[Window] = []
    for day in sorted(days):
        if windows and day - windows[-1][1] == _ONE_DAY:
            windows[-1] = (windows[-1][0], day)
        else:
            windows.append((day, day))
    return tuple(windows)


def plan_of(plan: LoadPlan, window: Window, loaded_at: dt.datetime) -> LoadPlan:
    """Return the plan that loads missed days, with a run ID of its own.

    An earlier try of a load is found by the run's ID. With the same ID for all, this load would
    replace the log's rows of the run's own window.
    """
    first, last = window
    run_id = f"{plan.run_id}|{first}..{last}"
    return replace(plan, window=window, run_id=run_id, loaded_at=loaded_at)


def _require_log(load_log_table: object) -> None:
    if load_log_table is None or not str(load_log_table).strip():
        raise We360ConfigError(
            "complete_since: needs load_log_table, the only record of which days were loaded; name "
            "a table for it"
        )


def _require_days(mode: object, write_mode: object) -> None:
    if str(mode).strip() == "summary":
        raise We360ConfigError(
            "complete_since: mode 'summary' sums a whole window and has no days to catch up; leave "
            "complete_since out"
        )
    if str(write_mode).strip() == "append":
        raise We360ConfigError(
            "complete_since: write_mode 'append' would add the rows of a day again; use "
            "replace_window or merge"
        )
