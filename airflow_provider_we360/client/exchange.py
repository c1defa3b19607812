"""Exchange: one question to the API and its answer, with patience for faults that pass."""

from __future__ import annotations

import logging
import threading

import httpx

from airflow_provider_we360.client.answer import Answer, TooLarge, parse_answer
from airflow_provider_we360.client.gate import Gate
from airflow_provider_we360.client.report import Query, Report
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import (
    RetryableApiError,
    ValueDoesNotFit,
    We360ApiError,
    foreign_text,
)
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


class TimedOut(RetryableApiError):
    """No answer, or not the whole of it, in time."""


class Exchange:
    """Asks one report.

    :param http: a client that authenticates by itself.
    :param columns: column values by name, as the rows shall be typed.
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
        gate: Gate,
        stats: ReadStats,
        clock: Clock,
    ) -> None:
        self._http = http
        self._report = report
        self._columns = columns
        self._timezone = timezone
        self._deadline_s = timeout_s * DEADLINE_FACTOR
        self._gate = gate
        self._stats = stats
        self._clock = clock
        self._decoders: dict[tuple[str, ...], RowDecoder] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()
        # Python runs one thread at a time: answers that are read by several at once take longer than one after the other.
        self._reading = threading.Lock()

    def decoder(self, names: tuple[str, ...]) -> RowDecoder:
        """The decoder of these columns."""
        if names not in self._decoders:
            self._decoders[names] = RowDecoder(
                [self._columns[name] for name in names], self._timezone
            )
        return self._decoders[names]

    def ask(self, query: Query) -> Answer:
        """The answer to one query. Faults that may pass are waited out: at most five tries and two minutes.

        A time-out of a whole day in one answer (``limit`` 0) is not tried again: asking for pages is the better cure.

        :raises RetryableApiError: a fault that did not pass; :class:`TimedOut` among them.
        :raises RequestRejected: the server's refusal.
        :raises AccessDenied: 401 or 403.
        :raises ValueDoesNotFit: a value is not of its column's type.
        """
        retrying = build_retrying(
            TRIES,
            is_transient=lambda error: _may_pass(error, query),
            sleep=self._gate.pause,
            longest_jitter_s=30.0,
            patience_s=PATIENCE_S,
            clock=self._clock,
        )
        try:
            return retrying(self._ask_once, query)
        except We360ApiError as error:
            error.report = self._report.name
            error.days = slice_name(query)
            raise

    def _ask_once(self, query: Query) -> Answer:
        with self._gate:
            self._stats.add(requests=1)
            response = self._post(query)
        try:
            with self._reading:
                answer = parse_answer(response, self.decoder(query.columns))
        except ValueDoesNotFit as error:
            raise ValueDoesNotFit(
                f"report {self._report.name}, slice {slice_name(query)}: {error}"
            ) from None
        except RetryableApiError as error:
            if error.status in (429, 503):
                self._gate.narrow(error.retry_after_s)
            if error.status == httpx.codes.GATEWAY_TIMEOUT and error.retry_after_s is None:
                raise TimedOut(
                    error.reason, status=error.status, request_id=error.request_id
                ) from None
            raise
        self._tell_strange_columns(answer, query)
        return answer

    def _tell_strange_columns(self, answer: Answer, query: Query) -> None:
        """Says, once an extract, which columns came unasked and which were asked for and did not come."""
        if answer.given is None:
            return
        asked = set(query.columns)
        with self._lock:
            missing, unasked = (
                (asked - answer.given) - self._told,
                (answer.given - asked) - self._told,
            )
            self._told |= missing | unasked
        if missing:
            log.warning(
                "slice %s: the answer lacks column %s, which was asked for: it lands as NULL",
                slice_name(query),
                ", ".join(sorted(missing)),
            )
        if unasked:
            names = ", ".join(foreign_text(name, 63) for name in sorted(unasked))
            log.info(
                "slice %s: the answer holds column %s, which nobody asked for: passed over",
                slice_name(query),
                names,
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
                on_chunk=self._gate.require_going_on,
            )
        except ResponseTooLarge as error:
            raise TooLarge(explain_connection_error(error, self._http.base_url)) from None
        except httpx.RequestError as error:
            self._gate.require_going_on()
            kind = TimedOut if isinstance(error, httpx.ReadTimeout) else RetryableApiError
            raise kind(
                explain_connection_error(error, self._http.base_url),
                retry_now=not is_refused_by_proxy(error),
            ) from None


def slice_name(query: Query) -> str:
    """The days of a query, for people."""
    first, last = query.first_day.isoformat(), query.last_day.isoformat()
    return first if first == last else f"{first}..{last}"


def _may_pass(error: BaseException, query: Query) -> bool:
    return (
        isinstance(error, RetryableApiError)
        and error.retry_now
        and not (isinstance(error, TimedOut) and query.limit == 0)
    )
