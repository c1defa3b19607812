"""TokenManager: gives out a token that is good now, and asks the token endpoint as seldom as a whole fleet can.

The walk of a token: in memory and fresh: use it. Else look into the store: a sibling task may have renewed it. Else be
elected, look again, and renew it (:mod:`~airflow_provider_we360.auth.renewal`). Who is not elected uses the old token while
it lives, or waits for the new one. docs/explanation/token-lifecycle.md draws it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

import httpx

from airflow_provider_we360.auth.cache import Cache
from airflow_provider_we360.auth.endpoint import TokenEndpoint
from airflow_provider_we360.auth.lease import Election, LeaseLost
from airflow_provider_we360.auth.renewal import Renewal
from airflow_provider_we360.auth.store import TokenStore
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import AuthUnavailable
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

POLL_S = 0.5
PATIENCE_S = 600.0
TOLD_AFTER_S = 5.0
LONGEST_REST_S = 300.0


class TokenManager:
    """One token set for all threads of a process, shared with other tasks through the store.

    :param settings: the account.
    :param store: what tasks of the account tell each other.
    :param send: sends a request as it is, without authentication, and returns the response with its body read.
    :param on_token: called with every new token set before anything else sees it (masking).
    :param dice: 0 to 1, drawn anew at each call: spreads what many tasks do.
    :param asks_twice: False where a person waits for the answer: a refused login is told at once, and blocks nobody.
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
        dice: Callable[[], float] = random.random,
        asks_twice: bool = True,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._dice = dice
        self._cache = Cache(store, clock, on_token)
        self._endpoint = TokenEndpoint(settings, send, clock=clock, sleep=sleep)
        self._renewal = Renewal(self._cache, self._endpoint, clock, asks_twice=asks_twice)
        self._election = Election(store.lease, clock, sleep)
        self._lock = threading.Lock()
        self._renewing = False
        self._rest_until = 0.0
        self._drawn: tuple[str, float] = ("", 0.0)

    def token(self, rejected: TokenSet | None = None) -> TokenSet:
        """A token set whose access token is good now.

        :param rejected: the token set that the API just answered 401 to; another one is given, renewed if need be.
        :raises CredentialsRefused: the login or the account was refused, now or earlier, by this task or another.
        :raises ClientRefused: the configuration was refused, likewise.
        :raises AuthUnavailable: no token can be had now.
        """
        if rejected is None and (token := self._at_hand()) is not None:
            return token
        with self._lock:
            if rejected is None and (token := self._at_hand()) is not None:
                return token
            self._cache.look()
            self._renewal.end_orphan()
            token = self._cache.usable(rejected)
            if token is None:
                return self._renewed(rejected)
            if token.is_fresh(self._clock(), self._early_s(token)):
                return token
            return self._renewed_early(token)

    def is_shared(self, token: TokenSet) -> bool:
        """Whether other tasks can see the session of this token set."""
        return self._cache.is_shared(token)

    def logout(self) -> bool:
        """End the session on the server, then forget the token set. True where there was one to end.

        :raises AuthUnavailable: the server could not be told; nothing is forgotten, so that it can be tried again.
        """
        with self._lock:
            token, outdated = self._cache.look(), self._cache.outdated()
            ended = [
                one
                for one in (token, outdated)
                if one is not None and one.refresh_token is not None
            ]
            for one in ended:
                self._endpoint.logout(one)
            if outdated is not None:
                self._cache.drop_outdated()
            if token is not None:
                self._cache.forget(token)
            self._cache.own_login = None
            if ended:
                log.info("We360 session ended")
            return bool(ended)

    def close(self) -> None:
        """End a session that this process opened and that no other can see. A shared one stays, for other tasks."""
        with self._lock:
            own, self._cache.own_login = self._cache.own_login, None
            if own is None or self._cache.is_shared(own):
                return
            newest = self._cache.token
            if newest is None or newest.is_of_other_session(own):
                self._renewal.end_quietly(own)
            else:
                self._renewal.end_quietly(newest)
                self._cache.forget(newest)

    def _at_hand(self) -> TokenSet | None:
        """The token set in memory, if it is fresh, or works and somebody sees to its renewal."""
        token, now = self._cache.token, self._clock()
        if token is None or not token.is_valid(now):
            return None
        is_minded = self._renewing or now < self._rest_until
        return token if is_minded or token.is_fresh(now, self._early_s(token)) else None

    def _early_s(self, token: TokenSet) -> float:
        if self._drawn[0] != token.access_token:
            self._drawn = (token.access_token, token.renewed_early_s(self._dice()))
        return self._drawn[1]

    def _renewed_early(self, token: TokenSet) -> TokenSet:
        """Renewed, if that can be without waiting for others; else the token as it is: it works."""
        self._renewing = True
        try:
            block = self._cache.block()
            is_blocked = block is not None and block.is_in_force(self._clock())
            if (
                is_blocked
                or token.refresh_token is None
                or token.doubtful
                or (seat := self._election.attempt()) is None
            ):
                return token
            with seat:
                newest = self._cache.look() or token
                if newest.generation > token.generation:
                    return newest
                return self._renewal.renew(seat, None)
        except LeaseLost:
            return token
        finally:
            self._renewing = False
            left_s = token.expires_at - self._clock()
            self._rest_until = self._clock() + min(LONGEST_REST_S, left_s / 4)

    def _renewed(self, rejected: TokenSet | None) -> TokenSet:
        """A new token set, by our own hand or a sibling's."""
        waited_s = 0.0
        while waited_s < PATIENCE_S:
            self._cache.raise_if_blocked()
            try:
                if (seat := self._election.attempt()) is not None:
                    with seat:
                        self._cache.look()
                        if (token := self._cache.usable(rejected)) is not None:
                            return token
                        self._cache.raise_if_blocked()
                        return self._renewal.renew(seat, rejected)
            except LeaseLost:
                pass
            pause_s = POLL_S + self._dice()
            self._sleep(pause_s)
            waited_s += pause_s
            if waited_s - pause_s < TOLD_AFTER_S <= waited_s:
                log.info(
                    "another task sees to the We360 token; waiting for it, for %d s at most",
                    PATIENCE_S,
                )
            self._cache.look()
            if (token := self._cache.usable(rejected)) is not None:
                return token
        raise AuthUnavailable(
            f"other tasks have been renewing the We360 token for {PATIENCE_S:.0f} s without an end"
        )
