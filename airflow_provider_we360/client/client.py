"""We360Client: an extract in, typed batches out, one a slice, days in parallel and in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import httpx
import pyarrow as pa

from airflow_provider_we360.client.answer import Refused
from airflow_provider_we360.client.exchange import Exchange, Tally, slice_name
from airflow_provider_we360.client.extract import Extract, require_parallel_requests
from airflow_provider_we360.client.gate import Gate, Stopped
from airflow_provider_we360.client.keys import Keys, named_columns
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.slices import SliceReader
from airflow_provider_we360.rows.batch import RowBatch
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

    def batches(
        self, extract: Extract, *, max_parallel_requests: int, tally: Tally | None = None
    ) -> Iterator[RowBatch]:
        """The rows, one batch a slice, in order of days; all batches have the same columns.

        The first slice is read alone: there the server says which columns it knows. Then at most
        ``max_parallel_requests`` requests are under way, and as many slices wait to be taken as 64 MiB hold: few large ones,
        or many small ones while the target is busy.

        :param tally: counts requests and dropped duplicates.
        :raises We360Error: whatever a slice raises; slices under way are given up.
        """
        require_parallel_requests(max_parallel_requests)
        tally = tally or Tally()
        gate = Gate(max_parallel_requests, clock=self._clock, sleep=self._sleep)
        extract, rows, reader = self._first_slice(extract, gate, tally)
        queries = extract.queries()
        first = next(queries)
        ahead = _Ahead(WAITING_PER_REQUEST * max_parallel_requests, rows)
        pool = ThreadPoolExecutor(max_parallel_requests, thread_name_prefix="we360")
        waiting: deque[tuple[Query, Future[pa.RecordBatch]]] = deque()
        failures: list[BaseException] = []

        def ask_ahead() -> None:
            while ahead.has_room_for([future for _, future in waiting]) and (
                query := next(queries, None)
            ):
                future = pool.submit(reader.read, query)
                future.add_done_callback(lambda done: _give_up_after(done, gate, failures))
                waiting.append((query, future))

        try:
            ask_ahead()  # while whoever takes the rows gets ready
            yield _batch(extract, first, rows)
            while waiting:
                query, future = waiting.popleft()
                try:
                    rows = future.result()
                except Stopped:
                    raise failures[0] from None
                ahead.learn(rows)
                yield _batch(extract, query, rows)
                ask_ahead()
        finally:
            # Nobody waits for threads that are no longer needed: a task that timed out must end now.
            gate.stop()
            pool.shutdown(wait=False, cancel_futures=True)

    def has_rows(self, extract: Extract) -> bool:
        """Whether the first slice holds a row: one request, for one row of the key columns alone."""
        _, exchange = self._reader(extract, Gate(1, clock=self._clock, sleep=self._sleep), Tally())
        answer = exchange.ask(replace(next(extract.queries()), columns=extract.mode.key, limit=1))
        return bool(answer.rows.num_rows or answer.total)

    def _first_slice(
        self, extract: Extract, gate: Gate, tally: Tally
    ) -> tuple[Extract, pa.RecordBatch, SliceReader]:
        """Rows of the first slice, and the extract without the default columns that this server refuses."""
        while True:
            reader, exchange = self._reader(extract, gate, tally)
            try:
                return extract, reader.read(next(extract.queries())), reader
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

    def _reader(self, extract: Extract, gate: Gate, tally: Tally) -> tuple[SliceReader, Exchange]:
        exchange = Exchange(
            self._http,
            extract.report,
            {column.name: column for column in extract.columns},
            timezone=self._timezone,
            timeout_s=self._timeout_s,
            gate=gate,
            tally=tally,
            clock=self._clock,
        )
        reader = SliceReader(
            exchange.ask,
            Keys(
                extract.mode.key, extract.report.day_column if extract.mode.sliced_by_day else None
            ),
            on_duplicates=lambda count: tally.add(duplicates=count),
        )
        return reader, exchange


class _Ahead:
    """How far the requests may run ahead of whoever takes the rows."""

    def __init__(self, most: int, rows: pa.RecordBatch) -> None:
        self._most = most
        self._largest_bytes = 0
        self.learn(rows)

    def learn(self, rows: pa.RecordBatch) -> None:
        """What a slice may weigh, from one that came."""
        self._largest_bytes = max(self._largest_bytes, rows.get_total_buffer_size())

    def has_room_for(self, others: list[Future[pa.RecordBatch]]) -> bool:
        """Whether another slice may be asked for beside these; always where there is none."""
        for other in others:
            if other.done() and not other.cancelled() and other.exception() is None:
                self.learn(other.result())
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


def _give_up_after(done: Future[pa.RecordBatch], gate: Gate, failures: list[BaseException]) -> None:
    """The first slice that fails stops all others: none of their rows will be loaded."""
    if done.cancelled() or (error := done.exception()) is None or isinstance(error, Stopped):
        return
    failures.append(error)
    gate.stop()


def _batch(extract: Extract, query: Query, rows: pa.RecordBatch) -> RowBatch:
    log.debug("slice %s: %d rows", slice_name(query), rows.num_rows)
    return RowBatch(columns=extract.columns, window=(query.first_day, query.last_day), arrow=rows)
