"""What the log says while a load is under way, on a clock that the test moves."""

from __future__ import annotations

import datetime as dt
import threading
import time
from types import SimpleNamespace

import pyarrow as pa
import pytest

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks.base import LoadResult
from airflow_provider_we360.transfers.load_logging import (
    LoadProgress,
    format_duration,
    log_result,
)

NOW = dt.datetime(2026, 6, 30, tzinfo=dt.UTC)


class Log:
    """Records lines as they would be read, and holds the clock."""

    def __init__(self):
        self.now = 100.0
        self.lines = []
        self.written = threading.Event()

    def info(self, line, *arguments):
        self.lines.append(line % arguments)
        self.written.set()

    warning = info

    def progress(self, days):
        return LoadProgress(self, days, clock=lambda: self.now)


@pytest.fixture
def log():
    return Log()


def batch(number, rows):
    day = dt.date(2026, 6, number)
    return RowBatch((), (day, day), pa.record_batch({"x": list(range(rows))}), NOW)


def deliver(log, progress, batches, *, fetch_s=0.0, write_s=0.0):
    """Pass the batches on as a load does."""
    for one in batches:
        log.now += fetch_s
        progress.count(one)
        log.now += write_s
        progress.await_batch()


def test_quick_load_logs_no_progress(log):
    progress = log.progress(2)
    deliver(log, progress, [batch(1, 3), batch(2, 4)], fetch_s=7)
    assert log.lines == []
    assert progress.rows == 7
    assert progress.rows_per_day == {dt.date(2026, 6, 1): 3, dt.date(2026, 6, 2): 4}


def test_progress_shows_count_speed_and_time_left(log):
    progress = log.progress(10)
    deliver(log, progress, [batch(n, 1000) for n in range(1, 11)], fetch_s=5)
    assert log.lines == [
        "Fetched 3 of 10 days (3,000 rows); 200 rows/s, about 35 s left",
        "Fetched 6 of 10 days (6,000 rows); 200 rows/s, about 20 s left",
        "Fetched 9 of 10 days (9,000 rows); 200 rows/s, about 5 s left",
    ]


def test_last_batch_says_that_the_target_is_next(log):
    deliver(log, log.progress(1), [batch(1, 10)], fetch_s=20)
    assert log.lines == ["Fetched 1 of 1 day (10 rows); writing to the target"]


def test_silence_before_the_first_row_names_we360(log):
    progress = log.progress(3)
    progress.stats.add(requests=1)
    log.now += 59
    progress.log_silence(60)
    assert log.lines == []
    log.now += 1
    progress.log_silence(60)
    assert log.lines == [
        "Fetched 0 of 3 days (0 rows); waiting for We360 for 60 s (1 request sent)"
    ]


def test_silence_while_writing_names_the_target(log):
    progress = log.progress(2)
    progress.count(batch(1, 10))
    log.now += 200
    progress.log_silence(60)
    assert log.lines == [
        "Fetched 1 of 2 days (10 rows); waiting for the target for 3 min 20 s (0 requests sent)"
    ]


def test_silence_between_batches_names_we360(log):
    progress = log.progress(2)
    deliver(log, progress, [batch(1, 10)])
    log.now += 60
    progress.log_silence(60)
    assert "waiting for We360 for 60 s" in log.lines[0]


def test_silence_after_the_last_batch_names_the_target(log):
    progress = log.progress(1)
    deliver(log, progress, [batch(1, 10)])
    log.now += 60
    progress.log_silence(60)
    assert "waiting for the target for 60 s" in log.lines[0]


@pytest.mark.parametrize("error", [None, RuntimeError("a load that fails")])
def test_heartbeat_ends_with_the_load(log, error):
    progress = LoadProgress(log, 1, clock=time.monotonic)
    try:
        with progress.heartbeat(every_s=0.01):
            assert log.written.wait(10), "no heartbeat while nothing arrives"
            if error:
                raise error
    except RuntimeError:
        pass
    deadline = time.monotonic() + 10
    while any(one.name == "we360-heartbeat" for one in threading.enumerate()):
        assert time.monotonic() < deadline, "the heartbeat goes on after the load"
        time.sleep(0.01)


def test_failure_says_how_far_the_load_came(log):
    progress = log.progress(3)
    progress.count(batch(1, 1500))
    progress.stats.add(requests=4)
    log.now += 130
    with pytest.raises(KeyboardInterrupt), progress.log_failure():
        raise KeyboardInterrupt
    assert log.lines == [
        "The load failed after 2 min 10 s; fetched 1 of 3 days (1,500 rows) with 4 requests"
    ]


def finish(log, before, kept=(), rows=(41, 2500), replaced=1, changed=None, **stats):
    """Log the result of a load of two days."""
    progress = log.progress(len(rows))
    progress.stats.add(**stats)
    deliver(log, progress, [batch(n, count) for n, count in enumerate(rows, 1)], fetch_s=0.25)
    extract = SimpleNamespace(days=len(rows), mode=SimpleNamespace(is_daily=True))
    result = LoadResult(
        rows=sum(rows),
        rows_removed=replaced,
        days_kept=kept,
        where="we360_days",
        held=before,
        rows_changed=changed,
    )
    log_result(log, extract, progress, result)
    return log.lines


def test_result_names_rows_days_target_time_and_requests(log):
    before = {dt.date(2026, 6, 2): 1}
    assert finish(log, before, requests=13, verification_requests=5) == [
        "Loaded 2,541 rows for 2 days into we360_days (replaced 1) in 0.5 s",
        "Sent 13 requests, 5 of them to verify completeness",
        "Rows per day, before -> now:",
        "  2026-06-01: 0 -> 41",
        "  2026-06-02: 1 -> 2,500",
    ]


def test_result_of_a_target_that_was_not_read_shows_new_counts(log):
    assert finish(log, None)[2:] == [
        "Rows per day:",
        "  2026-06-01: 41",
        "  2026-06-02: 2,500",
    ]


def test_result_of_an_update_in_place_names_changed_rows(log):
    assert "(replaced 1, changed 1,204)" in finish(log, {}, changed=1204)[0]


def test_summary_mode_counts_windows(log):
    progress = LoadProgress(log, 1, "window", clock=lambda: log.now)
    log.now += 60
    progress.log_silence(60)
    assert log.lines[0].startswith("Fetched 0 of 1 window (0 rows); ")


def test_kept_days_show_the_rows_that_stayed(log):
    day = dt.date(2026, 6, 1)
    lines = finish(log, {day: 90}, kept=(day,))
    assert "  2026-06-01: 90 -> 90" in lines
    assert lines[-1].startswith("Kept the existing rows of 2026-06-01 (on_empty=keep)")


def test_long_windows_list_only_changed_days(log):
    rows = tuple(range(10, 40))
    before = {dt.date(2026, 6, n): count for n, count in enumerate(rows, 1) if n > 12}
    lines = finish(log, before, rows=rows)
    assert len(lines) == 2 + 1 + 10 + 2
    assert lines[3] == "  2026-06-01: 0 -> 10"
    assert lines[-2:] == ["  2 more days", "  18 days with the same number as before"]


def test_duplicates_and_an_empty_window_are_warnings(log):
    lines = finish(log, {}, rows=(0,), duplicates=1)
    assert "Received 1 row twice with equal values; loaded each once" in lines
    assert lines[-1].startswith("Received no rows for the whole window; ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min 0 s"), (7199, "119 min 59 s"), (7500, "2 h 5 min")],
)
def test_durations_read_as_people_write_them(seconds, text):
    assert format_duration(seconds) == text
