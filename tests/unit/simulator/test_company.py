"""The made-up company: the same for ever, believable, and restated like a real one."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.rows.schema import Kind
from simulator.company import COLUMNS, PER_DAY_COLUMNS, Company

TESTS = Path(__file__).parents[2]
TODAY = dt.date(2026, 4, 15)
FIRST, LAST = dt.date(2026, 2, 1), dt.date(2026, 3, 31)


def company(
    *, seed: int = 360, employees: int = 50, today: dt.date = TODAY, **more: str
) -> Company:
    return Company(seed=seed, employees=employees, today=lambda: today, **more)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return company().rows(FIRST, LAST)


def test_the_same_seed_makes_the_same_company_in_another_process() -> None:
    program = (
        "import datetime as dt, hashlib; from simulator.company import Company;"
        "c = Company(seed=360, employees=50, today=lambda: dt.date(2026, 4, 15));"
        "print(hashlib.sha256(repr(c.rows(dt.date(2026, 4, 6), dt.date(2026, 4, 7))).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=TESTS
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


def test_another_seed_makes_another_company() -> None:
    assert company().rows(LAST, LAST) != company(seed=361).rows(LAST, LAST)


def test_a_row_is_the_same_whatever_window_it_was_asked_in(rows: list[dict]) -> None:
    day = dt.date(2026, 3, 10)
    assert company().rows(day, day) == [row for row in rows if row["attendance_date"] == day]


def test_a_row_is_the_same_however_many_colleagues_there_are() -> None:
    few = {
        row["identity_id"]: row["active_duration"] for row in company(employees=50).rows(LAST, LAST)
    }
    many = {
        row["identity_id"]: row["active_duration"] for row in company(employees=80).rows(LAST, LAST)
    }
    assert few.items() <= many.items()


def test_a_person_has_one_row_a_day_at_most(rows: list[dict]) -> None:
    assert max(Counter((row["attendance_date"], row["identity_id"]) for row in rows).values()) == 1


def test_every_row_holds_every_column_with_values_of_its_kind(rows: list[dict]) -> None:
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


def test_durations_add_up(rows: list[dict]) -> None:
    worked = [row for row in rows if row["online_duration"] is not None]
    for row in worked:
        assert (
            row["productive_duration"] + row["unproductive_duration"] + row["neutral_duration"]
            == row["active_duration"]
        )
        assert (
            row["active_duration"] + row["idle_duration"]
            == row["online_duration"]
            == row["online_in_sec"]
        )
        assert row["punch_duration"] == (row["punch_out"] - row["punch_in"]).total_seconds()
        assert (
            min(
                value
                for name, value in row.items()
                if name.endswith("_duration") and value is not None
            )
            >= 0
        )
    assert len(worked) > 1000


def test_percents_follow_from_durations_but_for_the_rare_one_over_a_hundred() -> None:
    worked = [row for row in company().rows(dt.date(2025, 11, 1), LAST) if row["online_duration"]]
    odd = [
        row
        for row in worked
        if row["active_percent"] != round(100 * row["active_duration"] / row["online_duration"], 2)
    ]
    assert {row["active_percent"] for row in odd} == {101.3}
    assert 0 < len(odd) < len(worked) / 100


def test_a_day_online_for_no_time_at_all_has_no_percent() -> None:
    idle = [row for row in company().rows(FIRST, LAST) if row["online_duration"] == 0]
    assert {(None, None)} == {(row["active_percent"], row["productive_percent"]) for row in idle}


def test_some_shifts_cross_midnight(rows: list[dict]) -> None:
    nights = [
        row for row in rows if row["punch_out"] and row["punch_out"].date() > row["attendance_date"]
    ]
    assert {"Night", "US Hours"} <= {row["shift_name"] for row in nights}


def test_a_night_shift_can_be_told_under_the_day_it_ends_on() -> None:
    rows = company(night_rows_on="end").rows(LAST, LAST)
    nights = [row for row in rows if row["shift_name"] == "Night" and row["punch_in"]]
    assert nights
    assert {row["punch_in"].date() for row in nights} <= {LAST - dt.timedelta(days=1), LAST}
    assert {row["shift_start_dt"] for row in nights} == {f"{LAST - dt.timedelta(days=1)} 22:00:00"}


def test_a_night_that_is_told_under_its_last_day_still_runs_on_that_day() -> None:
    rows = company(night_rows_on="end", today=LAST).rows(LAST, LAST)
    assert {None} == {row["punch_out"] for row in rows if row["shift_name"] == "Night"}


def test_nobody_is_online_for_longer_than_they_were_present() -> None:
    day = dt.date(2026, 3, 10)
    rows = company(employees=200).rows(day, day, as_of=day + dt.timedelta(days=1))
    for row in rows:
        if row["punch_out"]:
            assert row["online_duration"] + row["break_duration"] <= row["punch_duration"]


def test_sundays_and_holidays_are_nearly_empty_and_leave_is_a_row_of_nothing(
    rows: list[dict],
) -> None:
    by_day = Counter(row["attendance_date"] for row in rows)
    assert by_day[dt.date(2026, 3, 15)] < 10 < by_day[dt.date(2026, 3, 16)]
    assert company().rows(dt.date(2026, 1, 26), dt.date(2026, 1, 26)) == []
    leave = [row for row in rows if row["punch_in"] is None]
    assert {row["online_duration"] for row in leave} == {None}
    assert leave


def test_people_are_as_awkward_as_real_ones() -> None:
    people = company().people
    names = {person.first_name for person in people}
    assert any(person.last_name is None for person in people)
    assert any(person.email is None for person in people)
    assert any(person.group is None for person in people)
    assert any('"' in name for name in names)
    assert any("\u0900" <= name[0] <= "\u097f" for name in names), "Devanagari"
    assert any("\u0b80" <= name[0] <= "\u0bff" for name in names), "Tamil"
    assert any("'" in (person.last_name or "") for person in people)


def test_joiners_have_no_row_before_and_leavers_none_after() -> None:
    here = company(employees=120)
    leaver = next(
        p for p in here.people if p.last_day and p.last_day < TODAY - dt.timedelta(days=20)
    )
    joiner = next(
        p for p in here.people if dt.date(2021, 1, 1) < p.first_day < TODAY - dt.timedelta(days=20)
    )

    def days(person, first, last):
        return {
            row["attendance_date"]
            for row in here.rows(first, last)
            if row["identity_id"] == person.identity_id
        }

    month = dt.timedelta(days=12)
    assert max(days(leaver, leaver.last_day - month, leaver.last_day + month)) <= leaver.last_day
    assert min(days(joiner, joiner.first_day - month, joiner.first_day + month)) >= joiner.first_day


def test_every_mail_address_is_a_canary_in_a_domain_of_nobody() -> None:
    mails = [
        mail
        for person in company().people
        for mail in (person.email, person.secondary_email)
        if mail
    ]
    assert all(mail.startswith("canary.") for mail in mails)
    assert {mail.split("@")[1] for mail in mails} == {"acme-demo.example.com", "mail.example.net"}


def test_there_is_no_row_of_tomorrow_and_none_from_before_the_company_was_founded() -> None:
    assert company().rows(TODAY + dt.timedelta(days=1), TODAY + dt.timedelta(days=9)) == []
    assert company().rows(dt.date(2018, 1, 1), dt.date(2018, 12, 31)) == []


# how the telling changes


def tellings(day: dt.date, employees: int = 200) -> list[dict[str, dict]]:
    """The day's rows by person, at ages 0 to 12."""
    here = company(employees=employees)
    return [
        {row["identity_id"]: row for row in here.rows(day, day, as_of=day + dt.timedelta(days=age))}
        for age in range(13)
    ]


