"""The rows of the made-up company for any days, as they stand on any day.

A row depends on the seed, the person, the day and the day's age, the number of days since. On the
day itself it holds the time so far. Until age 7 some rows are restated, because offline agents
upload later, punches are corrected and applications are sorted again. Some rows appear late, and a
few are taken back. Tests compare what was loaded with these rows.
"""

from __future__ import annotations

import datetime as dt
import random
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.sandbox.people import CUSTOM_COLUMNS, FOUNDED, Person, Roster, rng_for
from airflow_provider_we360.types import Row

COLUMNS = (*REPORT.columns, *CUSTOM_COLUMNS)
"""Every column of this tenant's report."""
PER_DAY_COLUMNS = frozenset(
    {"attendance_date", "shift_name", "shift_start_dt", "shift_end_dt"}
    | {name for name in REPORT.columns if name.startswith("punch_")}
)
"""Columns that belong to one day. The server refuses them in summary mode."""
SETTLED_AGE = 7
"""From this age on a row no longer changes."""
HOLIDAYS = frozenset({(1, 1), (1, 26), (5, 1), (8, 15), (10, 2), (11, 9), (12, 25)})
"""Month and day."""
APPLICATIONS = ("Visual Studio Code", "Google Chrome", "Microsoft Excel", "Slack", "Zoom", "Figma")
URLS = ("github.com", "docs.google.com", "youtube.com", "jira.example.com/browse/ACME-1?a=1&b=2")

