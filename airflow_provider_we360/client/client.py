"""We360Client: an extract in, a stream of verified rows out, days in parallel and in order."""

from __future__ import annotations

import contextvars
import datetime as dt
import logging
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from airflow_provider_we360.client.completeness import DayReader, DayRows
from airflow_provider_we360.client.extract import Extract, require_parallel_requests
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.report_api import ReportApi
from airflow_provider_we360.client.request_limiter import RequestLimiter, Stopped
from airflow_provider_we360.client.response import Declined, Refused
from airflow_provider_we360.client.row_keys import RowKeys, find_names
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.stream import RowStream
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

MOST_WAITING_BYTES = 64 * 2**20
"""Rows of so many bytes may wait or be requested; a day not received yet counts as the largest one."""
MOST_HELD_BYTES = 24 * 2**20
"""Rows of so many bytes are held back until they are verified. Larger days go on before."""
WAITING_PER_REQUEST = 6
"""So many days may wait or be requested for each parallel request, if their bytes allow it."""
GROUP_DAYS = (8, 24, 28)
"""Days that one request for keys verifies: few at first, so that the target gets rows early."""
GROUP_ROWS = 100_000
FEWEST_GROUP_DAYS = 4


class We360Client:
    """Reads reports.

    :param http: a client that authenticates by itself; see ``client.http``.
    :param timezone: the company's time zone.
    :param timeout_s: seconds without a byte.
    """

    def __init__(
        self, http: httpx.Client, *, timezone: str, timeout_s: float, clock: Clock, sleep: Sleep
    ) -> None:
        self._http = http
        self._timezone = timezone
        self._timeout_s = timeout_s
        self._clock = clock
        self._sleep = sleep

    def read(
        self, extract: Extract, *, max_parallel_requests: int, stats: ReadStats | None = None
    ) -> RowStream:
        """Return the rows of an extract. Blocks until the first day is received, which has the columns.

        Requests start at once, ``max_parallel_requests`` at a time, and none waits for a proof. Rows
        are handed on when they are verified; the stream raises before its end if a proof fails.

        :param stats: counts requests and dropped duplicates.
        :raises We360Error: whatever the first day raises; later days raise while the stream is read.
        """
        require_parallel_requests(max_parallel_requests)
        stats = stats or ReadStats()
        # Once, or again without the default columns that the server refuses.
        while True:
            limiter = RequestLimiter(max_parallel_requests, clock=self._clock, sleep=self._sleep)
            api = self._api(extract, limiter, stats)
            pipeline = _Pipeline(extract, api, limiter, stats, max_parallel_requests)
            try:
                pipeline.wait_for_first_day()
            except Refused as error:
                pipeline.close()
                extract = _without_refused_columns(
                    extract,
                    error,
                    self._api(
                        extract, RequestLimiter(1, clock=self._clock, sleep=self._sleep), stats
                    ),
                )
            except BaseException:
                pipeline.close()
                raise
            else:
                return RowStream(extract.columns, pipeline.batches(), pipeline.close)

    def has_rows(self, extract: Extract) -> bool:
        """Return whether the first day has a row: one request, for one row of the key columns."""
        limiter = RequestLimiter(1, clock=self._clock, sleep=self._sleep)
        query = replace(next(extract.queries()), columns=extract.mode.key, limit=1)
        # The key columns alone, and one row of them: a sensor repeats this for hours.
        page = self._api(extract, limiter, ReadStats()).fetch(query)
        return bool(page.rows.num_rows or page.total)

    def _api(self, extract: Extract, limiter: RequestLimiter, stats: ReadStats) -> ReportApi:
        return ReportApi(
            self._http,
            extract.report,
            {column.name: column for column in extract.columns},
            timezone=self._timezone,
            timeout_s=self._timeout_s,
            limiter=limiter,
            stats=stats,
            clock=self._clock,
        )


@dataclass(eq=False, slots=True)
class _Job:
    """A request of the pipeline: a day, or the keys of the group of days before it."""

    query: Query
    is_day: bool
    result: Future[Any] = field(default_factory=Future)