def test_a_day_that_still_runs_has_no_punch_out_and_less_of_everything() -> None:
    told = tellings(dt.date(2026, 3, 10))
    assert {row["punch_out"] for row in told[0].values()} == {None}
    assert (
        sum(r["online_duration"] or 0 for r in told[0].values())
        < sum(r["online_duration"] or 0 for r in told[1].values()) / 2
    )


def test_rows_are_restated_for_seven_days_and_then_never_again() -> None:
    told = tellings(dt.date(2026, 3, 10))
    changed = [
        sum(told[age][key] != told[age + 1].get(key) for key in told[age]) for age in range(1, 12)
    ]
    assert all(changed[:6])
    assert changed[6:] == [0] * 5


def test_some_rows_come_late_and_a_few_are_taken_back() -> None:
    late, taken_back = set(), set()
    for day in (10, 11, 12, 13):
        told = tellings(dt.date(2026, 3, day))
        late |= told[3].keys() - told[1].keys()
        taken_back |= told[3].keys() - told[4].keys()
    assert late
    assert taken_back


def test_restated_rows_still_add_up() -> None:
    for told in tellings(dt.date(2026, 3, 10)):
        for row in told.values():
            if row["online_duration"]:
                assert row["active_duration"] + row["idle_duration"] == row["online_duration"]


# summary


def test_summary_is_the_sum_of_the_days_for_each_person(rows: list[dict]) -> None:
    summary = company().rows(FIRST, LAST, "summary")
    assert {row["identity_id"] for row in summary} == {row["identity_id"] for row in rows}
    for row in summary:
        own = [
            day
            for day in rows
            if day["identity_id"] == row["identity_id"] and day["online_duration"] is not None
        ]
        for name in (
            "online_duration",
            "active_duration",
            "idle_duration",
            "break_duration",
            "key_presses",
            "online_in_sec",
        ):
            assert sum(day[name] for day in own) == row[name]
        assert (
            sum(day["productive_duration"] for day in own) // len(own) == row["avg_prod_duration"]
        )
        assert (
            round(100 * row["active_duration"] / row["online_duration"], 2) == row["active_percent"]
        )


def test_summary_has_no_column_of_a_single_day() -> None:
    row = company().rows(FIRST, LAST, "summary")[0]
    assert PER_DAY_COLUMNS & row.keys() == set()
    assert row.keys() | PER_DAY_COLUMNS == set(COLUMNS)


def test_a_month_of_work_has_hours_beyond_a_hundred() -> None:
    assert (
        max(row["online_duration"] for row in company().rows(FIRST, LAST, "summary")) > 100 * 3600
    )
