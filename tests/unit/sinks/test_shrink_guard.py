from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.sinks.base import OnEmpty
from airflow_provider_we360.sinks.shrink_guard import find_days_to_keep, is_suspect

DAYS = st.dictionaries(st.dates(dt.date(2026, 1, 1), dt.date(2026, 1, 9)), st.integers(1, 60))
MONDAY = dt.date(2026, 1, 5)


@pytest.mark.parametrize(
    ("held", "coming", "suspect"),
    [
        (0, 0, False),
        (0, 9, False),
        (1, 0, True),
        (19, 1, False),
        (20, 10, False),
        (20, 9, True),
        (21, 11, False),
        (21, 10, True),
    ],
)
def test_a_day_is_suspect_if_it_shrinks_by_more_than_half(
    held: int, coming: int, suspect: bool
) -> None:
    assert is_suspect(held, coming) is suspect


@given(DAYS, DAYS)
def test_a_load_that_brings_no_less_is_never_suspect(
    held: dict[dt.date, int], more: dict[dt.date, int]
) -> None:
    coming = {day: held.get(day, 0) + more.get(day, 0) for day in {*held, *more}}
    assert find_days_to_keep(held, coming, OnEmpty.FAIL) == ()


@given(DAYS, DAYS)
def test_fail_fails_exactly_where_keep_would_keep(
    held: dict[dt.date, int], coming: dict[dt.date, int]
) -> None:
    kept = find_days_to_keep(held, coming, OnEmpty.KEEP)
    assert set(kept) == {day for day in held if is_suspect(held[day], coming.get(day, 0))}
    assert find_days_to_keep(held, coming, OnEmpty.REPLACE) == ()
    if not kept:
        assert find_days_to_keep(held, coming, OnEmpty.FAIL) == ()
        return
    with pytest.raises(EmptyDayRefused, match=f"{kept[0]}: the target holds {held[kept[0]]} row"):
        find_days_to_keep(held, coming, OnEmpty.FAIL)


def test_the_message_names_days_counts_and_ways_out() -> None:
    with pytest.raises(EmptyDayRefused) as caught:
        find_days_to_keep({MONDAY: 40}, {MONDAY: 3}, OnEmpty.FAIL)
    for part in (
        "2026-01-05",
        "40",
        "3",
        "role",
        "filters",
        "on_empty='replace'",
        "on_empty='keep'",
    ):
        assert part in str(caught.value)


def test_a_long_list_of_days_is_cut() -> None:
    held = {MONDAY + dt.timedelta(days=number): 1 for number in range(400)}
    with pytest.raises(EmptyDayRefused, match=r"and 395 more days") as caught:
        find_days_to_keep(held, {}, OnEmpty.FAIL)
    assert len(str(caught.value)) < 700
