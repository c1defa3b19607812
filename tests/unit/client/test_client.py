"""Days in parallel: columns agreed on first, one failure ends all, nobody sleeps on."""

from __future__ import annotations

import contextvars
import datetime as dt
import itertools
import json
import threading
import time

import httpx
import pytest

from airflow_provider_we360.client.client import (
    GROUP_DAYS,
    MOST_WAITING_BYTES,
    WAITING_PER_REQUEST,
    We360Client,
)
from airflow_provider_we360.client.extract import parse_extract
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import AccessDenied, RetryableApiError, We360ConfigError
from support.mini_api import api

FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 30)


def days_of(asked):
    first, last = (dt.date.fromisoformat(asked[name][:10]) for name in ("start_date", "end_date"))
    return [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]


def rows(asked, **values):
    """A row a day, as a server answers that has one person and no cap."""
    data = [
        dict.fromkeys(asked["columns"], "-")
        | {"attendance_date": day.isoformat(), "identity_id": "a"}
        | {name: value for name, value in values.items() if name in asked["columns"]}
        for day in days_of(asked)
    ]
    shown = data if asked["page"] == 1 else []
    return httpx.Response(200, json={"data": shown, "total": len(data), "has_next": False})


def stream(answer, *, parallel=4, last=LAST, stats=None, **arguments):
    client = We360Client(
        api(lambda request: answer(json.loads(request.content))),
        timezone="Asia/Kolkata",
        timeout_s=60,
        clock=time.time,
        sleep=time.sleep,
    )
    extract = parse_extract("dynamic_report", window=(FIRST, last), **arguments)
    return client.read(extract, max_parallel_requests=parallel, stats=stats)


def batches(answer, **arguments):
    with stream(answer, **arguments) as days:
        yield from days


def test_days_come_in_order_however_long_each_takes():
    def answer(asked):
        time.sleep(0.02 if asked["start_date"][8:10] in ("02", "05") else 0)
        return rows(asked)

    assert [batch.window[0].day for batch in batches(answer)] == list(range(1, 31))


def test_request_threads_have_the_callers_context():
    """Airflow binds the log of each trigger to the context of its caller."""
    whose = contextvars.ContextVar("whose", default="nobody")
    seen = []

    def answer(asked):
        seen.append(whose.get())
        return rows(asked)

    whose.set("caller")
    assert len(list(batches(answer))) == 30
    assert set(seen) == {"caller"}


def test_other_days_are_requested_before_rows_are_taken():
    is_asked = threading.Event()

    def answer(asked):
        if asked["start_date"][8:10] == "04":
            is_asked.set()
        return rows(asked)

    with stream(answer):
        assert is_asked.wait(timeout=10)


def test_no_request_waits_for_a_proof():
    """8 days and the request that verifies them: 3 rounds of 4 requests."""
    stats, number, four = ReadStats(), itertools.count(1), threading.Barrier(4)

    def answer(asked):
        if next(number) <= 8:
            four.wait(timeout=20)  # breaks if fewer than four requests are under way
        return rows(asked)

    assert len(list(batches(answer, last=FIRST + dt.timedelta(days=7), stats=stats))) == 8
    assert (stats.requests, stats.verification_requests) == (9, 1)


def test_at_most_one_request_in_four_verifies():
    stats = ReadStats()
    assert len(list(batches(rows, stats=stats))) == 30
    assert stats.verification_requests / stats.requests < 0.25


def test_a_batch_has_the_moment_before_its_request():
    began = dt.datetime.now(dt.UTC)
    stamps = [batch.requested_at for batch in batches(rows, last=FIRST)]
    assert began <= stamps[0] <= dt.datetime.now(dt.UTC)


def test_a_refusal_that_lists_good_columns_costs_the_bad_one():
    def answer(asked):
        if "shift_name" in asked["columns"]:
            words = "Invalid column 'shift_name'. Did you mean one of: group_name, punch_in, online_duration?"
            return httpx.Response(200, json={"status": False, "message": words})
        return rows(asked)

    with stream(answer, last=FIRST) as days:
        names = {column.name for column in days.columns}
    assert "shift_name" not in names
    assert {"group_name", "punch_in", "online_duration"} <= names


def test_a_refusal_for_another_reason_drops_no_column():
    def answer(asked):
        return httpx.Response(400, json={"message": "range too old for online_duration"})

    with pytest.raises(Exception, match="range too old"):
        next(batches(answer, last=FIRST))


