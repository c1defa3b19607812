"""We360Client: an extract in, typed batches out, one a slice, days in parallel and in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import httpx
import pyarrow as pa

from airflow_provider_we360.client.answer import Refused
from airflow_provider_we360.client.exchange import Exchange, Tally, slice_name
from airflow_provider_we360.client.extract import Extract
from airflow_provider_we360.client.gate import Gate
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.slices import SliceReader, named_columns
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)


class We360Client:
    """Reads reports.

    :param http: a client that authenticates by itself; see ``client.http``.
    :param timezone: the company's time zone.
    :param timeout_s: seconds without a byte.
    """

    def __init__(self, http: httpx.Client, *, timezone: str, timeout_s: float, clock: Clock, sleep: Sleep) -> None:
        self._http = http
        self._timezone = timezone
        self._timeout_s = timeout_s
        self._clock = clock
        self._sleep = sleep

    def batches(self, extract: Extract, *, max_parallel_requests: int, tally: Tally | None = None) -> Iterator[RowBatch]:
        """The rows, one batch a slice, in order of days; all batches have the same columns.

        The first slice is read alone: there the server says which columns it knows. Then at most
        ``max_parallel_requests`` requests are under way, and at most twice as many slices wait to be taken.

        :param tally: counts requests and dropped duplicates.
        :raises We360Error: whatever a slice raises; slices under way are given up.
        """
        tally = tally or Tally()
        gate = Gate(max_parallel_requests, clock=self._clock, sleep=self._sleep)
        extract, rows, reader = self._first_slice(extract, gate, tally)
        queries = extract.queries()
        yield _batch(extract, next(queries), rows)
        with ThreadPoolExecutor(max_parallel_requests, thread_name_prefix="we360") as pool:
            waiting: deque[tuple[Query, Future[pa.RecordBatch]]] = deque()
            try:
                for query in islice(queries, 2 * max_parallel_requests):
                    waiting.append((query, pool.submit(reader.read, query)))
                while waiting:
                    query, future = waiting.popleft()
                    rows = future.result()
                    for following in islice(queries, 1):
                        waiting.append((following, pool.submit(reader.read, following)))
                    yield _batch(extract, query, rows)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _first_slice(self, extract: Extract, gate: Gate, tally: Tally) -> tuple[Extract, pa.RecordBatch, SliceReader]:
        """Rows of the first slice, and the extract without the default columns that this server refuses by name."""
        while True:
            reader = self._reader(extract, gate, tally)
            try:
                return extract, reader.read(next(extract.queries())), reader
            except Refused as error:
                refused = [name for name in named_columns(error, tuple(extract.optional)) if _has(extract, name)]
                if not refused:
                    raise
                log.warning(
                    "We360 refuses column %s of the default list (%s); going on without", ", ".join(refused), error.reason
                )
                extract = extract.without(refused)

    def _reader(self, extract: Extract, gate: Gate, tally: Tally) -> SliceReader:
        exchange = Exchange(
            self._http,
            extract.report,
            {column.name: column for column in extract.columns},
            timezone=self._timezone,
            timeout_s=self._timeout_s,
            gate=gate,
            tally=tally,
            clock=self._clock,
            sleep=self._sleep,
        )
        return SliceReader(
            exchange.ask,
            key=extract.mode.key,
            day_column=extract.report.day_column if extract.mode.sliced_by_day else None,
            on_duplicates=lambda count: tally.add(duplicates=count),
        )


def _has(extract: Extract, name: str) -> bool:
    return any(column.name == name for column in extract.columns)


def _batch(extract: Extract, query: Query, rows: pa.RecordBatch) -> RowBatch:
    log.debug("slice %s: %d rows", slice_name(query), rows.num_rows)
    return RowBatch(columns=extract.columns, window=(query.first_day, query.last_day), arrow=rows)
