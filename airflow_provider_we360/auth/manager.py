"""TokenManager: gives out a token that is good now, and renews it as seldom as it can.

The walk of a token: in memory and fresh: use it. Else look into the store: a sibling task may have renewed it. Else
refresh. Else, the refresh token being dead, log in. The newest pair goes into the store before its first use.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import httpx

from airflow_provider_we360.auth import grants
from airflow_provider_we360.auth.store import TokenStore
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import AuthUnavailable, RefreshRejected, We360AuthError
from airflow_provider_we360.transport import LONGEST_WAIT_S, asked_wait_s, connection_trouble, patiently
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

LOGIN_TRIES = 3
REFRESH_TRIES_WITHOUT_ROTATION = 3
REFRESH_TRIES = 2
REST_AFTER_FAILED_REFRESH_S = 300.0


class TokenManager:
    """One token set for all threads of a process, shared with other tasks through the store.

    :param settings: the account.
    :param store: where the newest token set is kept between tasks.
    :param send: sends a request as it is, without authentication, and returns the response with its body read.
    :param on_token: called with every new token set before anything else sees it (masking).
    """

    def __init__(
        self,
        settings: We360Settings,
        store: TokenStore,
        send: Callable[[httpx.Request], httpx.Response],
        *,
        clock: Clock,
        sleep: Sleep,
        on_token: Callable[[TokenSet], None] = lambda token: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._on_token = on_token
        self._lock = threading.Lock()
        self._token: TokenSet | None = None
        self._refusal: We360AuthError | None = None
        self._rest_until = 0.0

    def token(self, rejected: TokenSet | None = None) -> TokenSet:
        """A token set whose access token is good now.

        :param rejected: the token set that the API just answered 401 to; another one is given, renewed if need be.
        :raises CredentialsRefused: the account was refused, now or earlier in this process: never asked twice.
        :raises ClientRefused: the configuration was refused, likewise.
        :raises AuthUnavailable: no token can be had now.
        """
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if self._is_usable(self._token, rejected):
                return self._adopt(self._token)
            stored = self._store.load()
            if self._is_usable(stored, rejected):
                return self._adopt(stored)
            try:
                return self._renew(self._newest(stored), rejected)
            except We360AuthError as error:
                if error.never_retry:
                    self._refusal = error
                raise

    def logout(self) -> bool:
        """End the session on the server and forget the token set. True where there was one to end.

        :raises AuthUnavailable: the server could not be told; the token set is forgotten all the same.
        """
        with self._lock:
            token = self._newest(self._store.load())
            self._token = None
            if token is None:
                return False
            self._store.clear(token)
            if token.refresh_token is None:
                return False
            response = self._call(grants.logout_request(self._settings, token.refresh_token))
            if not response.is_success and not grants.is_over(response):
                raise AuthUnavailable(
                    f"the login server answered HTTP {response.status_code} to the logout; the session may live on"
                )
            log.info("We360 session ended")
            return True

    def _is_usable(self, token: TokenSet | None, rejected: TokenSet | None) -> bool:
        if token is None:
            return False
        if rejected is not None and (token.access_token == rejected.access_token or token.obtained_at < rejected.obtained_at):
            return False
        now = self._clock()
        # After a failed refresh a token that still works is used to its end, without asking again at every request.
        return token.is_fresh(now) or (now < self._rest_until and token.is_valid(now))

    def _adopt(self, token: TokenSet | None) -> TokenSet:
        assert token is not None
        if self._token is None or self._token.access_token != token.access_token:
            self._on_token(token)
            self._token = token
        return token

    def _newest(self, stored: TokenSet | None) -> TokenSet | None:
        known = [token for token in (self._token, stored) if token is not None]
        return max(known, key=lambda token: token.obtained_at, default=None)

    def _renew(self, token: TokenSet | None, rejected: TokenSet | None) -> TokenSet:
        if token is None or token.refresh_token is None:
            return self._login()
        try:
            return self._refresh(token, token.refresh_token)
        except RefreshRejected as error:
            stored = self._store.load()
            if stored is not None and stored.refresh_token != token.refresh_token and self._is_usable(stored, rejected):
                return self._adopt(stored)
            log.info("We360 session is over (%s); logging in again", error)
            self._store.clear(token)
            return self._login()
        except AuthUnavailable as error:
            still_good = rejected is None and token.is_valid(self._clock())
            if still_good:
                self._rest_until = self._clock() + min(REST_AFTER_FAILED_REFRESH_S, token.leeway_s / 2)
                log.warning("%s; the present token works for another %d s", error, token.expires_at - self._clock())
                return self._adopt(token)
            if asked_wait_s(error) > LONGEST_WAIT_S:
                raise  # a server that asks for a rest gets no password instead
            log.warning("%s; logging in instead", error)
            return self._login()

    def _refresh(self, token: TokenSet, refresh_token: str) -> TokenSet:
        def parse(response: httpx.Response, sent_at: float) -> TokenSet:
            return grants.parse_refresh(response, sent_at=sent_at, previous=token)

        # Where refresh tokens rotate, or may, an unanswered call may have used the token up: it is sent again once, no more.
        tries = REFRESH_TRIES_WITHOUT_ROTATION if token.rotates is False else REFRESH_TRIES
        return self._keep(self._exchange(grants.refresh_request(self._settings, refresh_token), parse, tries), "renewed")

    def _login(self) -> TokenSet:
        def parse(response: httpx.Response, sent_at: float) -> TokenSet:
            return grants.parse_login(response, sent_at=sent_at)

        return self._keep(self._exchange(grants.login_request(self._settings), parse, LOGIN_TRIES), "obtained by login")

    def _keep(self, token: TokenSet, how: str) -> TokenSet:
        self._on_token(token)
        self._token = token
        self._rest_until = 0.0
        self._store.save(token)
        log.info("We360 token %s, good for %d s", how, token.lifetime_s)
        return token

    def _exchange(self, request: httpx.Request, parse: Callable[[httpx.Response, float], TokenSet], tries: int) -> TokenSet:
        """The token set a call brings. Only trouble of the server or the wire is tried again, never a refusal."""
        retrying = patiently(tries, may_pass=_may_pass, sleep=self._sleep, least_wait_s=2.0, longest_jitter_s=8.0)
        for attempt in retrying:
            with attempt:
                sent_at = self._clock()
                return parse(self._call(request), sent_at)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _call(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._send(request)
        except httpx.RequestError as error:
            raise AuthUnavailable(connection_trouble(error, request.url)) from None


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, AuthUnavailable)
