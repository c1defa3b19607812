"""The made-up company: the same on every machine, believable, and restated like a real one."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
import zoneinfo
from collections import Counter

import pytest

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sandbox.company import COLUMNS, PER_DAY_COLUMNS, Company

TODAY = dt.date(2026, 4, 15)
FIRST, LAST = dt.date(2026, 3, 1), dt.date(2026, 3, 31)
TUESDAY = dt.date(2026, 3, 10)
CATEGORIES = ("productive_duration", "unproductive_duration", "neutral_duration")


def company(
    *, seed: int = 360, employees: int = 50, today: dt.date = TODAY, **more: str
) -> Company:
    return Company(seed=seed, employees=employees, today=lambda: today, **more)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return company().rows(FIRST, LAST)


@pytest.fixture(scope="module")
def by_age() -> list[dict[str, dict]]:
    """The rows of a Tuesday by person, as they are read 0 to 12 days later."""
    here = company(employees=200)
    return [
        {
            row["identity_id"]: row
            for row in here.rows(TUESDAY, TUESDAY, as_of=TUESDAY + dt.timedelta(days=age))
        }
        for age in range(13)
    ]


# repeatable


def test_another_process_has_the_same_company() -> None:
    program = (
        "import datetime as dt, hashlib;"
        "from airflow_provider_we360.sandbox.company import Company;"
        "c = Company(seed=360, employees=50, today=lambda: dt.date(2026, 4, 15));"
        "rows = c.rows(dt.date(2026, 3, 31), dt.date(2026, 3, 31));"
        "print(hashlib.sha256(repr(rows).encode()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    rows = company().rows(LAST, LAST)
    assert done.stdout.strip() == hashlib.sha256(repr(rows).encode()).hexdigest()


def test_another_seed_makes_another_company() -> None:
    assert company().rows(LAST, LAST) != company(seed=361).rows(LAST, LAST)


def test_a_row_does_not_depend_on_the_window(rows: list[dict]) -> None:
    assert company().rows(TUESDAY, TUESDAY) == [
        row for row in rows if row["attendance_date"] == TUESDAY
    ]


def test_a_row_does_not_depend_on_the_number_of_people() -> None:
    few = {row["identity_id"]: row["active_duration"] for row in company().rows(LAST, LAST)}
    many = {
        row["identity_id"]: row["active_duration"] for row in company(employees=80).rows(LAST, LAST)
    }
    assert few.items() <= many.items()


# values


def test_a_person_has_at_most_one_row_a_day(rows: list[dict]) -> None:
    assert max(Counter((row["attendance_date"], row["identity_id"]) for row in rows).values()) == 1


def test_every_row_holds_every_column_in_its_kind(rows: list[dict]) -> None:
    kinds = {
        Kind.TEXT: str,
        Kind.DURATION: int,
        Kind.BIGINT: int,
        Kind.DOUBLE: float,
        Kind.TIMESTAMP: dt.datetime,
        Kind.DATE: dt.date,
    }
    for row in rows:
        assert tuple(row) == COLUMNS
        for name, value in row.items():
            assert value is None or type(value) is kinds[REPORT.column(name).kind], name


def test_active_is_the_sum_of_the_categories(rows: list[dict]) -> None:
    measured = [row for row in rows if row["online_duration"] is not None]
    assert len(measured) > 700
    for row in measured:
        assert row["active_duration"] == sum(row[name] for name in CATEGORIES)
        assert row["online_in_sec"] == row["online_duration"]
        assert row["punch_duration"] == (row["punch_out"] - row["punch_in"]).total_seconds()
        assert min(v for n, v in row.items() if n.endswith("_duration") and v is not None) >= 0


def test_categories_need_not_add_up_to_online(rows: list[dict]) -> None:
    """Focus time counts twice and some time belongs to no category: no code may check a sum."""
    differences = [
        sum(row[name] for name in CATEGORIES) + row["idle_duration"] - row["online_duration"]
        for row in rows
        if row["online_duration"]
    ]
    assert min(differences) < 0 < max(differences)
    assert differences.count(0) > len(differences) / 2


def test_percents_follow_from_durations_with_rare_exceptions() -> None:
    worked = [row for row in company().rows(dt.date(2025, 11, 1), LAST) if row["online_duration"]]
    odd = [
        row
        for row in worked
        if row["active_percent"] != round(100 * row["active_duration"] / row["online_duration"], 2)
    ]
    assert {row["active_percent"] for row in odd} == {101.3}
    assert 0 < len(odd) < len(worked) / 100


def test_a_day_without_online_time_has_no_percents(rows: list[dict]) -> None:
    zero_days = [row for row in rows if row["online_duration"] == 0]
    assert {(None, None)} == {
        (row["active_percent"], row["productive_percent"]) for row in zero_days
    }
    assert all(row["punch_in"] for row in zero_days)


def test_some_people_are_never_measured(rows: list[dict]) -> None:
    untracked = {person.identity_id for person in company().people if not person.is_tracked}
    theirs = [row for row in rows if row["identity_id"] in untracked]
    assert len(theirs) > 10
    assert {(row["punch_in"], row["online_duration"]) for row in theirs} == {(None, None)}


def test_online_and_break_fit_between_the_punches() -> None:
    day_after = TUESDAY + dt.timedelta(days=1)
    for row in company(employees=200).rows(TUESDAY, TUESDAY, as_of=day_after):
        if row["punch_out"]:
            assert row["online_duration"] + row["break_duration"] <= row["punch_duration"]


def test_there_are_no_rows_of_the_future_or_before_the_founding() -> None:
    assert company().rows(TODAY + dt.timedelta(days=1), TODAY + dt.timedelta(days=9)) == []
    assert company().rows(dt.date(2018, 1, 1), dt.date(2018, 12, 31)) == []


def test_days_off_are_nearly_empty_and_leave_has_no_times(rows: list[dict]) -> None:
    by_day = Counter(row["attendance_date"] for row in rows)
    assert by_day[dt.date(2026, 3, 15)] < 10 < by_day[dt.date(2026, 3, 16)]
    assert company().rows(dt.date(2026, 1, 26), dt.date(2026, 1, 26)) == []
    leave = [row for row in rows if row["punch_in"] is None]
    assert {row["online_duration"] for row in leave} == {None}


# shifts and time zones


def test_some_shifts_cross_midnight(rows: list[dict]) -> None:
    nights = [
        row for row in rows if row["punch_out"] and row["punch_out"].date() > row["attendance_date"]
    ]
    assert {"Night", "US Hours"} <= {row["shift_name"] for row in nights}


def test_a_night_shift_can_be_reported_on_its_last_day() -> None:
    rows = company(night_rows_on="end").rows(LAST, LAST)
    nights = [row for row in rows if row["shift_name"] == "Night" and row["punch_in"]]
    before = LAST - dt.timedelta(days=1)
    assert nights
    assert {row["punch_in"].date() for row in nights} <= {before, LAST}
    assert {row["shift_start_dt"] for row in nights} == {f"{before} 22:00:00"}


def test_a_night_reported_on_its_last_day_still_runs_on_it() -> None:
    rows = company(night_rows_on="end", today=LAST).rows(LAST, LAST)
    assert {None} == {row["punch_out"] for row in rows if row["shift_name"] == "Night"}


@pytest.mark.parametrize(
    ("night", "hours"), [(dt.date(2026, 3, 28), 8), (dt.date(2026, 10, 24), 10)]
)
def test_a_night_of_a_clock_change_is_an_hour_off(night: dt.date, hours: int) -> None:
    """Punches are local times, durations elapsed time: in Berlin these nights have 8 and 10 h."""
    there = company(
        employees=400, timezone="Europe/Berlin", today=dt.date(2026, 12, 1), seed=361
    ).rows(night, night)
    rows = [row for row in there if row["shift_name"] == "Night" and row["punch_out"]]
    assert rows
    for row in rows:
        wall = (row["punch_out"] - row["punch_in"]).total_seconds()
        assert wall - row["punch_duration"] == (9 - hours) * 3600


def test_no_punch_falls_into_the_hour_that_is_skipped() -> None:
    night, berlin = dt.date(2026, 3, 28), zoneinfo.ZoneInfo("Europe/Berlin")
    for row in company(employees=400, timezone="Europe/Berlin", seed=361).rows(night, night):
        for moment in (row["punch_in"], row["punch_out"]):
            if not isinstance(moment, dt.datetime):
                continue
            there = moment.replace(tzinfo=berlin)
            assert there.astimezone(dt.UTC).astimezone(berlin).replace(tzinfo=None) == moment


# people


def test_people_are_as_awkward_as_real_ones() -> None:
    people = [person.columns for person in company().people]
    names = [columns["first_name"] or "" for columns in people]
    assert any(columns["last_name"] is None for columns in people)
    assert any(person.group is None for person in company().people)
    assert any('"' in name for name in names)
    assert any("\u0900" <= name[0] <= "\u097f" for name in names), "Devanagari"
    assert any("\u0b80" <= name[0] <= "\u0bff" for name in names), "Tamil"
    assert any("'" in (columns["last_name"] or "") for columns in people)
    assert any(" " in name for name in names), "several words"


def test_emails_are_absent_made_up_or_written_carelessly() -> None:
    emails = [person.columns["email"] for person in company().people]
    assert None in emails
    assert any(email and email.endswith("@device.local") for email in emails)
    assert any(email and (email != email.strip() or email != email.lower()) for email in emails)


def test_every_email_is_a_canary_in_a_reserved_domain() -> None:
    emails = [
        email
        for person in company().people
        for email in (person.columns["email"], person.columns["secondary_email"])
        if email
    ]
    assert all(email.lower().startswith("canary.") for email in emails)
    assert {email.strip().split("@")[1] for email in emails} == {
        "acme-demo.example.com",
        "mail.example.net",
        "device.local",
    }


def test_people_have_rows_only_while_they_are_employed() -> None:
    here, month = company(employees=120), dt.timedelta(days=12)
    past = TODAY - dt.timedelta(days=20)
    leaver = next(p for p in here.people if p.is_tracked and p.last_day and p.last_day < past)
    joiner = next(p for p in here.people if dt.date(2021, 1, 1) < p.first_day < past)

    def days(person, around):
        return {
            row["attendance_date"]
            for row in here.rows(around - month, around + month)
            if row["identity_id"] == person.identity_id
        }

    assert max(days(leaver, leaver.last_day)) <= leaver.last_day
    assert min(days(joiner, joiner.first_day)) >= joiner.first_day


# how rows change with age


def test_a_day_that_still_runs_has_no_punch_out_and_less_time(by_age) -> None:
    def online(age):
        return sum(row["online_duration"] or 0 for row in by_age[age].values())

    assert {row["punch_out"] for row in by_age[0].values()} == {None}
    assert online(0) < online(1) / 2


def test_rows_are_restated_for_seven_days_and_then_never(by_age) -> None:
    changed = [
        sum(by_age[age][key] != by_age[age + 1].get(key) for key in by_age[age])
        for age in range(1, 12)
    ]
    assert all(changed[:6])
    assert changed[6:] == [0] * 5


def test_some_rows_come_late_and_a_few_are_taken_back() -> None:
    here, late, taken_back = company(employees=200), set(), set()
    for day in (TUESDAY + dt.timedelta(days=n) for n in range(4)):
        ids = {
            age: {
                row["identity_id"]
                for row in here.rows(day, day, as_of=day + dt.timedelta(days=age))
            }
            for age in (1, 3, 4)
        }
        late |= ids[3] - ids[1]
        taken_back |= ids[3] - ids[4]
    assert late
    assert taken_back


# summary


def test_a_summary_is_the_sum_of_a_persons_days(rows: list[dict]) -> None:
    summary = company().rows(FIRST, LAST, "summary")
    assert {row["identity_id"] for row in summary} == {row["identity_id"] for row in rows}
    for row in summary:
        own = [
            day
            for day in rows
            if day["identity_id"] == row["identity_id"] and day["online_duration"] is not None
        ]
        if not own:
            assert row["online_duration"] is None
            continue
        for name in ("online_duration", "active_duration", "idle_duration", "break_duration"):
            assert sum(day[name] for day in own) == row[name]
        assert sum(day["key_presses"] for day in own) == row["key_presses"]
        assert (
            sum(day["productive_duration"] for day in own) // len(own) == (row["avg_prod_duration"])
        )
        share = round(100 * row["active_duration"] / row["online_duration"], 2)
        assert share == row["active_percent"]


def test_a_summary_has_no_column_of_a_single_day() -> None:
    row = company().rows(FIRST, LAST, "summary")[0]
    assert PER_DAY_COLUMNS & row.keys() == set()
    assert row.keys() | PER_DAY_COLUMNS == set(COLUMNS)


def test_a_month_of_work_exceeds_a_hundred_hours() -> None:
    summary = company().rows(FIRST, LAST, "summary")
    assert max(row["online_duration"] or 0 for row in summary) > 100 * 3600
