"""The steps of ``check``. Each tests one part of the way, so that a failure names its owner."""

from __future__ import annotations

import datetime as dt
import enum
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from airflow_provider_we360.connection import ConnectionLike, We360Settings, parse_connection
from airflow_provider_we360.errors import We360ConfigError, We360Error, describe_unexpected
from airflow_provider_we360.hooks.connection_test import ConnectionTest, ReachedHost
from airflow_provider_we360.transport.client import port_of
from airflow_provider_we360.transport.proxy import find_proxy
from airflow_provider_we360.types import Clock

# In the order of a real request, so that the first failure is the cause of all later ones. The
# names are part of the JSON output.
STEPS = ("connection", "names", "API host", "login server", "login", "report", "logout")
# Long enough for a company's certificate office to act.
EXPIRES_SOON = dt.timedelta(days=14)


class Outcome(enum.StrEnum):
    """The result of a step."""

    OK = "ok"
    WARNING = "warning"
    """It works, but a person should look at it."""
    FAILED = "FAILED"
    SKIPPED = "skipped"
    """Not tried, because an earlier step failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step and its result. The message holds no secret and no value of a row."""

    name: str
    outcome: Outcome
    message: str
    seconds: float = 0.0

    def line(self) -> str:
        """Return the step as a line for a terminal."""
        took = f" ({self.seconds:.1f} s)" if self.seconds >= 0.05 else ""
        return f"  {self.outcome.value:<8} {self.name:<13} {self.message}{took}"

    def facts(self) -> dict[str, Any]:
        """Return the step for JSON."""
        return asdict(self) | {
            "outcome": self.outcome.value.lower(),
            "seconds": round(self.seconds, 3),
        }


def run_steps(
    find: Callable[[], ConnectionLike],
    open_test: Callable[[We360Settings], ConnectionTest],
    *,
    clock: Clock,
    resolve: Callable[..., Any] = socket.getaddrinfo,
    after_report: Callable[[ConnectionTest], object] = lambda test: None,
) -> Iterator[Step]:
    """Yield all steps in order. What follows a failure is skipped; an open session is ended.

    :param find: returns the Airflow Connection.
    :param resolve: returns the addresses of a host, as ``socket.getaddrinfo``.
    :param after_report: called with the test once a report was read; for the probe.
    """
    began = clock()
    try:
        settings = parse_connection(find())
        test = open_test(settings)
    except Exception as error:  # noqa: BLE001 - whatever happens is a result
        yield Step("connection", Outcome.FAILED, _words(error), clock() - began)
        yield from map(_skip, STEPS[1:])
        return
    yield Step("connection", Outcome.OK, _describe_settings(settings), clock() - began)
    actions: dict[str, Callable[[], tuple[Outcome, str]]] = {
        "names": lambda: (Outcome.OK, _resolve_names(settings, resolve)),
        "API host": lambda: _judge_host(test.reach(settings.api_url), clock()),
        "login server": lambda: _judge_host(test.reach(httpx.URL(settings.issuer)), clock()),
        "login": lambda: _log_in(test),
        "report": lambda: _read_report(test, after_report),
        "logout": lambda: _log_out(test),
    }
    try:
        # The logout is due after any login, also if the report failed: no session may be left.
        has_failed = has_session = False
        for name, action in actions.items():
            is_due = has_session if name == "logout" else not has_failed
            step = _run(name, action, clock) if is_due else _skip(name)
            has_failed = has_failed or step.outcome is Outcome.FAILED
            has_session = has_session or (name == "login" and step.outcome is Outcome.OK)
            yield step
    finally:
        with suppress(Exception):  # the step "logout" has reported it
            test.close()


def has_passed(steps: Sequence[Step]) -> bool:
    """Return True if no step failed."""
    return all(step.outcome is not Outcome.FAILED for step in steps)


def _run(name: str, action: Callable[[], tuple[Outcome, str]], clock: Clock) -> Step:
    began = clock()
    try:
        outcome, message = action()
    except Exception as error:  # noqa: BLE001 - whatever happens is a result
        outcome, message = Outcome.FAILED, _words(error)
    return Step(name, outcome, message, clock() - began)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, We360Error) else describe_unexpected(error)


def _skip(name: str) -> Step:
    return Step(name, Outcome.SKIPPED, "not tried")


def _describe_settings(settings: We360Settings) -> str:
    api, auth = (str(url).rstrip("/") for url in (settings.api_url, settings.auth_url))
    return (
        f"API {api}, login server {auth}, realm {settings.realm}, "
        f"Customer ID {settings.customer_id}, time zone {settings.timezone}"
    )


def _resolve_names(settings: We360Settings, resolve: Callable[..., Any]) -> str:
    found = []
    for url in dict.fromkeys((settings.api_url, settings.auth_url)):
        # A worker behind a proxy often cannot resolve public names, and need not.
        if proxy := find_proxy(settings, url):
            found.append(f"{url.host} is left to {proxy}")
            continue
        try:
            answers = resolve(url.host, port_of(url), type=socket.SOCK_STREAM)
        except OSError as error:
            raise We360ConfigError(
                f"{url.host} has no address here; check its spelling in the Connection, have the "
                "network team make the name known to this machine's DNS, or set Proxy "
                "(extra proxy)"
            ) from error
        addresses = dict.fromkeys(str(answer[4][0]) for answer in answers)
        found.append(f"{url.host} is {', '.join(addresses)}")
    return "; ".join(dict.fromkeys(found))


def _judge_host(host: ReachedHost, now: float) -> tuple[Outcome, str]:
    # Any status counts: without credentials, a host that works refuses the request.
    if host.tls is None:
        return Outcome.OK, f"answers (HTTP {host.status}, without TLS: on this machine only)"
    issuer = host.issuer or "an unnamed issuer"
    facts = f"answers (HTTP {host.status}, {host.tls}, certificate of {issuer}"
    if host.valid_until is None:
        return Outcome.OK, f"{facts})"
    left = host.valid_until - dt.datetime.fromtimestamp(now, dt.UTC)
    outcome = Outcome.WARNING if left < EXPIRES_SOON else Outcome.OK
    return outcome, f"{facts}, which ends {host.valid_until:%Y-%m-%d})"


def _log_in(test: ConnectionTest) -> tuple[Outcome, str]:
    token = test.login()
    if not token.refresh_token:
        refresh = "none: each task logs in"
    elif token.rotates is None:
        refresh = "may be reusable"
    else:
        refresh = "each works once" if token.rotates else "reusable"
    return Outcome.OK, f"the token is valid for {token.lifetime_s:,.0f} s; refresh token: {refresh}"


def _read_report(
    test: ConnectionTest, after_report: Callable[[ConnectionTest], object]
) -> tuple[Outcome, str]:
    answer = test.fetch_one_row()
    after_report(test)
    if answer.rows.num_rows:
        return Outcome.OK, f"the Dynamic Report of {test.yesterday} has rows for this account"
    return Outcome.WARNING, (
        f"the Dynamic Report of {test.yesterday} has no rows for this account: a day off, or the "
        "account's role in We360 sees no one"
    )


def _log_out(test: ConnectionTest) -> tuple[Outcome, str]:
    test.logout()
    return Outcome.OK, "the session is ended on the server"