class _Pipeline:
    """Requests the days of an extract in order, ahead of the target, within a bound of bytes.

    Jobs are submitted by whichever thread finishes one, and read in order by :meth:`batches`.
    """

    def __init__(
        self,
        extract: Extract,
        api: ReportApi,
        limiter: RequestLimiter,
        stats: ReadStats,
        parallel: int,
    ) -> None:
        self._extract = extract
        self._limiter = limiter
        # Rows of a summary have no day of their own: one row a person for the whole window.
        day_column = extract.report.day_column if extract.mode.is_daily else None
        self._reader = DayReader(api.fetch, RowKeys(extract.mode.key, day_column), api.now, stats)
        self._queries = extract.queries()
        self._parallel = parallel
        # Reentrant: a thread that finishes a request submits the next one inside the lock.
        self._lock = threading.RLock()
        self._waiting: deque[_Job] = deque()
        self._group: list[Query] = []
        self._groups = 0
        self._running = 0
        self._waiting_bytes = self._largest_bytes = self._most_rows = 0
        self._failures: list[BaseException] = []
        self._is_closed = False
        self._submit_jobs()

    def wait_for_first_day(self) -> None:
        """Wait until the first day is received.

        :raises We360Error: what it, or the first request that failed, raised.
        """
        self._result(self._waiting[0])

    def batches(self) -> Generator[RowBatch]:
        """Yield the rows, a batch a day, in order of days."""
        group: list[DayRows] = []
        held_bytes = 0
        while job := self._next_job():
            result = self._result(job)
            if job.is_day:
                group.append(result)
                held_bytes += _bytes_of(result)
            else:
                self._reader.verify(group, job.query, result)
            # Days as large as this go on before they are verified, or the memory would not be
            # bounded. If a proof fails then, the stream raises and nothing is committed.
            if not job.is_day or held_bytes > MOST_HELD_BYTES:
                for day in group:
                    if day.rows is not None:
                        yield self._batch(day)
                        # Freed as soon as the target has them; keys stay for comparison.
                        day.rows = None
                with self._lock:
                    self._waiting_bytes -= held_bytes
                held_bytes = 0
            group = group if job.is_day else []
            self._submit_jobs()

    def close(self) -> None:
        """Cancel all requests. Does not wait for threads: a task that timed out must end now."""
        self._is_closed = True
        self._limiter.stop()

    def _next_job(self) -> _Job | None:
        with self._lock:
            if not self._waiting:
                self._submit_jobs()
            return self._waiting.popleft() if self._waiting else None

    def _result(self, job: _Job) -> Any:
        try:
            return job.result.result()
        except Stopped:
            # The first failure is the cause; all others only report that the rest was stopped.
            raise self._failures[0] from None

    def _submit_jobs(self) -> None:
        with self._lock:
            while not (self._failures or self._is_closed) and self._has_room():
                if (job := self._next_query()) is None:
                    return
                self._running += 1
                self._waiting.append(job)
                # A daemon: a process whose load failed ends without waiting for silent servers.
                # With the caller's context: Airflow binds each trigger's log to it.
                threading.Thread(
                    target=contextvars.copy_context().run,
                    args=(self._run, job),
                    name="we360-request",
                    daemon=True,
                ).start()

    def _has_room(self) -> bool:
        # At least one request is always under way, or a single day above the bound could never be
        # read.
        if not self._waiting:
            return True
        if self._running >= self._parallel:
            return False
        # Requests under way count as the largest day so far: their size is known only when it is
        # too late.
        expected = self._waiting_bytes + (self._running + 1) * self._largest_bytes
        most = WAITING_PER_REQUEST * self._parallel
        return len(self._waiting) < most and expected <= MOST_WAITING_BYTES

    def _run(self, job: _Job) -> None:
        """Send the request of a job, then submit the next. The first that fails stops all others."""
        try:
            result = (self._reader.read if job.is_day else self._reader.fetch_keys)(job.query)
        # Also KeyboardInterrupt and the like: a thread that died in silence would leave its reader
        # waiting.
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            with self._lock:
                self._running -= 1
                if not isinstance(error, Stopped):
                    # Stopped is a consequence of another failure and must not hide it.
                    self._failures.append(error)
                    self._limiter.stop()
            job.result.set_exception(error)
            return
        with self._lock:
            self._running -= 1
            if isinstance(result, DayRows):
                size = _bytes_of(result)
                self._waiting_bytes += size
                self._largest_bytes = max(self._largest_bytes, size)
                self._most_rows = max(self._most_rows, len(result.keys))
        job.result.set_result(result)
        self._submit_jobs()

    def _next_query(self) -> _Job | None:
        """Return the next request; None at the end."""
        number = min(self._groups, len(GROUP_DAYS) - 1)
        is_full = len(self._group) >= GROUP_DAYS[number] or (
            len(self._group) >= FEWEST_GROUP_DAYS
            and len(self._group) * self._most_rows >= GROUP_ROWS
        )
        query = None if is_full else next(self._queries, None)
        if query is not None:
            self._group.append(query)
            return _Job(query, is_day=True)
        if not self._group:
            return None
        first, last = self._group[0], self._group[-1]
        day = first.first_day
        if self._extract.mode.is_daily:
            # An answer larger than any day's excludes a cap; so the keys span a few days more.
            day = min(day, last.last_day - dt.timedelta(days=FEWEST_GROUP_DAYS - 1))
        self._group, self._groups = [], self._groups + 1
        return _Job(replace(first, first_day=day, last_day=last.last_day), is_day=False)

    def _batch(self, day: DayRows) -> RowBatch:
        window = day.query.first_day, day.query.last_day
        log.debug("%s: %d rows", day.query.days, len(day.keys))
        return RowBatch(self._extract.columns, window, day.rows, day.requested_at)


def _bytes_of(day: DayRows) -> int:
    return int(day.rows.get_total_buffer_size()) if day.rows is not None else 0


def _without_refused_columns(extract: Extract, error: Refused, api: ReportApi) -> Extract:
    """Return the extract without the default columns that the server refuses.

    A refusal may name good columns, too: each suspect is requested alone with the key.

    :raises Refused: the error, if none of the default columns is the reason.
    """
    query = replace(next(extract.queries()), columns=extract.mode.key, limit=1)

    def is_refused(*names: str) -> bool:
        try:
            api.fetch(replace(query, columns=(*extract.mode.key, *names)))
        except (Refused, Declined):
            return True
        return False

    # Columns that the user named are never left out: their absence would go unnoticed.
    suspects = find_names(error, tuple(extract.optional))
    held = {column.name for column in extract.columns}
    refused = (
        []
        # If the key columns alone are refused, the columns are not the reason.
        if not suspects or is_refused()
        else [name for name in suspects if name in held and is_refused(name)]
    )
    if not refused:
        raise error
    log.warning(
        "We360 refuses column %s of the default list (%s); loading without it",
        ", ".join(refused),
        error.reason,
    )
    return extract.without(refused)
