"""Who works at the company: people, teams, shifts. Person number n is the same person for ever, whoever else is there."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

from simulator.names import DESIGNATIONS, GROUPS, LOCATIONS, NAMES
from simulator.rng import dice, lasting_uuid

FOUNDED = dt.date(2019, 1, 1)
"""No row is older."""
CUSTOM_COLUMNS = (
    "c_cost_centre",
    "c_grade",
    "c_work_mode",
    "keka_department",
    "keka_employee_number",
    "keka_job_title",
)
"""This tenant's own fields and those its HR system brought; all land as text."""


@dataclass(frozen=True, slots=True)
class Group:
    """A team."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Shift:
    """Working hours, local time. One that ends before it starts ends on the next day."""

    id: str
    name: str
    start: dt.time
    end: dt.time

    def edges(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Start and end of the shift that starts on this day."""
        start, end = dt.datetime.combine(day, self.start), dt.datetime.combine(day, self.end)
        return start, end if end > start else end + dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Person:
    """One employee.

    :param weekly_off: ``sat_sun``, ``sun`` (with the 2nd and 4th Saturday) or ``fri``.
    :param last_day: last local day at the company; None for those who stay.
    """

    number: int
    identity_id: str
    employee_id: str
    first_name: str
    last_name: str | None
    email: str | None
    secondary_email: str | None
    phone_number: str | None
    gender: str | None
    designation: str | None
    group: Group | None
    manager: str | None
    created_date: str
    shift: Shift
    weekly_off: str
    location: str
    first_day: dt.date
    last_day: dt.date | None
    custom: dict[str, str | None]

    def employed(self, day: dt.date) -> bool:
        return self.first_day <= day and (self.last_day is None or day <= self.last_day)

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name.strip()}" if self.last_name else self.first_name


class Roster:
    """All people of the company, made from a seed."""

    def __init__(self, seed: int, employees: int, mail_domain: str) -> None:
        self._seed = seed
        self._mail_domain = mail_domain
        self._size = employees
        names = GROUPS[: max(1, min(len(GROUPS), employees // 5))]
        self.groups = tuple(Group(lasting_uuid(seed, "group", name), name) for name in names)
        self.shifts = tuple(
            Shift(lasting_uuid(seed, "shift", name), name, start, end)
            for name, start, end in (
                ("General", dt.time(9, 30), dt.time(18, 30)),
                ("Early", dt.time(6), dt.time(15)),
                ("Late", dt.time(14), dt.time(23)),
                ("Night", dt.time(22), dt.time(7)),
                ("US Hours", dt.time(18, 30), dt.time(3, 30)),
            )
        )

    @cached_property
    def people(self) -> tuple[Person, ...]:
        return tuple(self._person(number) for number in range(self._size))

    def _person(self, number: int) -> Person:
        throw = dice(self._seed, "person", number)
        first_name, last_name, gender = self._name(number)
        first_day, last_day = self._employment(number)
        group = self.groups[number % len(self.groups)]
        night = group.name == "Night Operations"
        return Person(
            number=number,
            identity_id=lasting_uuid(self._seed, "identity", number),
            employee_id=f"{number + 1:06d}" if number % 2 else f"ACME-{number + 1}",
            first_name=first_name,
            last_name=last_name,
            email=None if number % 23 == 9 else f"canary.{number + 1:05d}@{self._mail_domain}",
            secondary_email=f"canary.{number + 1:05d}@mail.example.net"
            if throw.random() < 0.3
            else None,
            phone_number=f"+91 0{throw.randrange(10**8):08d}" if throw.random() < 0.8 else None,
            gender=gender if throw.random() < 0.9 else None,
            designation=throw.choice(DESIGNATIONS) if throw.random() < 0.95 else None,
            group=None if number % 17 == 13 else group,
            manager=self._manager(number),
            created_date=f"{first_day.isoformat()} 09:{throw.randrange(60):02d}:00",
            shift=throw.choice(self.shifts[3:])
            if night
            else throw.choices(self.shifts, (70, 8, 8, 8, 6))[0],
            weekly_off=throw.choices(("sat_sun", "sun", "fri"), (75, 20, 5))[0],
            location=throw.choice(LOCATIONS),
            first_day=first_day,
            last_day=last_day,
            custom=self._custom(number, group.name),
        )

    def _name(self, number: int) -> tuple[str, str | None, str]:
        """Managers have two names each; after the list is used up, names repeat, as they do in life."""
        return NAMES[(number * 7 + self._seed) % len(NAMES)]

    def _manager(self, number: int) -> str | None:
        """The first person of each team leads it, and the very first leads the leaders."""
        leader = number % len(self.groups) if number >= len(self.groups) else 0
        if number == 0:
            return None
        first, last, _ = self._name(leader)
        return f"{first} {last.strip()}" if last else first

    def _employment(self, number: int) -> tuple[dt.date, dt.date | None]:
        """Leaders were always there. Of the others one in five joined since 2020, and one in seven leaves some day."""
        throw = dice(self._seed, "employment", number)
        first, last = FOUNDED, None
        if number >= len(self.groups):
            if throw.random() < 0.2:
                first = dt.date(2020, 1, 1) + dt.timedelta(days=throw.randrange(2900))
            if throw.random() < 0.14:
                last = max(first, dt.date(2021, 1, 1)) + dt.timedelta(
                    days=throw.randrange(90, 2500)
                )
        return first, last

    def _custom(self, number: int, group: str) -> dict[str, str | None]:
        throw = dice(self._seed, "custom", number)
        values = (
            f"CC-{throw.randrange(100, 130)}",
            str(throw.randrange(1, 12)),
            throw.choice(("Office", "Remote", "Hybrid")),
            group,
            f"{throw.randrange(10**6):06d}",
            throw.choice(DESIGNATIONS),
        )
        return {
            name: value if throw.random() < 0.9 else None
            for name, value in zip(CUSTOM_COLUMNS, values, strict=True)
        }
