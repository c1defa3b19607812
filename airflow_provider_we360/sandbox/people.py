"""The people of the made-up company: the same seed makes the same people on every machine."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import uuid
from dataclasses import dataclass
from functools import cached_property

FOUNDED = dt.date(2019, 1, 1)
"""The company has no row before this day."""
CUSTOM_COLUMNS = ("c_cost_centre", "c_grade", "c_work_mode", "keka_department", "keka_job_title")
"""Fields of this tenant and of its HR system. They land as text."""

# Names that real people have and that careless programs break on: no last name, other scripts,
# quotes, commas, leading spaces, the words Null and N/A.
# fmt: off
NAMES: tuple[tuple[str, str | None, str], ...] = (
    ("Aarav", "Sharma", "Male"), ("Priya", "Nair", "Female"), ("Ravi", None, "Male"),
    ("आराध्या", "वर्मा", "Female"), ("Siobhán", "O'Brien", "Female"), ("Lakshmi", None, "Female"),
    ("தமிழ்செல்வி", "முருகன்", "Female"), ("Imran", "Qureshi", "Male"), ("José", "Ñandú", "Male"),
    ("ഗോപിക", "മേനോൻ", "Female"), ("Gurpreet", "Singh", "Male"), ("ಕಾವ್ಯ", "ಗೌಡ", "Female"),
    ('Robert "Bobby"', "D'Souza", "Male"), ("Nguyễn", "Hoa", "Female"), ("Meera", "Iyer", "Female"),
    ("ఆదిత్య", "రెడ్డి", "Male"), ("অনন্যা", "সেন", "Female"), ("Li", "小龙", "Male"),
    ("Zoë", "van der Berg-Østergård", "Female"), ("ਹਰਲੀਨ", "ਕੌਰ", "Female"),
    ("Mohammed", "Al-Farsi; Jr.", "Male"), ("હેતલ", "પટેલ", "Female"), ("Kiran", "Null", "Other"),
    ("محمد", "خان", "Male"), ("Maria del Carmen", "Rao", "Female"), ("Neha", "N/A", "Female"),
    ("Vikram", "Rathore, MBA", "Male"), ("Suresh", None, "Male"), ("Björk", "Ðóttir", "Female"),
    ("Kavita", "  Rao", "Female"), ("Thomas", "Mathew", "Male"), ("Divya", "Reddy", "Female"),
)
"""First name, last name (None if the person has one name only), gender as We360 writes it."""
TEAMS = (
    "Engineering", "Customer Success", "Night Operations", "Finance & Payroll",
    "Sales \N{EN DASH} North", "Human Resources", "Key Accounts", "Design", "Quality",
    "Field Services",
)
DESIGNATIONS = ("Software Engineer", "Analyst", "Associate", "Support Lead", "Executive")
LOCATIONS = ("Bengaluru", "Pune", "Noida, UP", "Chennai", "Home")
SHIFTS = (
    ("General", dt.time(9, 30), dt.time(18, 30)), ("Early", dt.time(6), dt.time(15)),
    ("Late", dt.time(14), dt.time(23)), ("Night", dt.time(22), dt.time(7)),
    ("US Hours", dt.time(18, 30), dt.time(3, 30)),
)
# fmt: on


def rng_for(*facts: object) -> random.Random:
    """Return a generator seeded with these facts. Python hashes the text, so no process differs."""
    return random.Random("|".join(map(str, facts)))


def stable_uuid(*facts: object) -> str:
    """Return the same UUID for the same facts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(map(str, facts))))


@dataclass(frozen=True, slots=True)
class Team:
    """A group of the portal; reports filter by its ID."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Shift:
    """Working hours in local time. A shift whose end is not after its start ends the next day."""

    id: str
    name: str
    start: dt.time
    end: dt.time

    @property
    def crosses_midnight(self) -> bool:
        return self.end <= self.start

    def hours_on(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Return start and end of the shift that starts on this day, in local time."""
        last_day = day + dt.timedelta(days=1) if self.crosses_midnight else day
        return dt.datetime.combine(day, self.start), dt.datetime.combine(last_day, self.end)


@dataclass(frozen=True, slots=True)
class Person:
    """One employee.

    :param columns: what each of the person's rows repeats, by column name.
    :param group: None if the person is in no team.
    :param weekly_off: ``sat_sun``, ``sun`` (and the second and fourth Saturday) or ``fri``.
    :param is_tracked: False for people whom an administrator set to "Non Tracking": their rows hold
        no times at all.
    :param last_day: None if the person stays.
    """

    number: int
    identity_id: str
    columns: dict[str, str | None]
    group: Team | None
    shift: Shift
    weekly_off: str
    location: str
    is_tracked: bool
    first_day: dt.date
    last_day: dt.date | None

    def is_employed_on(self, day: dt.date) -> bool:
        return self.first_day <= day and (self.last_day is None or day <= self.last_day)


