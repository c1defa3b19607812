"""Retries of requests, and the wait that a server requests."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

import tenacity

from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0
"""A longer wait is left to Airflow's retries: a task that sleeps occupies a slot."""
# RateLimit-Reset is specified as seconds from now, but some gateways send seconds since the epoch.
_EPOCH_FROM = 1e9


def build_retrying(
    tries: int,
    *,
    is_transient: Callable[[BaseException], bool],
    sleep: Sleep,
    longest_jitter_s: float,
    least_wait_s: float = 0.0,
    patience_s: float = 3600.0,
    clock: Clock = time.monotonic,
) -> tenacity.Retrying:
    """Return a retrier with exponential backoff and full jitter that honours Retry-After.

    :param is_transient: whether an error can pass. One that requests a wait of more than
        :data:`LONGEST_WAIT_S` is never retried here.
    :param patience_s: no try begins later than this many seconds from now.
    """
    end = clock() + patience_s
    jitter = tenacity.wait_random_exponential(multiplier=1, max=longest_jitter_s)

    def error_of(state: tenacity.RetryCallState) -> BaseException | None:
        return state.outcome.exception() if state.outcome is not None else None

    def is_over(state: tenacity.RetryCallState) -> bool:
        # Not started if it could only begin too late: the error is then reported now, not in a
        # minute.
        return state.attempt_number >= tries or clock() + state.upcoming_sleep > end

    return tenacity.Retrying(
        stop=is_over,
        retry=tenacity.retry_if_exception(
            lambda error: is_transient(error) and requested_wait_s(error) <= LONGEST_WAIT_S
        ),
        wait=lambda state: max(least_wait_s + jitter(state), requested_wait_s(error_of(state))),
        sleep=sleep,
        before_sleep=lambda state: log.info(
            "%s; retrying in %.0f s", error_of(state), state.upcoming_sleep
        ),
        reraise=True,
    )


def requested_wait_s(error: BaseException | None) -> float:
    """Return the seconds that the server requested to wait, as the error keeps them, or 0."""
    return getattr(error, "retry_after_s", None) or 0.0


def parse_retry_after(headers: Mapping[str, str], clock: Clock = time.time) -> float | None:
    """Return the seconds that the server requests to wait, or None.

    Reads ``Retry-After`` in both forms (RFC 9110 section 10.2.3: seconds or HTTP date), else
    ``RateLimit-Reset`` or ``X-RateLimit-Reset`` (seconds, or seconds since the epoch if the number
    is that large). A date is compared with the ``Date`` header of the response if there is one, so
    that a difference of clocks does not matter.
    """
    server_now = _http_date(headers.get("date", "")) or dt.datetime.fromtimestamp(clock(), dt.UTC)
    if value := headers.get("retry-after", "").strip():
        if (seconds := _number(value)) is not None:
            return seconds
        if (moment := _http_date(value)) is not None:
            return max(0.0, (moment - server_now).total_seconds())
    # Only if Retry-After is missing: it is the standard one and concerns this request.
    for name in ("ratelimit-reset", "x-ratelimit-reset"):
        if (seconds := _number(headers.get(name, ""))) is not None:
            return max(0.0, seconds - server_now.timestamp()) if seconds > _EPOCH_FROM else seconds
    return None


def _number(text: str) -> float | None:
    # float, not int: some servers send "1.5", and "inf" or "nan" must not become a wait.
    try:
        seconds = float(text.strip())
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _http_date(text: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
