"""The made-up company: typed rows of its report for any window of days, as of any day. The truth that tests compare with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.types import Row
from simulator.people import CUSTOM_COLUMNS, FOUNDED, Person, Roster
from simulator.workday import Activity, Workday, workday

COLUMNS = (*REPORT.columns, *CUSTOM_COLUMNS)
"""Every column that this tenant's report knows."""
PER_DAY_COLUMNS = frozenset(
    {"attendance_date", "shift_name", "shift_start_dt", "shift_end_dt"}
    | {name for name in REPORT.columns if name.startswith("punch_")}
)
"""Refused in summary mode: they belong to one day."""
_NO_DAY: Row = dict.fromkeys(COLUMNS)
_NO_DAYS: Row = {name: None for name in COLUMNS if name not in PER_DAY_COLUMNS}
_AVERAGES = tuple(name for name in REPORT.columns if name.startswith("avg_"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A typed row, and whose it is: filters and scopes need more than the row tells."""

    person: Person
    row: Row


class Company:
    """All people and all their days, held in no memory: each row is made when asked for.

    :param today: tells the local day; a row's values depend on how long ago its day was.
    :param night_rows_on: ``start`` or ``end``: which day a shift that crosses midnight is told under. Not documented by We360.
    """

    def __init__(
        self,
        *,
        seed: int,
        employees: int,
        today: Callable[[], dt.date],
        mail_domain: str = "acme-demo.example.com",
        night_rows_on: str = "start",
    ) -> None:
        roster = Roster(seed, employees, mail_domain)
        self.people, self.groups, self.shifts = roster.people, roster.groups, roster.shifts
        self._seed = seed
        self._today = today
        self._night_rows_on = night_rows_on

    def rows(
        self,
        first_day: dt.date,
        last_day: dt.date,
        mode: str = "detailed",
        *,
        as_of: dt.date | None = None,
    ) -> list[Row]:
        """Every row of the window, both days inclusive, with every column; ordered by day and person, or by person in summary.

        :param as_of: the local day on which one looks; today if not given.
        """
        return [entry.row for entry in self.entries(first_day, last_day, mode, as_of=as_of)]

    def entries(
        self,
        first_day: dt.date,
        last_day: dt.date,
        mode: str = "detailed",
        *,
        as_of: dt.date | None = None,
    ) -> Iterator[Entry]:
        """As ``rows``, with the person beside each row."""
        days = self._workdays(first_day, last_day, as_of or self._today())
        if mode == "detailed":
            yield from (Entry(one.person, self._daily(one)) for one in days)
            return
        by_person = sorted(days, key=lambda one: one.person.number)
        for _, own in groupby(by_person, key=lambda one: one.person.number):
            worked = list(own)
            yield Entry(worked[0].person, _summary(worked))

    def _workdays(self, first_day: dt.date, last_day: dt.date, as_of: dt.date) -> Iterator[Workday]:
        first, last = max(first_day, FOUNDED), min(last_day, as_of)
        for number in range(first.toordinal(), last.toordinal() + 1):
            day = dt.date.fromordinal(number)
            for person in self.people:
                shift_day = self._shift_day(person, day)
                if one := workday(self._seed, person, shift_day, (as_of - day).days):
                    yield Workday(person, day, one.activity)

    def _shift_day(self, person: Person, day: dt.date) -> dt.date:
        crosses = person.shift.end <= person.shift.start
        return day - dt.timedelta(days=1) if crosses and self._night_rows_on == "end" else day

    def _daily(self, one: Workday) -> Row:
        start, end = one.person.shift.edges(self._shift_day(one.person, one.day))
        row = _person_columns(one.person)
        row |= {
            "attendance_date": one.day,
            "shift_name": one.person.shift.name,
            "shift_start_dt": start.isoformat(sep=" "),
            "shift_end_dt": end.isoformat(sep=" "),
        }
        if one.activity:
            row |= _punches(one.person, one.activity) | _measures(one.activity)
        return _NO_DAY | row


def _person_columns(person: Person) -> Row:
    return {
        "identity_id": person.identity_id,
        "employee_id": person.employee_id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email": person.email,
        "secondary_email": person.secondary_email,
        "phone_number": person.phone_number,
        "gender": person.gender,
        "designation": person.designation,
        "group_name": person.group.name if person.group else None,
        "manager": person.manager,
        "created_date": person.created_date,
        **person.custom,
    }


def _punches(person: Person, activity: Activity) -> Row:
    out = activity.punch_out
    return {
        "punch_date": activity.punch_in.date(),
        "punch_in": activity.punch_in,
        "punch_out": out,
        "punch_in_location": person.location,
        "punch_out_location": person.location if out else None,
        "punch_duration": int((out - activity.punch_in).total_seconds()) if out else None,
    }


def _measures(activity: Activity) -> Row:
    return {
        **_durations(
            activity.productive,
            activity.unproductive,
            activity.neutral,
            activity.idle,
            activity.on_break,
        ),
        "key_presses": activity.key_presses,
        "mouse_clicks": activity.mouse_clicks,
        "top_application_used": activity.application,
        "top_application_duration": activity.application_s if activity.application else None,
        "top_url_used": activity.url,
        "top_url_duration": activity.url_s if activity.url else None,
    } | ({"active_percent": 101.3} if activity.odd_percent and activity.online else {})


def _durations(productive: int, unproductive: int, neutral: int, idle: int, on_break: int) -> Row:
    active = productive + unproductive + neutral
    online = active + idle
    return {
        "online_duration": online,
        "online_in_sec": online,
        "active_duration": active,
        "idle_duration": idle,
        "break_duration": on_break,
        "productive_duration": productive,
        "unproductive_duration": unproductive,
        "neutral_duration": neutral,
        "active_percent": _percent(active, online),
        "idle_percent": _percent(idle, online),
        "productive_percent": _percent(productive, active),
    }


def _summary(days: list[Workday]) -> Row:
    """Sums, averages over the days with anything measured, percents of the sums, the tops of the longest."""
    measured = [one.activity for one in days if one.activity]
    row = _person_columns(days[0].person)
    if not measured:
        return _NO_DAYS | row
    totals = _durations(
        sum(a.productive for a in measured),
        sum(a.unproductive for a in measured),
        sum(a.neutral for a in measured),
        sum(a.idle for a in measured),
        sum(a.on_break for a in measured),
    )
    row |= totals
    for name in _AVERAGES:
        long_name = name.removeprefix("avg_").replace("prod_", "productive_")
        total = totals[long_name]
        assert isinstance(total, int)
        row[name] = total // len(measured)
    application = max(measured, key=lambda a: a.application_s if a.application else -1)
    url = max(measured, key=lambda a: a.url_s if a.url else -1)
    row |= {
        "key_presses": sum(a.key_presses for a in measured),
        "mouse_clicks": sum(a.mouse_clicks for a in measured),
        "top_application_used": application.application,
        "top_application_duration": application.application_s if application.application else None,
        "top_url_used": url.url,
        "top_url_duration": url.url_s if url.url else None,
    }
    return _NO_DAYS | row


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
