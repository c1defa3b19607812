"""Check: the way of a request from this machine to We360, step by step, so that the step that fails names who can mend it."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from airflow_provider_we360.cli.checklist import Outcome, Step
from airflow_provider_we360.connection import ConnectionLike, We360Settings, parse_connection
from airflow_provider_we360.errors import We360ConfigError, We360Error
from airflow_provider_we360.hooks.connection_test import ConnectionTest, ReachedHost
from airflow_provider_we360.transport.client import port_of
from airflow_provider_we360.types import Clock

STEPS = ("connection", "names", "API host", "login server", "login", "report", "logout")
EXPIRES_SOON = dt.timedelta(days=14)


class Check:
    """Tries one Connection. Each step is told as soon as it is done.

    :param find: the Airflow Connection.
    :param try_out: opens a trial of its settings.
    :param resolve: addresses of a host, as ``socket.getaddrinfo``.
    :param clock: answers the time now, in seconds.
    :param also: called with the trial after a report that came: for the probe.
    """

    def __init__(
        self,
        find: Callable[[], ConnectionLike],
        try_out: Callable[[We360Settings], ConnectionTest],
        *,
        clock: Clock,
        resolve: Callable[..., Any] = socket.getaddrinfo,
        also: Callable[[ConnectionTest], object] = lambda trial: None,
    ) -> None:
        self._find = find
        self._try_out = try_out
        self._clock = clock
        self._resolve = resolve
        self._also = also

    def steps(self) -> Iterator[Step]:
        """All steps in order. What follows a failed one is skipped; a session that was opened is always ended."""
        began = self._clock()
        try:
            settings = parse_connection(self._find())
            trial = self._try_out(settings)
        except We360Error as error:
            yield Step("connection", Outcome.FAILED, str(error), self._clock() - began)
            yield from map(_skipped, STEPS[1:])
            return
        yield Step("connection", Outcome.OK, _settings_told(settings), self._clock() - began)
        with trial:
            yield from self._tried(trial)

    def _tried(self, trial: ConnectionTest) -> Iterator[Step]:
        settings = trial.settings
        ways: dict[str, Callable[[], tuple[Outcome, str]]] = {
            "names": lambda: self._names(settings),
            "API host": lambda: self._reached(trial.reach(settings.api_url)),
            "login server": lambda: self._reached(trial.reach(httpx.URL(settings.issuer))),
            "login": lambda: _logged_in(trial),
            "report": lambda: self._reported(trial),
        }
        failed = logged_in = False
        for name, way in ways.items():
            step = _skipped(name) if failed else self._timed(name, way)
            failed = step.outcome is Outcome.FAILED
            failed = failed or step.outcome is Outcome.SKIPPED
            logged_in = logged_in or (name == "login" and step.outcome is Outcome.OK)
            yield step
        yield self._timed("logout", lambda: _logged_out(trial)) if logged_in else _skipped("logout")

    def _timed(self, name: str, way: Callable[[], tuple[Outcome, str]]) -> Step:
        began = self._clock()
        try:
            outcome, told = way()
        except We360Error as error:
            outcome, told = Outcome.FAILED, str(error)
        return Step(name, outcome, told, self._clock() - began)

    def _names(self, settings: We360Settings) -> tuple[Outcome, str]:
        if proxy := _proxy_of(settings):
            return Outcome.OK, f"left to the proxy ({proxy})"
        found = []
        for url in dict.fromkeys((settings.api_url, settings.auth_url)):
            try:
                answers = self._resolve(url.host, port_of(url), type=socket.SOCK_STREAM)
            except OSError:
                raise We360ConfigError(
                    f"{url.host} has no address here; check the spelling in the Connection, and let the network team make "
                    "the name known to this machine's DNS, or set extra proxy"
                ) from None
            found.append(
                f"{url.host} is {', '.join(dict.fromkeys(str(answer[4][0]) for answer in answers))}"
            )
        return Outcome.OK, "; ".join(dict.fromkeys(found))

    def _reached(self, reached: ReachedHost) -> tuple[Outcome, str]:
        if reached.tls is None:
            return Outcome.OK, f"answers (HTTP {reached.status}, without TLS: on this machine only)"
        told = f"answers (HTTP {reached.status}, {reached.tls}, certificate of {reached.issuer or 'an unnamed issuer'}"
        if reached.valid_until is None:
            return Outcome.OK, f"{told})"
        left = reached.valid_until - dt.datetime.fromtimestamp(self._clock(), dt.UTC)
        outcome = Outcome.WARNING if left < EXPIRES_SOON else Outcome.OK
        return outcome, f"{told}, which ends {reached.valid_until:%Y-%m-%d})"

    def _reported(self, trial: ConnectionTest) -> tuple[Outcome, str]:
        answer = trial.fetch_one_row()
        self._also(trial)
        if answer.rows.num_rows:
            return Outcome.OK, f"the Dynamic Report of {trial.yesterday} has rows for this account"
        return Outcome.WARNING, (
            f"the Dynamic Report of {trial.yesterday} answers, but has no row for this account: a day off, "
            "or its role in We360 sees nobody"
        )


def _settings_told(settings: We360Settings) -> str:
    return (
        f"API {str(settings.api_url).rstrip('/')}, login server {str(settings.auth_url).rstrip('/')}, realm {settings.realm}, "
        f"Customer ID {settings.customer_id}, days of {settings.timezone}"
    )


def _proxy_of(settings: We360Settings) -> str | None:
    """Where requests go first, without what a proxy's URL may hold of a password."""
    told = (
        settings.proxy
        or (settings.trust_env and (os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")))
        or ""
    )
    try:
        host = httpx.URL(told).host
    except httpx.InvalidURL:
        host = "of the environment"
    return host or None


def _logged_in(trial: ConnectionTest) -> tuple[Outcome, str]:
    token = trial.login()
    again = {True: "each refresh token works once", None: "not known to rotate"}.get(
        token.rotates, "reusable"
    )
    kept = again if token.refresh_token else "none came: each task logs in"
    return Outcome.OK, f"the token lives {token.lifetime_s:.0f} s; refresh token: {kept}"


def _logged_out(trial: ConnectionTest) -> tuple[Outcome, str]:
    trial.logout()
    return Outcome.OK, "the session is ended on the server"


def _skipped(name: str) -> Step:
    return Step(name, Outcome.SKIPPED, "not tried")
