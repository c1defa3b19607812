"""TokenEndpoint: Keycloak's answers to a login, a refresh and a logout, asked for with patience and never too often."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx

from airflow_provider_we360.auth import grants
from airflow_provider_we360.auth.lease import Seat
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import AuthUnavailable
from airflow_provider_we360.transport.messages import explain_connection_error, is_refused_by_proxy
from airflow_provider_we360.transport.retry import build_retrying
from airflow_provider_we360.types import Clock, Sleep

DEADLINE_S = 15.0
"""A whole call; with the time-outs of :mod:`grants` it ends well within a lease."""
LARGEST_ANSWER_BYTES = 2**20
"""Tokens are a few kilobytes; so is the page of a proxy that stands in their place."""
LOGIN_TRIES = 3
REFRESH_TRIES = 2
LOGOUT_TRIES = 2

T = TypeVar("T")


class TokenEndpoint:
    """One account at its Keycloak. Only trouble of the server or the wire is tried again, never a refusal.

    :param settings: the account.
    :param send: sends a request as it is, without authentication, and returns the response with its body read. A call must
        end sooner than a lease does.
    """

    def __init__(
        self,
        settings: We360Settings,
        send: Callable[[httpx.Request], httpx.Response],
        *,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._settings = settings
        self._send = send
        self._clock = clock
        self._sleep = sleep

    def login(self, seat: Seat) -> TokenSet:
        """A new session.

        :raises We360AuthError: as :func:`grants.parse_login`.
        """

        def ask() -> TokenSet:
            seat.renew()
            sent_at = self._clock()
            return grants.parse_login(
                self._call(grants.login_request(self._settings)), sent_at=sent_at
            )

        return self._patiently(ask, LOGIN_TRIES, seat.sleep)

    def refresh(self, token: TokenSet, seat: Seat) -> TokenSet:
        """The next token set of a session. Where refresh tokens rotate, one that may have arrived is never sent again.

        :raises We360AuthError: as :func:`grants.parse_refresh`.
        """

        def ask() -> TokenSet:
            seat.renew()
            sent_at = self._clock()
            response = self._call(grants.refresh_request(self._settings, token.refresh_token or ""))
            return grants.parse_refresh(response, sent_at=sent_at, previous=token)

        return self._patiently(ask, REFRESH_TRIES, seat.sleep, resend=not token.rotates)

    def logout(self, token: TokenSet) -> None:
        """End the session of this token set, if it lives. A refresh token that has ended, or was used up, still serves.

        :raises AuthUnavailable: the server could not be told.
        """

        def ask() -> None:
            response = self._call(grants.logout_request(self._settings, token.refresh_token or ""))
            if response.status_code != httpx.codes.NO_CONTENT and not grants.is_over(response):
                raise AuthUnavailable(
                    f"the login server answered HTTP {response.status_code} to the logout; the session may live on"
                )

        if token.refresh_token is not None:
            self._patiently(ask, LOGOUT_TRIES, self._sleep)

    def _patiently(
        self, ask: Callable[[], T], tries: int, sleep: Sleep, *, resend: bool = True
    ) -> T:
        def may_pass(error: BaseException) -> bool:
            if not isinstance(error, AuthUnavailable) or error.is_puzzling:
                return False
            return resend or not error.may_have_acted

        for attempt in build_retrying(
            tries, is_transient=may_pass, sleep=sleep, least_wait_s=2.0, longest_jitter_s=8.0
        ):
            with attempt:
                return ask()
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _call(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._send(request)
        except httpx.RequestError as error:
            never_sent = isinstance(
                error,
                httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError,
            )
            trouble = AuthUnavailable(
                explain_connection_error(error, request.url),
                may_have_acted=not never_sent,
                status=407 if is_refused_by_proxy(error) else None,
            )
        # Not from within: httpx's error would hang on to it, and on that the form with the password.
        raise trouble