_CATEGORIES = ("productive", "unproductive", "neutral")
_DURATIONS = ("online", "active", "idle", "break", *_CATEGORIES)
_SHORT_NAMES = {"productive": "prod", "unproductive": "unprod"}
_SUMMED = (
    *(f"{name}_duration" for name in _DURATIONS),
    "online_in_sec",
    "key_presses",
    "mouse_clicks",
)
_TOPS = (
    ("top_application_used", "top_application_duration"),
    ("top_url_used", "top_url_duration"),
)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row and its person: filters and accounts need more of the person than the row holds."""

    person: Person
    row: Row


class Company:
    """Everyone and all their days. Rows are computed on request, so five years need no memory.

    :param today: returns the company's local day; no row is later.
    :param timezone: the zone of all times. Rows carry local times without an offset.
    :param night_rows_on: the day that a shift across midnight is reported under: the one on which
        it starts or ends. We360 does not document which.
    """

    def __init__(
        self,
        *,
        seed: int,
        employees: int,
        today: Callable[[], dt.date],
        timezone: str = "Asia/Kolkata",
        mail_domain: str = "acme-demo.example.com",
        night_rows_on: Literal["start", "end"] = "start",
    ) -> None:
        roster = Roster(seed, employees, mail_domain)
        self.people, self.groups, self.shifts = roster.people, roster.groups, roster.shifts
        self._seed, self._today, self._night_rows_on = seed, today, night_rows_on
        self._zone = zoneinfo.ZoneInfo(timezone)

    def rows(
        self,
        first_day: dt.date,
        last_day: dt.date,
        mode: str = "detailed",
        *,
        as_of: dt.date | None = None,
    ) -> list[Row]:
        """Return the rows of a window with every column, ordered by day and person.

        :param last_day: included.
        :param mode: ``summary`` returns one row a person instead.
        :param as_of: the local day on which the rows are read; today by default.
        """
        return [one.row for one in self.report_rows(first_day, last_day, mode, as_of=as_of)]

    def report_rows(
        self,
        first_day: dt.date,
        last_day: dt.date,
        mode: str = "detailed",
        *,
        as_of: dt.date | None = None,
    ) -> Iterator[ReportRow]:
        """Yield the same rows, each with its person."""
        as_of = as_of or self._today()
        first, last = max(first_day, FOUNDED), min(last_day, as_of)
        days = (
            ReportRow(person, row)
            for ordinal in range(first.toordinal(), last.toordinal() + 1)
            for person in self.people
            if (row := self._build_row(person, dt.date.fromordinal(ordinal), as_of)) is not None
        )
        if mode == "detailed":
            yield from days
            return
        # groupby joins neighbours only.
        by_person = sorted(days, key=lambda one: one.person.number)
        for person, own in groupby(by_person, key=lambda one: one.person):
            yield ReportRow(person, _summarize(person, [one.row for one in own]))

    def _build_row(self, person: Person, day: dt.date, as_of: dt.date) -> Row | None:
        """Return the person's row of a day, or None if there is none."""
        is_next_day = person.shift.crosses_midnight and self._night_rows_on == "end"
        shift_day = day - dt.timedelta(days=1) if is_next_day else day
        if not person.is_employed_on(shift_day) or _is_day_off(person, shift_day):
            return None
        # The person and the day alone seed the row, so it does not depend on the window.
        rng, age = rng_for(self._seed, "day", person.number, shift_day.toordinal()), as_of - day
        fate = rng.random()
        if fate < 0.025 or _is_missing(rng.random(), age.days):
            return None
        start, end = person.shift.hours_on(shift_day)
        row: Row = dict.fromkeys(COLUMNS)
        row |= _person_columns(person)
        row |= {
            "attendance_date": day,
            "shift_name": person.shift.name,
            "shift_start_dt": start.isoformat(sep=" "),
            "shift_end_dt": end.isoformat(sep=" "),
        }
        if fate < 0.05 or not person.is_tracked:  # on leave, or never measured
            return row
        # Hours are added in UTC: in a night of a clock change, local arithmetic is an hour off.
        hours = [moment.replace(tzinfo=self._zone).astimezone(dt.UTC) for moment in (start, end)]
        measures = _measure(rng, hours[0], hours[1], is_half_day=fate > 0.96)
        if age.days == 0:
            _keep_time_so_far(measures)
        # A generator of its own: age 5 repeats the changes of age 4 and adds one.
        changes = rng_for(self._seed, "change", person.number, shift_day.toordinal())
        for _ in range(2, min(age.days, SETTLED_AGE) + 1):
            _restate(measures, changes.random(), changes.random())
        return row | self._complete(person, measures)

    def _complete(self, person: Person, measures: dict[str, Any]) -> Row:
        """Return the columns that follow from what was measured; times become local ones."""
        start, end = measures["punch_in"], measures["punch_out"]
        # Rows carry local times without an offset, as the API does.
        local_start = start.astimezone(self._zone).replace(tzinfo=None)
        active = sum(measures[f"{name}_duration"] for name in _CATEGORIES)
        totals = {**measures, "active_duration": active}
        return {
            **_percents(totals),
            **totals,
            "online_in_sec": measures["online_duration"],
            "punch_date": local_start.date(),
            "punch_in": local_start,
            "punch_out": end and end.astimezone(self._zone).replace(tzinfo=None),
            "punch_duration": end and int((end - start).total_seconds()),
            "punch_in_location": person.location,
            "punch_out_location": end and person.location,
        }


