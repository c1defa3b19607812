"""One person's day as the report tells it, and how the telling changes while the days pass.

A row depends on the seed, the person, the day and the day's age (how many days have passed since), and on nothing else.
Age 0 is a day that still runs. Until age 7 some rows are restated: agents that were offline upload later, people's punches
are corrected, applications are sorted anew. Some rows appear late, and a few are taken back.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, replace

from simulator.names import APPLICATIONS, URLS
from simulator.people import Person
from simulator.rng import dice

SETTLED_AGE = 7
"""From this age on a row never changes again."""
HOLIDAYS = frozenset({(1, 1), (1, 26), (5, 1), (8, 15), (10, 2), (11, 9), (12, 25)})
"""Month and day."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What was measured on a day. Durations in seconds; idle and break time are beside active time."""

    punch_in: dt.datetime
    punch_out: dt.datetime | None
    productive: int
    unproductive: int
    neutral: int
    idle: int
    on_break: int
    key_presses: int
    mouse_clicks: int
    application: str | None
    application_s: int
    url: str | None
    url_s: int
    odd_percent: bool = False

    @property
    def active(self) -> int:
        return self.productive + self.unproductive + self.neutral

    @property
    def online(self) -> int:
        return self.active + self.idle


@dataclass(frozen=True, slots=True)
class Workday:
    """A row of the report: a person, a day, and what was measured; None where there is only the row (leave)."""

    person: Person
    day: dt.date
    activity: Activity | None


def workday(seed: int, person: Person, day: dt.date, age: int) -> Workday | None:
    """The row of this person and day at that age, or None where there is none."""
    if age < 0 or not person.employed(day) or _is_off(person, day):
        return None
    throw = dice(seed, "day", person.number, day.toordinal())
    fate = throw.random()
    if fate < 0.05:  # leave: half the time a row of dashes
        return Workday(person, day, None) if fate < 0.025 else None
    if _is_hidden(throw.random(), age):
        return None
    activity = _measured(throw, person, day, half=fate > 0.96)
    if age == 0:
        return Workday(person, day, _so_far(activity))
    changes = dice(seed, "change", person.number, day.toordinal())
    for _ in range(2, min(age, SETTLED_AGE) + 1):
        activity = _restated(activity, changes.random(), changes.random())
    return Workday(person, day, activity)


def _is_off(person: Person, day: dt.date) -> bool:
    if (day.month, day.day) in HOLIDAYS:
        return True
    weekday = day.weekday()
    if person.weekly_off == "fri":
        return weekday == 4
    if person.weekly_off == "sun":
        return weekday == 6 or (weekday == 5 and (day.day - 1) // 7 in {1, 3})
    return weekday >= 5


def _is_hidden(fate: float, age: int) -> bool:
    """Three rows in a hundred come a day or two late; one in a hundred is taken back at age 4."""
    if fate < 0.02:
        return age < 2
    if fate < 0.03:
        return age < 3
    return fate > 0.99 and age >= 4


def _measured(throw: random.Random, person: Person, day: dt.date, *, half: bool) -> Activity:
    start, end = person.shift.edges(day)
    if half:
        end = start + (end - start) / 2
    punch_in = start + dt.timedelta(seconds=throw.randrange(-1200, 2700))
    automatic = throw.random() < 0.06
    punch_out = end if automatic else end + dt.timedelta(seconds=throw.randrange(-1800, 5400))
    present = int((punch_out - punch_in).total_seconds())
    on_break = int(present * throw.uniform(0.04, 0.14))
    online = 0 if throw.random() < 0.01 else int((present - on_break) * throw.uniform(0.82, 1.0))
    active = int(online * throw.uniform(0.55, 0.97))
    productive = int(active * throw.uniform(0.45, 0.93))
    unproductive = int((active - productive) * throw.random())
    application_s, url_s = (
        int(active * throw.uniform(0.2, 0.6)),
        int(active * throw.uniform(0.05, 0.3)),
    )
    return Activity(
        punch_in=punch_in,
        punch_out=punch_out,
        productive=productive,
        unproductive=unproductive,
        neutral=active - productive - unproductive,
        idle=online - active,
        on_break=on_break,
        key_presses=int(active * throw.uniform(0.2, 1.4)),
        mouse_clicks=int(active * throw.uniform(0.05, 0.4)),
        application=throw.choice(APPLICATIONS) if active else None,
        application_s=application_s,
        url=throw.choice(URLS) if active and throw.random() < 0.9 else None,
        url_s=url_s,
        odd_percent=throw.random() < 0.004,
    )


def _so_far(activity: Activity) -> Activity:
    """The day still runs: nobody has punched out, and less than half is measured."""
    return replace(
        activity,
        punch_out=None,
        productive=activity.productive * 2 // 5,
        unproductive=activity.unproductive * 2 // 5,
        neutral=activity.neutral * 2 // 5,
        idle=activity.idle * 2 // 5,
        on_break=activity.on_break * 2 // 5,
        key_presses=activity.key_presses * 2 // 5,
        mouse_clicks=activity.mouse_clicks * 2 // 5,
        application_s=activity.application_s * 2 // 5,
        url_s=activity.url_s * 2 // 5,
    )


def _restated(activity: Activity, fate: float, size: float) -> Activity:
    """At each age of 2 to 7 one row in ten changes in one of three ways."""
    if fate < 0.05:  # an agent was offline, and uploads
        extra = 300 + int(size * 3300)
        return replace(
            activity,
            productive=activity.productive + extra,
            idle=activity.idle + extra // 4,
            key_presses=activity.key_presses + extra,
        )
    if fate < 0.08 and activity.punch_out is not None:  # a manager corrects the punch
        return replace(
            activity, punch_out=activity.punch_out + dt.timedelta(minutes=5 + int(size * 85))
        )
    if fate < 0.10:  # an application is now productive
        return replace(activity, productive=activity.productive + activity.neutral, neutral=0)
    return activity
