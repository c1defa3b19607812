"""The log of a load: what it will do and why, how far it is, and what changed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.types import Clock, Day, Window

if TYPE_CHECKING:
    from airflow_provider_we360.client.extract import Extract
    from airflow_provider_we360.rows.batch import RowBatch
    from airflow_provider_we360.sinks.base import LoadPlan, LoadResult
    from airflow_provider_we360.transfers.catch_up import MissedDays

PROGRESS_S = 15.0
"""Seconds between two progress lines while rows arrive."""
HEARTBEAT_S = 60.0
"""Seconds between two lines while nothing arrives."""
NAMED_DAYS = 10
"""Number of days that are listed one by one; more would fill the screen."""


class LoadProgress:
    """Counts the rows of a load and logs how far it is.

    :param log: the task's logger.
    :param days: number of days that will arrive.
    :param unit: what one batch covers: a day, or the whole window in ``summary`` mode.
    :param clock: any clock that only goes forward, in seconds.
    """

    def __init__(self, log: Any, days: int, unit: str = "day", *, clock: Clock) -> None:
        self.unit = unit
        self.stats = ReadStats()
        self.rows = 0
        self.rows_per_day: dict[Day, int] = {}
        """Rows by day; by the window's first day in ``summary`` mode."""
        self._log = log
        self._days = days
        self._clock = clock
        self._waiting_for = "We360"
        self._started = self._logged = self._changed = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def __str__(self) -> str:
        fetched = f"{len(self.rows_per_day):,} of {format_count(self._days, self.unit)}"
        return f"{fetched} ({format_count(self.rows, 'row')})"

    def count(self, batch: RowBatch) -> None:
        """Count a batch that has arrived and goes to the target; log the progress if it is due."""
        self.rows += len(batch)
        self.rows_per_day[batch.window[0]] = len(batch)
        self._await("the target")
        # Logged from here and not by a timer: a load that takes less than 15 s logs no progress.
        done = len(self.rows_per_day)
        if self._clock() - self._logged < PROGRESS_S:
            return
        self._logged = self._clock()
        if done == self._days:
            self._log.info("Fetched %s; writing to the target", self)
            return
        # Days differ in size; the mean of all days so far is the steadiest estimate.
        left = format_duration(self.seconds / done * (self._days - done))
        speed = self.rows / max(self.seconds, 1e-9)
        self._log.info("Fetched %s; %s rows/s, about %s left", self, f"{speed:,.0f}", left)

    def await_batch(self) -> None:
        """Note that the target has taken the last batch."""
        if len(self.rows_per_day) < self._days:
            self._await("We360")

    @contextmanager
    def heartbeat(self, every_s: float = HEARTBEAT_S) -> Iterator[None]:
        """Log once a minute while nothing arrives: a slow load must not look like a hung one."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(every_s):
                self.log_silence(every_s)

        # A daemon: a task that has failed must end even while this thread waits. It only reads
        # counters, so it needs no lock.
        threading.Thread(target=beat, name="we360-heartbeat", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    @contextmanager
    def log_failure(self) -> Iterator[None]:
        """Log how far the load came if it fails. The error itself says what to do."""
        try:
            yield
        except BaseException:
            self._log.info(
                "The load failed after %s; fetched %s with %s",
                format_duration(self.seconds),
                self,
                format_count(self.stats.requests, "request"),
            )
            raise

    def log_silence(self, longer_than_s: float) -> None:
        """Log whom the load waits for if nothing has arrived for that long."""
        if (silent_s := self._clock() - self._changed) >= longer_than_s:
            self._log.info(
                "Fetched %s; waiting for %s for %s (%s sent)",
                self,
                self._waiting_for,
                format_duration(silent_s),
                format_count(self.stats.requests, "request"),
            )

    def _await(self, what: str) -> None:
        self._waiting_for, self._changed = what, self._clock()


def log_window(log: Any, window: Window, timezone: str, reason: str) -> None:
    """Log which days are loaded, and why these."""
    days = (window[1] - window[0]).days + 1
    log.info("Window: %s to %s (%s, %s)", *window, format_count(days, "day"), timezone)
    log.info("Reason: %s", reason)


def log_plan(log: Any, conn_id: str, extract: Extract, plan: LoadPlan, target: str) -> None:
    """Log the source and the target of the rows. Filters are counted: IDs identify people."""
    filters = {
        "group_ids": extract.group_ids,
        "user_ids": extract.user_ids,
        "shift_ids": extract.shift_ids,
    }
    given = ", ".join(f"{len(ids):,} {name}" for name, ids in filters.items() if ids)
    log.info(
        "Source: Connection %s, report %s, mode %s, %s, %s",
        conn_id,
        extract.report.name,
        extract.mode_name,
        format_count(len(extract.columns), "column"),
        given or "no filters",
    )
    log.info("Target: %s, on_empty %s", target, plan.on_empty)
    # Names only. They let an auditor see in the log which personal data a load stored.
    names = [column.name for column in extract.columns]
    if hidden := [name for name in names if name in plan.pseudonyms]:
        log.info("Pseudonymized columns: %s", ", ".join(hidden))
    if personal := [name for name in names if name in plan.personal and name not in hidden]:
        log.info("Personal columns loaded in plain text: %s", ", ".join(personal))


def log_missed_days(log: Any, days: int, missed: MissedDays) -> None:
    """Log which earlier days this run loads as well, and how many later runs have to."""
    if not missed.windows:
        log.info("Catching up: no day is missing before the window")
        return
    named = ", ".join(
        str(first) if first == last else f"{first} to {last}"
        for first, last in missed.windows[:NAMED_DAYS]
    )
    if more := len(missed.windows) - NAMED_DAYS:
        named += f" and {more:,} more" if more > 0 else ""
    log.info(
        "Loading %s; catching up %s (%s), %s left",
        format_count(days, "day"),
        format_count(missed.count, "missed day"),
        named,
        f"{missed.left:,}",
    )


def log_result(log: Any, extract: Extract, progress: LoadProgress, result: LoadResult) -> None:
    """Log what the load changed, and warn about what deserves a second look."""
    stats = progress.stats
    requests = format_count(stats.requests, "request")
    if stats.verification_requests:
        requests += f", {stats.verification_requests:,} of them to verify completeness"
    changed = "" if result.rows_changed is None else f", changed {result.rows_changed:,}"
    log.info(
        "Loaded %s for %s into %s (replaced %s%s) in %.1f s",
        format_count(result.rows, "row"),
        format_count(extract.days, progress.unit),
        result.where,
        f"{result.rows_removed:,}",
        changed,
        progress.seconds,
    )
    # A line of its own: Airflow's UI does not wrap, and cuts a longer line off.
    log.info("Sent %s", requests)
    if extract.mode.is_daily:
        kept = (*result.days_kept, *result.days_kept_newer)
        for line in _describe_days(progress.rows_per_day, result.held, kept):
            log.info(line)
    _warn(log, progress, result)


def _warn(log: Any, progress: LoadProgress, result: LoadResult) -> None:
    """Log what deserves a second look."""
    stats = progress.stats
    if stats.duplicates:
        log.warning(
            "Received %s twice with equal values; loaded each once",
            format_count(stats.duplicates, "row"),
        )
    if result.days_kept:
        log.warning(
            "Kept the existing rows of %s (on_empty=keep); the report now holds none or too few",
            ", ".join(map(str, result.days_kept)),
        )
    if stats.unsettled_days:
        log.info(
            "Rows of %s changed while they were read; loaded the newest. Load the day again later",
            format_days(stats.unsettled_days),
        )
    if stats.assumed_empty_days:
        log.warning(
            "Received no rows for %s from a server that never reports how many there are; assumed "
            "that there are none after two equal answers",
            format_days(stats.assumed_empty_days),
        )
    if progress.rows == 0:
        log.warning(
            "Received no rows for the whole window; if that is unexpected, check the filters and"
            " the role of the account in We360"
        )


def _describe_days(
    received: Mapping[Day, int], before: Mapping[Day, int] | None, kept: Sequence[Day]
) -> list[str]:
    """Return the rows per day, a line each; of a long window only the days whose number changed."""
    if before is None:
        changed = {day: f"{count:,}" for day, count in sorted(received.items())}
        head = "Rows per day:"
    else:
        now = {day: before.get(day, 0) if day in kept else rows for day, rows in received.items()}
        # A long window fills the log with days that did not change; a short one is shown whole.
        changed = {
            day: f"{before.get(day, 0):,} -> {rows:,}"
            for day, rows in sorted(now.items())
            if len(now) <= NAMED_DAYS or rows != before.get(day, 0)
        }
        head = "Rows per day, before -> now:"
    lines = [f"  {day}: {text}" for day, text in list(changed.items())[:NAMED_DAYS]]
    if more := len(changed) - len(lines):
        lines.append(f"  {format_count(more, 'more day')}")
    if same := len(received) - len(changed):
        lines.append(f"  {format_count(same, 'day')} with the same number as before")
    return [head, *lines]


def format_days(days: Collection[Day]) -> str:
    """Return days for people, the first few by name."""
    named = ", ".join(map(str, sorted(days)[:NAMED_DAYS]))
    more = len(days) - NAMED_DAYS
    return f"{named} and {format_count(more, 'more day')}" if more > 0 else named


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 day``, ``2,569 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
