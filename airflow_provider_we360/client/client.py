"""We360Client: an extract in, typed batches out, one a slice, days in parallel and in order."""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import TypeAlias

import httpx
import pyarrow as pa

from airflow_provider_we360.client.answer import Refused
from airflow_provider_we360.client.exchange import Exchange, slice_name
from airflow_provider_we360.client.extract import Extract, require_parallel_requests
from airflow_provider_we360.client.gate import Gate, Stopped
from airflow_provider_we360.client.keys import Keys, named_columns
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.slices import SliceReader
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.stream import RowStream
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

MOST_WAITING_BYTES = 64 * 2**20
"""So many bytes of rows may wait or be under way; a slice under way counts as much as the largest that came."""
WAITING_PER_REQUEST = 6
"""So many slices may wait or be under way for each request in parallel, as long as their bytes allow it."""


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
        """Return the rows of an extract. Returns when the first day is in, whose answer shows the columns.

        :param stats: counts requests and dropped duplicates.
        :raises We360Error: whatever the first day raises; later days raise while the stream is read.
        """
        batches = self._batches(extract, max_parallel_requests, stats or ReadStats())
        first = next(batches)
        return RowStream(first.columns, chain([first], batches), batches.close)

    def _batches(
        self, extract: Extract, max_parallel_requests: int, stats: ReadStats
    ) -> Generator[RowBatch]:
        """The rows, one batch a slice, in order of days; all batches have the same columns.

        The first slice is read alone: there the server says which columns it knows. Then at most
        ``max_parallel_requests`` requests are under way, and as many slices wait to be taken as 64 MiB hold: few large ones,
        or many small ones while the target is busy.

        :raises We360Error: whatever a slice raises; slices under way are given up.
        """
        require_parallel_requests(max_parallel_requests)
        gate = Gate(max_parallel_requests, clock=self._clock, sleep=self._sleep)
        extract, read, reader = self._first_slice(extract, gate, stats)
        queries = extract.queries()
        first = next(queries)
        ahead = _Ahead(WAITING_PER_REQUEST * max_parallel_requests, read[0])
        pool = ThreadPoolExecutor(max_parallel_requests, thread_name_prefix="we360")
        waiting: deque[tuple[Query, Future[_Read]]] = deque()
        failures: list[BaseException] = []

        def ask_ahead() -> None:
            while ahead.has_room_for([future for _, future in waiting]) and (
                query := next(queries, None)
            ):
                future = pool.submit(self._read, reader, query)
                future.add_done_callback(lambda done: _give_up_after(done, gate, failures))
                waiting.append((query, future))

        try:
            ask_ahead()  # while whoever takes the rows gets ready
            yield _batch(extract, first, read)
            while waiting:
                query, future = waiting.popleft()
                try:
                    read = future.result()
                except Stopped:
                    raise failures[0] from None
                ahead.learn(read[0])
                yield _batch(extract, query, read)
                ask_ahead()
        finally:
            # Nobody waits for threads that are no longer needed: a task that timed out must end now.
            gate.stop()
            pool.shutdown(wait=False, cancel_futures=True)

    def has_rows(self, extract: Extract) -> bool:
        """Whether the first slice holds a row: one request, for one row of the key columns alone."""
        _, exchange = self._reader(
            extract, Gate(1, clock=self._clock, sleep=self._sleep), ReadStats()
        )
        answer = exchange.ask(replace(next(extract.queries()), columns=extract.mode.key, limit=1))
        return bool(answer.rows.num_rows or answer.total)

    def _first_slice(
        self, extract: Extract, gate: Gate, stats: ReadStats
    ) -> tuple[Extract, _Read, SliceReader]:
        """Rows of the first slice, and the extract without the default columns that this server refuses."""
        while True:
            reader, exchange = self._reader(extract, gate, stats)
            try:
                return extract, self._read(reader, next(extract.queries())), reader
            except Refused as error:
                refused = _refused_alone(
                    extract, named_columns(error, tuple(extract.optional)), exchange
                )
                if not refused:
                    raise
                log.warning(
                    "We360 refuses column %s of the default list (%s); going on without",
                    ", ".join(refused),
                    error.reason,
                )
                extract = extract.without(refused)

    def _read(self, reader: SliceReader, query: Query) -> _Read:
        requested_at = dt.datetime.fromtimestamp(self._clock(), dt.UTC)
        return reader.read(query), requested_at

    def _reader(
        self, extract: Extract, gate: Gate, stats: ReadStats
    ) -> tuple[SliceReader, Exchange]:
        exchange = Exchange(
            self._http,
            extract.report,
            {column.name: column for column in extract.columns},
            timezone=self._timezone,
            timeout_s=self._timeout_s,
            gate=gate,
            stats=stats,
            clock=self._clock,
        )
        reader = SliceReader(
            exchange.ask,
            Keys(
                extract.mode.key, extract.report.day_column if extract.mode.sliced_by_day else None
            ),
            on_duplicates=lambda count: stats.add(duplicates=count),
        )
        return reader, exchange


_Read: TypeAlias = tuple[pa.RecordBatch, dt.datetime]


class _Ahead:
    """How far the requests may run ahead of whoever takes the rows."""

    def __init__(self, most: int, rows: pa.RecordBatch) -> None:
        self._most = most
        self._largest_bytes = 0
        self.learn(rows)

    def learn(self, rows: pa.RecordBatch) -> None:
        """What a slice may weigh, from one that came."""
        self._largest_bytes = max(self._largest_bytes, rows.get_total_buffer_size())

    def has_room_for(self, others: list[Future[_Read]]) -> bool:
        """Whether another slice may be asked for beside these; always where there is none."""
        for other in others:
            if other.done() and not other.cancelled() and other.exception() is None:
                self.learn(other.result()[0])
        return not others or (
            len(others) < self._most
            and (len(others) + 1) * self._largest_bytes <= MOST_WAITING_BYTES
        )


def _refused_alone(extract: Extract, suspects: tuple[str, ...], exchange: Exchange) -> list[str]:
    """Those of the columns that the server refuses beside nothing but the key. A refusal may well name good columns, too."""
    query = replace(next(extract.queries()), columns=extract.mode.key, limit=1)
    held = {column.name for column in extract.columns}

    def is_refused(*names: str) -> bool:
        try:
            exchange.ask(replace(query, columns=(*extract.mode.key, *names)))
        except Refused:
            return True
        return False

    if not suspects or is_refused():
        return []
    return [name for name in suspects if name in held and is_refused(name)]


def _give_up_after(done: Future[_Read], gate: Gate, failures: list[BaseException]) -> None:
    """The first slice that fails stops all others: none of their rows will be loaded."""
    if done.cancelled() or (error := done.exception()) is None or isinstance(error, Stopped):
        return
    failures.append(error)
    gate.stop()


def _batch(extract: Extract, query: Query, read: _Read) -> RowBatch:
    rows, requested_at = read
    log.debug("slice %s: %d rows", slice_name(query), rows.num_rows)
    return RowBatch(extract.columns, (query.first_day, query.last_day), rows, requested_at)