def test_a_column_that_the_user_asked_for_is_never_dropped():
    def answer(asked):
        return (
            httpx.Response(400, json={"message": "Invalid column: group_name"})
            if "group_name" in asked["columns"]
            else rows(asked)
        )

    with pytest.raises(Exception, match="Invalid column: group_name"):
        next(batches(answer, last=FIRST, columns=["group_name"]))


def test_one_day_that_is_refused_ends_the_others_at_once():
    asked_days = []

    def answer(asked):
        day = asked["start_date"][8:10]
        asked_days.append(day)
        if day == "04":
            return httpx.Response(403, json={"message": "no"})
        if day in ("02", "03"):
            return httpx.Response(500)
        return rows(asked)

    began = time.monotonic()
    with pytest.raises(AccessDenied):
        list(batches(answer))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("wait_s", [61, 3600])
def test_a_long_retry_after_is_not_slept_by_any_thread(wait_s):
    def answer(asked):
        first = asked["start_date"][8:10] == "01"
        return rows(asked) if first else httpx.Response(429, headers={"Retry-After": str(wait_s)})

    began = time.monotonic()
    with pytest.raises(RetryableApiError):
        list(batches(answer))
    assert time.monotonic() - began < 40


def test_a_stream_that_is_closed_leaves_no_thread_behind():
    def answer(asked):
        first = asked["start_date"][8:10] == "01"
        return rows(asked) if first else httpx.Response(503, headers={"Retry-After": "50"})

    began = time.monotonic()
    stream(answer).close()
    assert time.monotonic() - began < 40
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("we360")]:
        assert thread.daemon, "a process does not wait for its requests"
        thread.join(3)
        assert not thread.is_alive()


@pytest.mark.parametrize("parallel", [0, -1, 33, True, "4", None])
def test_a_wrong_number_of_parallel_requests_is_named(parallel):
    with pytest.raises(We360ConfigError, match="max_parallel_requests"):
        next(batches(rows, parallel=parallel))


@pytest.mark.parametrize(
    "window",
    [
        ("2026-06-01", "2026-06-02"),
        (dt.datetime(2026, 6, 1), dt.datetime(2026, 6, 2)),
        (FIRST,),
        None,
    ],
)
def test_a_window_that_is_not_two_dates_is_named(window):
    with pytest.raises(We360ConfigError, match="window"):
        parse_extract("dynamic_report", window=window)


def test_key_columns_keep_the_reports_own_spelling():
    extract = parse_extract(
        "dynamic_report",
        window=(FIRST, LAST),
        columns=["Identity_ID", "ATTENDANCE_DATE", "group_name"],
    )
    assert [column.name for column in extract.columns] == [
        "attendance_date",
        "identity_id",
        "group_name",
    ]


def _asked_ahead(size_bytes, taken, *, parallel=2):
    """Return how many days were requested beyond those taken, when the requests come to rest."""
    days = set()

    def answer(asked):
        if len(days_of(asked)) == 1:
            days.add(asked["start_date"][:10])
        return rows(asked, group_name="x" * size_bytes)

    taking = batches(answer, parallel=parallel, columns=["group_name"])
    for _ in range(taken):
        next(taking)
    before = -1
    while before != len(days):
        before = len(days)
        time.sleep(0.4)
    taking.close()
    return len(days) - taken


def test_large_days_wait_only_as_far_as_their_bytes_allow():
    assert _asked_ahead(size_bytes=20 * 2**20, taken=2) <= MOST_WAITING_BYTES // (20 * 2**20)
    assert _asked_ahead(size_bytes=MOST_WAITING_BYTES, taken=2) <= 1


def test_large_days_after_small_ones_never_start_all_at_once():
    """A window that begins on a Sunday: the first day weighs nothing."""
    under_way, most = [0], [0]
    lock = threading.Lock()

    def answer(asked):
        is_large = asked["start_date"][8:10] != "01" and len(days_of(asked)) == 1
        with lock:
            under_way[0] += is_large
            most[0] = max(most[0], under_way[0])
        time.sleep(0.1)
        with lock:
            under_way[0] -= is_large
        return rows(asked, group_name="x" * (20 * 2**20) if is_large else "x")

    with stream(answer, columns=["group_name"]):
        time.sleep(1)
    assert most[0] <= 4


def test_small_days_wait_in_a_bounded_number():
    assert _asked_ahead(size_bytes=10, taken=1) <= WAITING_PER_REQUEST * 2 + GROUP_DAYS[0]