class Roster:
    """Everyone who works or worked at the company, with teams and shifts.

    Person number n is the same person in a company of any size.
    """

    def __init__(self, seed: int, employees: int, mail_domain: str) -> None:
        self._seed, self._size, self._mail_domain = seed, employees, mail_domain
        names = TEAMS[: max(1, min(len(TEAMS), employees // 5))]
        self.groups = tuple(Team(stable_uuid(seed, "group", name), name) for name in names)
        self.shifts = tuple(
            Shift(stable_uuid(seed, "shift", name), name, start, end) for name, start, end in SHIFTS
        )

    @cached_property
    def people(self) -> tuple[Person, ...]:
        return tuple(self._build_person(number) for number in range(self._size))

    def _build_person(self, number: int) -> Person:
        # A generator for each person and topic: a change for one must not change all others.
        rng = rng_for(self._seed, "person", number)
        team = self.groups[number % len(self.groups)]
        first_day, last_day = self._employment(number)
        works_nights = team.name == "Night Operations"
        identity_id = stable_uuid(self._seed, "identity", number)
        return Person(
            number=number,
            identity_id=identity_id,
            columns={"identity_id": identity_id, **self._columns(number, team, first_day, rng)},
            # Some people are in no team. Their rows have "-" there, and team filters miss them.
            group=None if number % 17 == 13 else team,
            shift=rng.choice(self.shifts[3:])
            if works_nights
            else rng.choices(self.shifts, (70, 8, 8, 8, 6))[0],
            weekly_off=rng.choices(("sat_sun", "sun", "fri"), (75, 20, 5))[0],
            location=rng.choice(LOCATIONS),
            # An administrator can set people to "Non Tracking"; their rows exist all the same.
            is_tracked=number % 40 != 37,
            first_day=first_day,
            last_day=last_day,
        )

    def _columns(
        self, number: int, team: Team, first_day: dt.date, rng: random.Random
    ) -> dict[str, str | None]:
        def sometimes(value: str, share: float) -> str | None:
            return value if rng.random() < share else None

        first_name, last_name, gender = self._name(number)
        return {
            # Leading zeros and letters: stored as a number, the ID no longer matches.
            "employee_id": f"{number + 1:06d}" if number % 2 else f"ACME-{number + 1}",
            "first_name": first_name,
            "last_name": last_name,
            "email": self._email(number),
            "secondary_email": sometimes(f"canary.{number + 1:05d}@mail.example.net", 0.3),
            "phone_number": sometimes(f"+91 0{rng.randrange(10**8):08d}", 0.8),
            "gender": sometimes(gender, 0.9),
            "designation": sometimes(rng.choice(DESIGNATIONS), 0.95),
            # The API has only the name of a manager, so two managers can look the same.
            "manager": self._manager(number),
            "created_date": f"{first_day.isoformat()} 09:{rng.randrange(60):02d}:00",
            "c_cost_centre": sometimes(f"CC-{rng.randrange(100, 130)}", 0.9),
            "c_grade": sometimes(str(rng.randrange(1, 12)), 0.9),
            "c_work_mode": sometimes(rng.choice(("Office", "Remote", "Hybrid")), 0.9),
            "keka_department": sometimes(team.name, 0.9),
            "keka_job_title": sometimes(rng.choice(DESIGNATIONS), 0.9),
        }

    def _email(self, number: int) -> str | None:
        """Return an address as tenants have them: absent, made up, in mixed case, with a space."""
        if number % 23 == 9:
            return None
        if number % 19 == 6:  # an agent that was installed without an account
            return f"canary.{hashlib.sha256(str(number).encode()).hexdigest()[:16]}@device.local"
        address = f"canary.{number + 1:05d}@{self._mail_domain}"
        return f"Canary.{address[7:]} " if number % 13 == 4 else address

    def _name(self, number: int) -> tuple[str, str | None, str]:
        """Names repeat in a company that is larger than the list, as they do in life."""
        # 7 and the length have no common factor: every name is used before one repeats.
        return NAMES[(number * 7 + self._seed) % len(NAMES)]

    def _manager(self, number: int) -> str | None:
        """Return the leader of the team; the very first person leads the leaders."""
        if number == 0:
            return None
        first, last, _ = self._name(number % len(self.groups) if number >= len(self.groups) else 0)
        return f"{first} {last.strip()}" if last else first

    def _employment(self, number: int) -> tuple[dt.date, dt.date | None]:
        """Return first and last day. One in five joined since 2020; one in seven leaves."""
        rng, first, last = rng_for(self._seed, "employment", number), FOUNDED, None
        if number >= len(self.groups):
            if rng.random() < 0.2:
                first = dt.date(2020, 1, 1) + dt.timedelta(days=rng.randrange(2900))
            if rng.random() < 0.14:
                end = max(first, dt.date(2021, 1, 1))
                last = end + dt.timedelta(days=rng.randrange(90, 2500))
        return first, last
