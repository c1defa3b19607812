"""ReportApi: one request to the API and its answer, with retries of transient faults."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Collection

import httpx

from airflow_provider_we360.client.report import Query, Report
from airflow_provider_we360.client.request_limiter import RequestLimiter
from airflow_provider_we360.client.response import (
    Declined,
    Refused,
    ReportPage,
    TooLarge,
    parse_response,
)
from airflow_provider_we360.client.row_keys import find_names
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import RetryableApiError, ValueDoesNotFit, We360ApiError
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.rows.decode import RowDecoder
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.transport.client import (
    DEADLINE_FACTOR,
    MAX_RESPONSE_BYTES,
    ResponseTooLarge,
    send_bounded,
)
from airflow_provider_we360.transport.messages import explain_connection_error, is_refused_by_proxy
from airflow_provider_we360.transport.retry import build_retrying
from airflow_provider_we360.types import Clock

log = logging.getLogger(__name__)

TRIES = 5
PATIENCE_S = 120.0
MOST_NAMES = 50
"""Names of columns or fields that one line of the log lists."""


class TimedOut(RetryableApiError):
    """No answer, or not the whole of it, in time."""


class ReportApi:
    """Requests pages of one report. Safe to share between threads.

    :param http: a client that authenticates by itself.
    :param columns: the columns by name, with the types that their values shall have.
    :param timeout_s: seconds without a byte; a whole answer may take five times as long.
    """

    def __init__(
        self,
        http: httpx.Client,
        report: Report,
        columns: dict[str, Column],
        *,
        timezone: str,
        timeout_s: float,
        limiter: RequestLimiter,
        stats: ReadStats,
        clock: Clock,
    ) -> None:
        self._http = http
        self._report = report
        self._columns = columns
        self._timezone = timezone
        self._deadline_s = timeout_s * DEADLINE_FACTOR
        self._limiter = limiter
        self._stats = stats
        self._clock = clock
        self._decoders: dict[tuple[str, ...], RowDecoder] = {}
        self._logged: set[str] = set()
        self._lock = threading.Lock()
        # Python runs one thread at a time: decoding several answers at once takes longer than one
        # after the other, and holds more of them in memory.
        self._decoding = threading.Lock()

    def now(self) -> dt.datetime:
        """Return the moment at which a request is about to be sent."""
        return dt.datetime.fromtimestamp(self._clock(), dt.UTC)

    def fetch(self, query: Query, *, verifies: bool = False) -> ReportPage:
        """Return the answer to one query. Retries transient faults: at most 5 tries in 2 minutes.

        A whole day in one answer (``limit`` 0) that timed out is not requested again: pages are the
        better cure.

        :param verifies: whether the request only verifies that no row is missing.
        :raises RetryableApiError: a fault that did not pass; :class:`TimedOut` and
            :class:`Declined` among them.
        :raises Refused: the server's refusal, for a reason that the caller must remove.
        :raises AccessDenied: 403 with a reason.
        :raises ValueDoesNotFit: a value is not of its column's type.
        """
        declined: list[BaseException] = []
        retrying = build_retrying(
            TRIES,
            is_transient=lambda error: _may_pass(error, query, declined),
            sleep=self._limiter.pause,
            longest_jitter_s=30.0,
            patience_s=PATIENCE_S,
            clock=self._clock,
        )
        try:
            return retrying(self._fetch_once, query, verifies=verifies)
        except We360ApiError as error:
            # Filled in here, so that every error of a load names report and days in its message.
            error.report = self._report.name
            error.days = query.days
            raise

    def _fetch_once(self, query: Query, *, verifies: bool) -> ReportPage:
        # The slot is free again before the answer is decoded: the next request travels meanwhile.
        with self._limiter:
            self._stats.add(requests=1, verification_requests=int(verifies))
            response = self._post(query)
        try:
            with self._decoding:
                page = parse_response(response, self._decoder(query.columns), query.page)
        except ValueDoesNotFit as error:
            raise ValueDoesNotFit(f"Report {self._report.name}, {query.days}: {error}") from None
        except RetryableApiError as error:
            # A refusal that names one of our columns or IDs will not pass, however it is worded.
            if isinstance(error, Declined) and _names_an_argument(error, query):
                raise Refused(
                    error.reason, status=error.status, request_id=error.request_id
                ) from None
            # Both mean overload; other 5xx say nothing about the number of requests.
            if error.status in (429, 503):
                self._limiter.narrow(error.retry_after_s)
            # Without Retry-After, the gateway gave up on a slow answer: smaller ones are the cure.
            if error.status == httpx.codes.GATEWAY_TIMEOUT and error.retry_after_s is None:
                raise TimedOut(
                    error.reason, status=error.status, request_id=error.request_id
                ) from None
            raise
        self._log_names(page, query)
        return page

    def _decoder(self, names: tuple[str, ...]) -> RowDecoder:
        # Building a decoder takes milliseconds, and a load has two: all columns, and the key
        # columns.
        if names not in self._decoders:
            columns = [self._columns[name] for name in names]
            self._decoders[names] = RowDecoder(columns, self._timezone)
        return self._decoders[names]

    def _log_names(self, page: ReportPage, query: Query) -> None:
        """Log once an extract which columns and envelope fields are not as expected: names only."""
        requested, given = set(query.columns), page.given
        with self._lock:
            missing = set() if given is None else (requested - given) - self._logged
            strange = set() if given is None else (given - requested) - self._logged
            fields = page.unknown - self._stats.unknown_fields
            self._logged |= missing | strange
            self._stats.unknown_fields |= fields
        if missing:
            log.warning(
                "%s: the answer lacks requested column %s; loading NULL",
                query.days,
                ", ".join(sorted(missing)),
            )
        if strange:
            log.info(
                "%s: ignoring column %s, which was not requested",
                query.days,
                _list_names(strange),
            )
        if fields:
            log.info(
                "%s: ignoring unknown field %s of the answer",
                query.days,
                _list_names(fields),
            )

    def _post(self, query: Query) -> httpx.Response:
        request = self._http.build_request("POST", self._report.path, json=self._report.body(query))
        try:
            return send_bounded(
                self._http,
                request,
                deadline_s=self._deadline_s,
                max_bytes=MAX_RESPONSE_BYTES,
                clock=self._clock,
                auth=self._http.auth,
                on_chunk=self._limiter.check_not_stopped,
            )
        except ResponseTooLarge as error:
            raise TooLarge(explain_connection_error(error, self._http.base_url)) from None
        except httpx.RequestError as error:
            # If the load was given up, the broken connection is its consequence and not an error of
            # its own.
            self._limiter.check_not_stopped()
            kind = TimedOut if isinstance(error, httpx.ReadTimeout) else RetryableApiError
            raise kind(
                explain_connection_error(error, self._http.base_url),
                retry_now=not is_refused_by_proxy(error),
            ) from None


def _list_names(names: Collection[str]) -> str:
    """Return the first names of a set that the server chose, safe to show."""
    shown = [foreign_text(name, 63) for name in sorted(names)[:MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _may_pass(error: BaseException, query: Query, declined: list[BaseException]) -> bool:
    """Return whether another try may help.

    With HTTP 200 the live API reports everything, also trouble of its own; any other status was
    chosen on purpose. A whole day in one answer is retried once: a server may refuse just that.
    """
    if isinstance(error, Declined):
        declined.append(error)
        return error.status == httpx.codes.OK and (query.limit > 0 or len(declined) == 1)
    return (
        isinstance(error, RetryableApiError)
        and error.retry_now
        and not (isinstance(error, TimedOut) and query.limit == 0)
    )


def _names_an_argument(error: We360ApiError, query: Query) -> bool:
    ids = (*query.group_ids, *query.user_ids, *query.shift_ids)
    return bool(find_names(error, (*query.columns, *ids)))
