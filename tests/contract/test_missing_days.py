"""The SQL of "Watch the loads" as it stands there: which days are missing, which stale, which hold few rows."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path

import pytest

from airflow_provider_we360.sinks.base import OnEmpty
from support import loads
from support.engines import Engine
from support.loads import load

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "sql"
INDIA = zoneinfo.ZoneInfo("Asia/Kolkata")
DAY = dt.timedelta(days=1)
HAS_A_FORM = pytest.mark.engines("duckdb", "mysql", "postgres", "sqlite")
"""The engines that the page has SQL for."""


@pytest.fixture
def query(engine: Engine, table: str) -> str:
    """The page's SQL over this test's tables, from ten days ago on."""
    path = FOLDER / f"missing-days.{engine.conn_type}.sql"
    text = path.read_text()
    for theirs, ours in {
        "we360_load_log": f"{table}_log",
        "'we360_days'": f"'{table}'",
        "'acme-demo'": f"'{loads.TENANT}'",
        "2026-04-01": str(today() - 10 * DAY),
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    # The first word may be WITH: the engine hands out rows of a SELECT only.
    return f"SELECT * FROM ({text}) AS found"


def today() -> dt.date:
    return dt.datetime.now(INDIA).date()


@HAS_A_FORM
def test_the_query_finds_missing_and_stale_days(engine: Engine, table: str, query: str) -> None:
    now = dt.datetime.now(dt.UTC)

    def loaded(days_ago: int, at: dt.datetime, people: int = 1, **changes: object) -> None:
        of_day = today() - days_ago * DAY
        content = [
            {"attendance_date": of_day, "identity_id": f"p{number}"} for number in range(people)
        ]
        one = load(
            window=(of_day, of_day), run_id=f"{days_ago} {at} {changes}", loaded_at=at, **changes
        )
        engine.load(table, one, content, f"{table}_log")

    def noon_after(days_ago: int, later: int = 1) -> dt.datetime:
        return dt.datetime.combine(
            today() + (later - days_ago) * DAY, dt.time(12), INDIA
        ).astimezone(dt.UTC)

    loaded(10, noon_after(10, 8))  # a week later, long ago: its last word
    loaded(9, noon_after(9, 8), people=0)  # an empty day is a day
    loaded(8, noon_after(8))  # the day after, and never again: stale
    loaded(7, noon_after(7))
    loaded(7, now)  # the second load counts
    loaded(6, now - 37 * dt.timedelta(hours=1))  # stale
    loaded(5, now, people=3)
    loaded(5, now, people=0, on_empty=OnEmpty.KEEP, tenant="another")
    loaded(4, now, user_ids=("p0",), filters='{"user_ids": ["p0"]}')  # one person only: missing
    loaded(3, now, tenant="another")  # of another company: missing
    loaded(2, now - 30 * dt.timedelta(hours=1))  # yesterday's run: fresh enough
    # yesterday was not loaded at all: missing; today is not expected yet
    found = {str(day)[:10]: trouble for day, _, trouble in engine.execute(query)}
    assert found == {
        str(today() - ago * DAY): trouble
        for ago, trouble in {
            8: "stale",
            6: "stale",
            4: "missing",
            3: "missing",
            1: "missing",
        }.items()
    }


@HAS_A_FORM
def test_a_day_that_was_only_kept_is_missing(engine: Engine, table: str, query: str) -> None:
    now = dt.datetime.now(dt.UTC)
    days = (today() - 10 * DAY, today() - DAY)
    people = [
        {"attendance_date": days[0] + number * DAY, "identity_id": "p0"} for number in range(10)
    ]
    engine.load(table, load(window=days, loaded_at=now), people)
    engine.load(
        table, load(window=days, loaded_at=now, on_empty=OnEmpty.KEEP), people[:-1], f"{table}_log"
    )
    assert [(str(day)[:10], trouble) for day, _, trouble in engine.execute(query)] == [
        (str(days[1]), "missing")
    ]


@pytest.mark.engines("postgres", "duckdb")
def test_a_day_of_few_rows_is_measured_by_the_same_weekday(engine: Engine, table: str) -> None:
    for weeks_ago, people in ((3, 20), (2, 30), (1, 20), (0, 11)):
        for weekday, count in ((0, people), (6, 1)):
            of_day = dt.date(2026, 6, 1) + (weekday - 7 * weeks_ago) * DAY
            content = [
                {"attendance_date": of_day, "identity_id": f"p{number}"} for number in range(count)
            ]
            engine.load(
                table, load(window=(of_day, of_day), run_id=str(of_day)), content, f"{table}_log"
            )
    text = (
        (FOLDER / "few-rows.sql")
        .read_text()
        .rstrip()
        .rstrip(";")
        .replace("we360_load_log", f"{table}_log")
    )
    query = f"SELECT * FROM ({text.partition(chr(10))[2]}) AS found"
    assert [(day, count, float(usual)) for day, count, usual in engine.execute(query)] == [
        (dt.date(2026, 6, 1), 11, 70 / 3)
    ]
