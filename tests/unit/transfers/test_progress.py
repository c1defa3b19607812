"""What the log says while a load is on its way: told by a clock that is handed in."""

from __future__ import annotations

import datetime as dt
import threading
import time as real_time

import pyarrow as pa
import pytest

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.transfers.progress import Progress, duration

NOW = dt.datetime(2026, 6, 30, tzinfo=dt.UTC)


class Log:
    """Lines, as they would be read; and the clock that stands over them."""

    def __init__(self):
        self.now = 100.0
        self.lines = []
        self.requests = 0

    def tell(self, line, *arguments):
        self.lines.append(line % arguments)

    def progress(self, slices):
        return Progress(
            slices, clock=lambda: self.now, tell=self.tell, requests=lambda: self.requests
        )

    def wait(self, progress, seconds):
        """Time passes; each second somebody looks, as the thread would."""
        for _ in range(seconds):
            self.now += 1
            progress.look()

    def said(self):
        """What was said since the last time."""
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def log():
    return Log()


def batch(number, rows):
    day = dt.date(2026, 6, number)
    return RowBatch((), (day, day), pa.record_batch({"x": list(range(rows))}), NOW)


def test_a_load_that_is_quick_says_nothing(log):
    progress = log.progress(2)
    assert [len(one) for one in progress.watch([batch(1, 3), batch(2, 4)])] == [3, 4]
    log.wait(progress, 4)
    assert log.lines == []
    assert (progress.rows, progress.slices_done) == (7, 2)
    assert progress.per_day == {dt.date(2026, 6, 1): 3, dt.date(2026, 6, 2): 4}


def test_every_five_seconds_it_says_how_far_it_is_how_fast_and_how_long_yet(log):
    progress = log.progress(10)
    batches = progress.watch(batch(number, 100) for number in range(1, 11))
    for _ in range(2):
        next(batches)
        log.wait(progress, 4)
    assert log.said() == ["2 of 10 slice(s), 200 rows, 40 rows/s, about 20 s to go"]
    next(batches)
    log.wait(progress, 4)
    assert log.said() == ["3 of 10 slice(s), 300 rows, 30 rows/s, about 23 s to go"]


def test_a_first_slice_that_takes_minutes_is_spoken_of_ever_less_often(log):
    progress = log.progress(3)
    log.requests = 1
    log.wait(progress, 4)
    assert log.said() == []
    log.wait(progress, 1)
    assert log.said() == [
        "0 of 3 slice(s), 0 rows; nothing new for 5 s: waiting for We360, 1 request(s) sent so far"
    ]
    log.requests = 4
    log.wait(progress, 295)
    spoken = log.said()
    lengths = [line.partition("for ")[2].partition(":")[0] for line in spoken]
    assert lengths == ["15 s", "35 s", "75 s", "2 min 15 s", "3 min 15 s", "4 min 15 s"]
    assert spoken[-1].endswith("waiting for We360, 4 request(s) sent so far")


def test_when_something_comes_again_it_speaks_often_again(log):
    progress = log.progress(30)
    batches = progress.watch(batch(number, 10) for number in range(1, 31))
    log.wait(progress, 200)
    log.said()
    next(batches)
    log.wait(progress, 60)
    assert "1 of 30 slice(s), 10 rows" in log.said()[0]
    next(batches)
    log.wait(progress, 10)
    assert [line.partition(" slice")[0] for line in log.said()] == ["2 of 30"]


def test_a_slow_target_is_not_taken_for_a_slow_server(log):
    progress = log.progress(2)
    batches = progress.watch([batch(1, 10), batch(2, 10)])
    next(batches)
    log.wait(progress, 10)
    assert (
        log.said()[-1]
        == "1 of 2 slice(s), 10 rows; nothing new for 10 s: the target is taking rows"
    )


def test_after_the_last_slice_it_speaks_of_the_target_alone(log):
    progress = log.progress(1)
    list(progress.watch([batch(1, 10)]))
    log.wait(progress, 8)
    assert log.said() == ["All 1 slice(s) read, 10 rows; the target has been taking them for 5 s"]


@pytest.mark.parametrize("error", [None, RuntimeError("a load that fails")])
def test_it_speaks_by_itself_while_nothing_comes_and_is_silent_once_the_load_has_ended(log, error):
    spoken = threading.Event()

    def tell(line, *arguments):
        log.tell(line, *arguments)
        spoken.set()

    progress = Progress(1, clock=real_time.monotonic, tell=tell, every_s=0.01)
    try:
        with progress:
            assert spoken.wait(10), "nothing was said while nothing came"
            if error:
                raise error
    except RuntimeError:
        pass
    progress._speaker.join(10)
    assert not progress._speaker.is_alive()
    said = len(log.lines)
    progress.look()
    assert len(log.lines) == said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min 0 s"), (7199, "119 min 59 s"), (7500, "2 h 5 min")],
)
def test_a_duration_reads_as_people_say_it(seconds, text):
    assert duration(seconds) == text