def _is_day_off(person: Person, day: dt.date) -> bool:
    if (day.month, day.day) in HOLIDAYS:
        return True
    weekday = day.weekday()
    if person.weekly_off == "sun":
        return weekday == 6 or (weekday == 5 and (day.day - 1) // 7 in {1, 3})
    return weekday == 4 if person.weekly_off == "fri" else weekday >= 5


def _is_missing(fate: float, age: int) -> bool:
    """Three rows in a hundred come a day or two late; one in a hundred is taken back at age 4."""
    return (fate < 0.02 and age < 2) or (fate < 0.03 and age < 3) or (fate > 0.99 and age >= 4)


def _measure(
    rng: random.Random, start: dt.datetime, end: dt.datetime, *, is_half_day: bool
) -> dict[str, Any]:
    """Return the measured columns of a whole day, punches in UTC.

    Online time is at most the time between the punches less breaks. The categories need not add up
    to it: a passive meeting in a Focus application counts as active although it is idle time, and
    some online time belongs to no category.
    """
    end = start + (end - start) / 2 if is_half_day else end
    punch_in = start + dt.timedelta(seconds=rng.randrange(-1200, 2700))
    # We360 punches people out at the end of the shift if they forget to.
    is_automatic = rng.random() < 0.06
    late = dt.timedelta(seconds=rng.randrange(-1800, 5400))
    punch_out = end if is_automatic else end + late
    present = int((punch_out - punch_in).total_seconds())
    on_break = int(present * rng.uniform(0.04, 0.14))
    online = 0 if rng.random() < 0.02 else int((present - on_break) * rng.uniform(0.82, 1.0))
    active = int(online * rng.uniform(0.55, 0.97))
    productive = int(active * rng.uniform(0.45, 0.93))
    unproductive = int((active - productive) * rng.random())
    neutral, idle = active - productive - unproductive, online - active
    # Sums that do not match are normal in live answers; no reader may rely on them.
    odd = rng.random()
    if odd < 0.10:
        productive += idle // 2
    elif odd < 0.30:
        idle -= idle // 4
    has_url = active > 0 and rng.random() < 0.9
    measures = {
        "punch_in": punch_in,
        "punch_out": punch_out,
        "online_duration": online,
        "idle_duration": idle,
        "break_duration": on_break,
        "productive_duration": productive,
        "unproductive_duration": unproductive,
        "neutral_duration": neutral,
        "key_presses": int(active * rng.uniform(0.2, 1.4)),
        "mouse_clicks": int(active * rng.uniform(0.05, 0.4)),
        "top_application_used": rng.choice(APPLICATIONS) if active else None,
        "top_application_duration": int(active * rng.uniform(0.2, 0.6)) if active else None,
        "top_url_used": rng.choice(URLS) if has_url else None,
        "top_url_duration": int(active * rng.uniform(0.05, 0.3)) if has_url else None,
    }
    if online and rng.random() < 0.004:
        measures["active_percent"] = 101.3  # seen in live answers
    return measures


def _keep_time_so_far(measures: dict[str, Any]) -> None:
    """Reduce a day to its first part, before anyone has punched out."""
    for name, value in measures.items():
        if isinstance(value, int):
            measures[name] = value * 2 // 5
    measures["punch_out"] = None


def _restate(measures: dict[str, Any], fate: float, size: float) -> None:
    """Change one row in ten in one of three ways."""
    if fate < 0.05:  # an agent was offline and uploads
        extra = 300 + int(size * 3300)
        measures["productive_duration"] += extra
        measures["idle_duration"] += extra // 4
        measures["online_duration"] += extra + extra // 4
        measures["key_presses"] += extra
    elif fate < 0.08 and measures["punch_out"] is not None:  # a manager corrects the punch
        measures["punch_out"] += dt.timedelta(minutes=5 + int(size * 85))
    elif fate < 0.10:  # an application is productive from now on
        measures["productive_duration"] += measures["neutral_duration"]
        measures["neutral_duration"] = 0


def _percents(totals: dict[str, Any]) -> Row:
    def share(part: str, whole: str) -> float | None:
        divisor = totals[f"{whole}_duration"]
        return round(100 * totals[f"{part}_duration"] / divisor, 2) if divisor else None

    return {
        "active_percent": share("active", "online"),
        "idle_percent": share("idle", "online"),
        "productive_percent": share("productive", "active"),
    }


def _summarize(person: Person, rows: Sequence[dict[str, Any]]) -> Row:
    """Return sums, averages over measured days, percents of the sums, and the longest tops."""
    measured = [row for row in rows if row["online_duration"] is not None]
    summary: dict[str, Any] = dict.fromkeys(n for n in COLUMNS if n not in PER_DAY_COLUMNS)
    summary |= _person_columns(person)
    if not measured:
        return summary
    summary |= {name: sum(row[name] for row in measured) for name in _SUMMED}
    for name in _DURATIONS:
        average = f"avg_{_SHORT_NAMES.get(name, name)}_duration"
        summary[average] = summary[f"{name}_duration"] // len(measured)
    for used, duration in _TOPS:
        # A day without an application has None there, which must lose against 0 seconds.
        longest = max(measured, key=lambda row: row[duration] or -1)
        summary |= {used: longest[used], duration: longest[duration]}
    return summary | _percents(summary)


def _person_columns(person: Person) -> Row:
    return {**person.columns, "group_name": person.group.name if person.group else None}
