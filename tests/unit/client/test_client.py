"""Days in parallel: columns agreed on first, one failure ends all, nobody sleeps on."""

from __future__ import annotations

import contextvars
import datetime as dt
import itertools
import json
import threading

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
from support.mini_api import FakeTime, api

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


def stream(answer, *, parallel=4, last=LAST, stats=None, time=None, sleep=None, **arguments):
    time = time or FakeTime()
    client = We360Client(
        api(lambda request: answer(json.loads(request.content))),
        timezone="Asia/Kolkata",
        timeout_s=60,
        clock=time.clock,
        sleep=sleep or time.sleep,
    )
    extract = parse_extract("dynamic_report", window=(FIRST, last), **arguments)
    return client.read(extract, max_parallel_requests=parallel, stats=stats)


def batches(answer, **arguments):
    with stream(answer, **arguments) as days:
        yield from days


def request_threads():
    return [thread for thread in threading.enumerate() if thread.name == "we360-request"]


def join_requests():
    """Return when no request is under way, and none was started by the last."""
    while threads := request_threads():
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()


def test_days_come_in_order_however_long_each_takes():
    sooner = {"02": "03", "05": "06"}
    is_answered = {day: threading.Event() for day in sooner.values()}

    def answer(asked):
        day = asked["start_date"][8:10]
        if day in sooner and len(days_of(asked)) == 1:
            assert is_answered[sooner[day]].wait(60)
        if day in is_answered:
            is_answered[day].set()
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
        assert is_asked.wait(timeout=60)


def test_no_request_waits_for_a_proof():
    """8 days and the request that verifies them: 3 rounds of 4 requests."""
    stats, number, four = ReadStats(), itertools.count(1), threading.Barrier(4)

    def answer(asked):
        if next(number) <= 8:
            four.wait(timeout=60)  # breaks if fewer than four requests are under way
        return rows(asked)

    assert len(list(batches(answer, last=FIRST + dt.timedelta(days=7), stats=stats))) == 8
    assert (stats.requests, stats.verification_requests) == (9, 1)


def test_at_most_one_request_in_four_verifies():
    stats = ReadStats()
    assert len(list(batches(rows, stats=stats))) == 30
    assert stats.verification_requests / stats.requests < 0.25


def test_a_batch_has_the_moment_before_its_request():
    time = FakeTime()
    began = dt.datetime.fromtimestamp(time.now, dt.UTC)

    def answer(asked):
        time.now += 5
        return rows(asked)

    assert [batch.requested_at for batch in batches(answer, last=FIRST, time=time)] == [began]


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
    naps, refused = [], []
    is_asleep, is_asked = threading.Event(), threading.Event()

    def answer(asked):
        day = asked["start_date"][8:10]
        if day == "04":
            refused.append(threading.current_thread())
            is_asked.set()
            assert is_asleep.wait(60)
            return httpx.Response(403, json={"message": "no"})
        return httpx.Response(500) if day in ("02", "03") else rows(asked)

    def sleep_until_refused(seconds):
        naps.append(seconds)
        is_asleep.set()
        assert is_asked.wait(60)
        refused[0].join(60)

    with pytest.raises(AccessDenied):
        list(batches(answer, sleep=sleep_until_refused))
    join_requests()
    assert len(naps) <= 2
    assert max(naps) <= 0.5


@pytest.mark.parametrize("wait_s", [61, 3600])
def test_a_long_retry_after_is_not_slept_by_any_thread(wait_s):
    time = FakeTime()

    def answer(asked):
        first = asked["start_date"][8:10] == "01"
        return rows(asked) if first else httpx.Response(429, headers={"Retry-After": str(wait_s)})

    with pytest.raises(RetryableApiError):
        list(batches(answer, time=time))
    join_requests()
    assert time.naps == []


def test_a_stream_that_is_closed_leaves_no_thread_behind():
    naps, is_asleep, is_over = [], threading.Event(), threading.Event()

    def sleep(seconds):
        naps.append(seconds)
        is_asleep.set()
        assert is_over.wait(60)

    def answer(asked):
        first = asked["start_date"][8:10] == "01"
        return rows(asked) if first else httpx.Response(503, headers={"Retry-After": "50"})

    days = stream(answer, sleep=sleep)
    assert is_asleep.wait(60)
    days.close()
    assert all(thread.daemon for thread in request_threads()), "a process does not wait for them"
    is_over.set()
    join_requests()
    assert len(naps) <= 4
    assert max(naps) <= 0.5


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
    join_requests()
    taking.close()
    return len(days) - taken


def test_large_days_wait_only_as_far_as_their_bytes_allow():
    eighth = MOST_WAITING_BYTES // 8
    assert _asked_ahead(size_bytes=eighth, taken=2) <= 8 < WAITING_PER_REQUEST * 2
    assert _asked_ahead(size_bytes=5 * eighth, taken=1) <= 1


def test_no_more_requests_are_under_way_than_allowed():
    """A window that begins on a Sunday: the first day has no weight, and bounds no other."""
    first, is_over = [], threading.Event()

    def answer(asked):
        if asked["start_date"][8:10] == "01":
            first.append(threading.current_thread())
        else:
            assert is_over.wait(60)
        return rows(asked)

    with stream(answer):
        first[0].join(60)  # it starts the next request before it ends
        assert len(request_threads()) == 4
        is_over.set()


def test_small_days_wait_in_a_bounded_number():
    assert _asked_ahead(size_bytes=10, taken=1) <= WAITING_PER_REQUEST * 2 + GROUP_DAYS[0]
