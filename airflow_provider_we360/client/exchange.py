"""Exchange: one question to the API and its answer, with patience for faults that pass."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

import httpx
import tenacity

from airflow_provider_we360.client.answer import Answer, parse_answer
from airflow_provider_we360.client.gate import LONGEST_WAIT_S, Gate
from airflow_provider_we360.client.http import DEADLINE_FACTOR, send_whole
from airflow_provider_we360.client.report import Query, Report
from airflow_provider_we360.errors import RetryableApiError, ValueDoesNotFit, We360ApiError
from airflow_provider_we360.rows.decode import RowDecoder
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.transport import connection_trouble
from airflow_provider_we360.types import Clock

log = logging.getLogger(__name__)

TRIES = 5
PATIENCE_S = 120.0


class TimedOut(RetryableApiError):
    """No answer, or not the whole of it, in time."""


@dataclass(slots=True)
class Tally:
    """Counts of one extract."""

    requests: int = 0
    duplicates: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, duplicates: int = 0) -> None:
        with self.lock:
            self.requests += requests
            self.duplicates += duplicates


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
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._http = http
        self._report = report
        self._columns = columns
        self._timezone = timezone
        self._deadline_s = timeout_s * DEADLINE_FACTOR
        self._gate = gate
        self._tally = tally
        self._clock = clock
        self._decoders: dict[tuple[str, ...], RowDecoder] = {}

    def decoder(self, names: tuple[str, ...]) -> RowDecoder:
        """The decoder of these columns."""
        if names not in self._decoders:
            self._decoders[names] = RowDecoder([self._columns[name] for name in names], self._timezone)
        return self._decoders[names]

    def ask(self, query: Query) -> Answer:
        """The answer to one query. Faults that may pass are waited out: at most five tries and two minutes.

        A time-out of a whole day in one answer (``limit`` 0) is not tried again: asking for pages is the better cure.

        :raises RetryableApiError: a fault that did not pass; :class:`TimedOut` among them.
        :raises RequestRejected: the server's refusal.
        :raises AccessDenied: 401 or 403.
        :raises ValueDoesNotFit: a value is not of its column's type.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_after_delay(PATIENCE_S),
            retry=tenacity.retry_if_exception(lambda error: _may_pass(error, query)),
            wait=lambda state: max(_jitter(state), _asked_wait_s(state)),
            sleep=self._gate.pause,
            before_sleep=lambda state: log.info("%s; trying again in %.0f s", _error(state), state.upcoming_sleep),
            reraise=True,
        )
        try:
            return retrying(self._ask_once, query)
        except We360ApiError as error:
            error.report = self._report.name
            error.slice_name = slice_name(query)
            raise
        except ValueDoesNotFit as error:
            raise ValueDoesNotFit(f"slice {slice_name(query)}: {error}") from None

    def _ask_once(self, query: Query) -> Answer:
        with self._gate:
            self._tally.add(requests=1)
            response = self._post(query)
        try:
            return parse_answer(response, self.decoder(query.columns))
        except RetryableApiError as error:
            if error.status in (429, 503):
                self._gate.narrow(error.retry_after_s)
            if error.status == httpx.codes.GATEWAY_TIMEOUT:
                raise TimedOut(error.reason, status=error.status, request_id=error.request_id) from None
            raise

    def _post(self, query: Query) -> httpx.Response:
        request = self._http.build_request("POST", self._report.path, json=self._report.body(query))
        try:
            return send_whole(
                self._http,
                request,
                deadline_s=self._deadline_s,
                clock=self._clock,
                auth=self._http.auth,
                before_each_part=self._gate.require_going_on,
            )
        except httpx.RequestError as error:
            self._gate.require_going_on()
            kind = TimedOut if isinstance(error, httpx.ReadTimeout) else RetryableApiError
            raise kind(connection_trouble(error, self._http.base_url)) from None


def slice_name(query: Query) -> str:
    """The days of a query, for people."""
    first, last = query.first_day.isoformat(), query.last_day.isoformat()
    return first if first == last else f"{first}..{last}"


_jitter = tenacity.wait_random_exponential(multiplier=1, max=30)


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _asked_wait_s(state: tenacity.RetryCallState) -> float:
    return getattr(_error(state), "retry_after_s", None) or 0.0


def _may_pass(error: BaseException, query: Query) -> bool:
    """A wait longer than a minute is left to Airflow's own retry."""
    if isinstance(error, TimedOut) and query.limit == 0:
        return False
    return isinstance(error, RetryableApiError) and (error.retry_after_s or 0.0) <= LONGEST_WAIT_S
