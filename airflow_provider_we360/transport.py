"""Facts of HTTP that logging in and reading data share: whose URL it is, what broke, when to ask again."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime

import httpx
import tenacity

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0
"""A longer wait that a server asks for is left to Airflow's own retry."""
_DEFAULT_PORTS = {"https": 443, "http": 80}
_EPOCH_FROM = 1e9


class AnswerTooLarge(httpx.RequestError):
    """An answer was given up, as it had more bytes than may be held in memory."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"the answer has more than {most_bytes // 2**20} MiB")


def require_origin(url: httpx.URL, *allowed: httpx.URL) -> None:
    """Nothing, if scheme, host and port of the URL are those of an allowed one.

    :raises We360ConfigError: otherwise, before a byte is sent.
    """
    if _origin(url) not in {_origin(one) for one in allowed}:
        raise We360ConfigError(
            f"url: {url.scheme}://{url.host} is not the Host of this Connection ({allowed[0].scheme}://{allowed[0].host}); "
            "nothing was sent. Give a path such as /query/..., or make a Connection of its own for the other host"
        )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


def host_and_port(url: httpx.URL) -> str:
    """As a firewall's rule names it."""
    return f"{url.host}:{port_of(url)}"


def port_of(url: httpx.URL) -> int:
    """The port of an http or https URL, also where it does not say it."""
    return url.port or _DEFAULT_PORTS[url.scheme]


def connection_trouble(
    error: httpx.RequestError, url: httpx.URL, needed: Sequence[str] = ()
) -> str:
    """What happened to a request that got no answer, and what to do about it.

    :param needed: hosts, with their ports, that the firewall must allow; empty: that of the URL.
    """
    where = f"{url.scheme}://{url.netloc.decode('ascii')}"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            f"{where}: its TLS certificate is not trusted; if your network inspects TLS, set CA bundle (extra ca_bundle) "
            "to its CA file"
        )
    if isinstance(error, AnswerTooLarge):
        return f"{where}: {error}, and no more was read; check that it is We360 that answers at this host"
    if isinstance(error, httpx.DecodingError):
        return f"{where}: the answer's compression is broken, or none that was asked for: changed on the way"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        allowed = " and ".join(needed) or host_and_port(url)
        return f"{where}: cannot connect; check the name, and that your firewall allows {allowed}"
    if isinstance(error, httpx.TimeoutException):
        return f"{where}: no answer in time ({type(error).__name__})"
    return f"{where}: the connection broke ({type(error).__name__})"


def asked_wait_s(error: BaseException | None) -> float:
    """Seconds that the server asked us to wait, as the error keeps them; 0 where it did not."""
    return getattr(error, "retry_after_s", None) or 0.0


def patiently(
    tries: int,
    *,
    may_pass: Callable[[BaseException], bool],
    sleep: Sleep,
    longest_jitter_s: float,
    least_wait_s: float = 0.0,
    patience_s: float = 3600.0,
    clock: Clock = time.monotonic,
) -> tenacity.Retrying:
    """Tries again what may pass: full jitter that grows, never sooner than the server asked.

    :param may_pass: whether an error may pass at all; one that asks for too long a wait never does.
    :param patience_s: no try begins later than so many seconds after this call.
    """
    end = clock() + patience_s
    jitter = tenacity.wait_random_exponential(multiplier=1, max=longest_jitter_s)

    def error_of(state: tenacity.RetryCallState) -> BaseException | None:
        return state.outcome.exception() if state.outcome is not None else None

    def is_over(state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= tries or clock() + state.upcoming_sleep > end

    return tenacity.Retrying(
        stop=is_over,
        retry=tenacity.retry_if_exception(
            lambda error: may_pass(error) and asked_wait_s(error) <= LONGEST_WAIT_S
        ),
        wait=lambda state: max(least_wait_s + jitter(state), asked_wait_s(error_of(state))),
        sleep=sleep,
        before_sleep=lambda state: log.info(
            "%s; trying again in %.0f s", error_of(state), state.upcoming_sleep
        ),
        reraise=True,
    )


def retry_after_s(headers: Mapping[str, str], clock: Clock = time.time) -> float | None:
    """Seconds the server asks us to wait, or None.

    ``Retry-After`` in both forms (RFC 9110 section 10.2.3: seconds or HTTP date), else ``RateLimit-Reset`` or
    ``X-RateLimit-Reset`` (seconds, or seconds since the epoch where the number is that large). A date is held against
    the answer's own ``Date`` header where there is one, so that clocks that differ do not matter.
    """
    server_now = _http_date(headers.get("date", "")) or dt.datetime.fromtimestamp(clock(), dt.UTC)
    if value := headers.get("retry-after", "").strip():
        if (seconds := _number(value)) is not None:
            return seconds
        if (moment := _http_date(value)) is not None:
            return max(0.0, (moment - server_now).total_seconds())
    for name in ("ratelimit-reset", "x-ratelimit-reset"):
        if (seconds := _number(headers.get(name, ""))) is not None:
            return max(0.0, seconds - server_now.timestamp()) if seconds > _EPOCH_FROM else seconds
    return None


def _number(text: str) -> float | None:
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
