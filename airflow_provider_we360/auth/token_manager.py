"""TokenManager: returns an access token that is valid now.

Lookup order: process memory, shared store, then acquire the lease and refresh, or log in. Tasks
that do not get the lease use the present token while it is valid, or wait for the new one.
docs/explanation/token-lifecycle.md draws it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace

import httpx

from airflow_provider_we360.auth.keycloak import KeycloakClient, is_unsent, longest_call_s
from airflow_provider_we360.auth.lease import HeldLease, LeaseElection, LeaseLost
from airflow_provider_we360.auth.lockout import Lockout
from airflow_provider_we360.auth.shared_token import SAVE_WAIT_S, SharedToken
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    RefreshRejected,
    We360AuthError,
)
from airflow_provider_we360.transport.retry import LONGEST_WAIT_S
from airflow_provider_we360.types import Clock, Sleep

log = logging.getLogger(__name__)

POLL_S = 0.5
LONGEST_WAIT_FOR_OTHERS_S = 600.0
LOG_WAIT_AFTER_S = 5.0
LONGEST_REST_S = 300.0
LEASE_MARGIN_S = 20.0
SIBLING_LOOKS = 3
SIBLING_LOOKS_S = 5.0
JUST_READ_S = 5.0


class TokenManager:
    """One token set for all threads of a process, shared with other tasks through the store.

    :param settings: the account.
    :param store: the entries that all tasks of the account share.
    :param send: sends a request without authentication and returns the response with its body.
    :param on_token: called with every new token set before anything else sees it (masking).
    :param spread: returns 0 to 1 and spreads what many tasks do at once.
    :param sends_twice: False if a person waits for the answer: a refused login is reported at
        once, and suspends nothing.
    :param reload: returns settings and store as the Connection is now if its password changed
        since the settings were read, else None. Called before a password is sent.
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
        spread: Callable[[], float] = random.random,
        sends_twice: bool = True,
        reload: Callable[[], tuple[We360Settings, TokenStore] | None] = lambda: None,
    ) -> None:
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._shared = SharedToken(store.token, clock, on_token)
        self._spread = spread
        self._sends_twice = sends_twice
        self._reload = reload
        self._lock = threading.Lock()
        self._own_login: TokenSet | None = None
        """The login of this process. Its session has to end unless other tasks share it."""
        self._is_renewing = False
        self._rest_until = 0.0
        self._began = clock()
        self._drawn: tuple[str, float] = ("", 0.0)
        self._use(settings, store)

    def _use(self, settings: We360Settings, store: TokenStore) -> None:
        self._lease_name = store.lease.name or "lease"
        self._shared.entry = store.token
        self._keycloak = KeycloakClient(settings, self._send, clock=self._clock, sleep=self._sleep)
        self._lockout = Lockout(store.lockout, settings, self._clock, sends_twice=self._sends_twice)
        lasts_s = longest_call_s(settings) + LEASE_MARGIN_S
        self._election = LeaseElection(store.lease, self._clock, self._sleep, lasts_s)
        self._patience_s = max(LONGEST_WAIT_FOR_OTHERS_S, 3 * lasts_s)

    # public

    def token(self, rejected: TokenSet | None = None) -> TokenSet:
        """Return a token set whose access token is valid now.

        :param rejected: the token set that the API answered with a 401; another one is returned.
        :raises CredentialsRefused: the login or the account was refused, now or by another task.
        :raises ClientRefused: likewise, the configuration.
        :raises AuthUnavailable: no token is available now.
        """
        # Without the lock first: threads of a load read the token for every request.
        if rejected is None and (token := self._find_in_memory()) is not None:
            return token
        with self._lock:
            # Again with the lock: another thread may have renewed the token while this one waited.
            if rejected is None and (token := self._find_in_memory()) is not None:
                return token
            token = self._shared.look(rejected)
            self._end_replaced_login()
            if token is None:
                return self._obtain(rejected)
            if self._clock() < token.expires_at - self._early_s(token):
                return token
            return self._renew_early(token)

    def is_shared(self, token: TokenSet) -> bool:
        """Return whether other tasks can use the session of this token set."""
        return self._shared.is_shared(token)

    def logout(self) -> bool:
        """End the session on the server, then remove the token. Return whether there was one.

        :raises AuthUnavailable: the server did not confirm it. Nothing is removed, so that it can
            be tried again.
        """
        with self._lock:
            self._shared.look(None)
            token, voided = self._shared.present, self._shared.entry.voided
            ended = [one for one in (token, voided) if one is not None and one.refresh_token]
            # On the server first: a token that was removed here could never be logged out.
            for one in ended:
                self._keycloak.logout(one)
            if voided is not None:
                self._shared.entry.delete()
            if token is not None:
                self._shared.drop(token)
            self._own_login = None
            if ended:
                log.info("We360 session ended")
            return bool(ended)

    def close(self) -> None:
        """End a session that this process opened and no other can use. A shared one stays."""
        with self._lock:
            own, self._own_login = self._own_login, None
            if own is None or self.is_shared(own):
                return
            # The session goes on if it was refreshed by now, so the newest token of it has to be
            # used.
            newest = self._shared.present
            if newest is None or newest.is_of_other_session(own):
                self._end_quietly(own)
            else:
                self._end_quietly(newest)
                self._shared.drop(newest)

    # lookup

    def _find_in_memory(self) -> TokenSet | None:
        """Return the token in memory if it is fresh, or valid and not due for renewal by us."""
        token, now = self._shared.present, self._clock()
        if token is None or not token.is_valid(now):
            return None
        # One thread renews early while the others go on with the valid token. After a failed
        # attempt, all do for a while.
        if self._is_renewing or now < self._rest_until:
            return token
        return token if now < token.expires_at - self._early_s(token) else None

    def _early_s(self, token: TokenSet) -> float:
        # Drawn once per token: a new draw at each request would soon be the earliest possible one.
        if self._drawn[0] != token.access_token:
            self._drawn = (token.access_token, token.early_renewal_s(self._spread()))
        return self._drawn[1]

    # renewal

    def _renew_early(self, token: TokenSet) -> TokenSet:
        """Refresh a valid token unless another task does; then return it as it is."""
        self._is_renewing = True
        try:
            if token.refresh_token is None or token.doubtful or self._lockout.is_suspended():
                return token
            if (lease := self._election.attempt()) is None:
                return token
            with lease:
                newest = self._shared.look(None) or token
                return newest if newest.generation > token.generation else self._renew(lease, None)
        except LeaseLost:
            return token
        finally:
            self._is_renewing = False
            # A failed attempt is not repeated at once: three more fit before the token expires.
            left_s = token.expires_at - self._clock()
            self._rest_until = self._clock() + min(LONGEST_REST_S, left_s / 4)

    def _obtain(self, rejected: TokenSet | None) -> TokenSet:
        """Return a new token set, from this task's request or from another task's."""
        self._adopt_new_password()
        began, is_logged = self._clock(), False
        while self._clock() - began < self._patience_s:
            self._lockout.check(is_waiting=True)
            try:
                if (lease := self._election.attempt()) is not None:
                    with lease:
                        # Look again with the lease: its last holder may have saved a token since.
                        return self._shared.look(rejected) or self._renew(lease, rejected)
            except LeaseLost:
                pass
            if (token := self._shared.look(rejected)) is not None:
                return token
            # Spread, or tasks that started together would read the store at the same moments.
            self._sleep(POLL_S + self._spread())
            if not is_logged and self._clock() - began >= LOG_WAIT_AFTER_S:
                is_logged = True
                log.info(
                    "Another task renews the We360 token; waiting for it, at most %d s",
                    self._patience_s,
                )
            if (token := self._shared.look(rejected)) is not None:
                return token
        raise AuthUnavailable(
            f"other tasks have been renewing the We360 token for {self._patience_s:.0f} s without "
            f"success; if none runs, delete the {self._lease_name}",
            retry_after_s=60.0,
        )

    def _renew(self, lease: HeldLease, rejected: TokenSet | None) -> TokenSet:
        """Return the next token set, by refresh if possible, else by login.

        Return the present one if the refresh fails and it is still valid.

        :param rejected: the token set that the API refused; it is not returned again.
        """
        token = self._shared.present
        if token is None or token.refresh_token is None:
            return self._log_in(lease, rejected)
        if token.doubtful:
            return self._replace_session(token, "The refresh token may be used up", lease, rejected)
        try:
            renewed = self._keycloak.refresh(token, lease.renew, lease.sleep)
        except RefreshRejected as error:
            return self._after_rejected_refresh(token, error, lease, rejected)
        except AuthUnavailable as error:
            return self._after_failed_refresh(token, error, lease, rejected)
        except (CredentialsRefused, ClientRefused) as error:
            # No password was sent, but one would be refused for the same reason.
            self._lockout.count_grant(alone=lease.alone)
            refusal = self._lockout.record(error, lambda: lease.sleep(SAVE_WAIT_S))
            if self._is_usable(token, rejected):
                return self._replace_session(token, str(error), lease, rejected)
            # No valid token is left, so the task has to fail, with the end of the suspension in its
            # message.
            raise refusal from error
        except LeaseLost:
            raise  # nothing was sent
        except BaseException:  # the task was killed or timed out: the answer is unknown
            self._shared.amend(replace(token, doubtful=True))
            raise
        return self._shared.save(renewed, lease, "renewed", replaced=token)

    def _is_usable(self, token: TokenSet, rejected: TokenSet | None) -> bool:
        return rejected is None and token.is_valid(self._clock())

    def _after_rejected_refresh(
        self, token: TokenSet, error: RefreshRejected, lease: HeldLease, rejected: TokenSet | None
    ) -> TokenSet:
        # Another task that had lost its lease may have used up this refresh token a moment ago.
        newer = self._shared.look(rejected)
        if newer is not None and newer.refresh_token != token.refresh_token:
            return newer
        if self._is_usable(token, rejected):
            log.info(
                "We360 session has ended (%s); using the present token until it expires", error
            )
            # Without the dead refresh token, other tasks do not try it again.
            return self._shared.amend(replace(token, refresh_token=None))
        log.info("We360 session has ended (%s); logging in again", error)
        self._end_quietly(token)  # some refusals concern the refresh token, not the session
        self._shared.drop(token)
        return self._log_in(lease, rejected)

    def _after_failed_refresh(
        self, token: TokenSet, error: AuthUnavailable, lease: HeldLease, rejected: TokenSet | None
    ) -> TokenSet:
        wait_s = error.retry_after_s or 0.0
        if wait_s > LONGEST_WAIT_S:
            # For all tasks: the server requests a pause of the account, not of this process.
            self._lockout.suspend(wait_s, str(error))
        if error.may_have_acted:
            token = self._shared.amend(replace(token, doubtful=True))
        elif not self._is_usable(token, rejected):
            raise error  # the server is not reachable or overloaded: a login would not help
        if wait_s > LONGEST_WAIT_S and not token.is_valid(self._clock()):
            raise error
        return self._replace_session(token, str(error), lease, rejected)

    def _replace_session(
        self, token: TokenSet, reason: str, lease: HeldLease, rejected: TokenSet | None
    ) -> TokenSet:
        if self._is_usable(token, rejected):
            left_s = token.expires_at - self._clock()
            log.warning("%s; using the present token for another %d s", reason, left_s)
            return token
        log.warning("%s; logging in instead", reason)
        # A lost answer may have left a session whose newest refresh token no one holds.
        self._end_quietly(token)
        self._shared.drop(token)
        return self._log_in(lease, rejected)

    # login

    def _adopt_new_password(self) -> bool:
        """Read the Connection again before a password is sent: a task may run for hours.

        Return whether it has a new password.

        :raises AuthUnavailable: the Connection is now one of another account.
        """
        # A new process has just read the Connection; reading it again costs a query of the secrets
        # backend.
        is_just_read = self._clock() - self._began < JUST_READ_S and not self._shared.newest
        if is_just_read and self._shared.entry.voided is None:
            return False
        if (changed := self._reload()) is None:
            return False
        log.info("The Connection has a new password; using it")
        self._use(*changed)
        return True

    def _log_in(self, lease: HeldLease, rejected: TokenSet | None) -> TokenSet:
        known, voided = self._shared.newest, self._shared.entry.voided
        token = self._send_password(lease, rejected, known)
        if token is None:
            return self._present()
        self._lockout.lift()
        self._own_login = token
        try:
            # Another task's token may have appeared: its session stays, ours ends.
            if not self._has_newer(known, rejected):
                self._shared.save(token, lease, "obtained by login")
                # Not saved: either no store, or another task has saved one meanwhile, which look
                # finds.
                if not self._shared.is_saved:
                    self._shared.look(None)
                if voided is not None:
                    self._end_quietly(voided)
        except LeaseLost:
            self._own_login = None
            self._shared.drop(token)
            self._end_quietly(token)
            raise
        self._end_replaced_login()
        return self._present()

    def _send_password(
        self, lease: HeldLease, rejected: TokenSet | None, known: int
    ) -> TokenSet | None:
        """Return the token set of a login, or None if another task's token appeared meanwhile."""
        while True:
            if self._adopt_new_password() and self._has_newer(known, rejected):
                return None
            if wait_s := self._lockout.check():
                log.warning(
                    "We360 refused the login, perhaps because another login of this account was "
                    "in progress; trying a second and last time in %d s",
                    wait_s,
                )
                lease.sleep(wait_s)
                if self._has_newer(known, rejected):
                    return None
                continue
            # Last check before the password leaves: two grants at once would both count.
            lease.confirm()
            # Counted before it is sent: a worker that is killed now must not leave an uncounted
            # grant.
            self._lockout.count_grant(alone=lease.alone)
            try:
                return self._keycloak.login(lease.sleep)
            except We360AuthError as error:
                if isinstance(error, AuthUnavailable) and is_unsent(error):
                    self._lockout.take_back()
                    raise
                refusal = self._lockout.record(error, lambda: lease.sleep(SAVE_WAIT_S))
                if not lease.alone and self._sibling_succeeds(error, known, lease, rejected):
                    self._lockout.lift()
                    return None
                if not self._lockout.awaits_second_grant:
                    raise refusal from None

    def _sibling_succeeds(
        self, error: We360AuthError, known: int, lease: HeldLease, rejected: TokenSet | None
    ) -> bool:
        """Wait for another task's token: Keycloak refuses logins that overlap."""
        if not isinstance(error, CredentialsRefused) or isinstance(error, AccountRefused):
            return False
        # The other login is under way when ours is refused; its token shows up seconds later.
        for _ in range(SIBLING_LOOKS):
            lease.sleep(SIBLING_LOOKS_S / SIBLING_LOOKS)
            if self._has_newer(known, rejected):
                return True
        return False

    def _has_newer(self, known: int, rejected: TokenSet | None) -> bool:
        token = self._shared.look(rejected)
        return token is not None and token.generation > known

    def _end_replaced_login(self) -> None:
        """End the session of our own login if another task's session has taken its place."""
        own, token = self._own_login, self._shared.present
        if own is not None and token is not None and own.is_of_other_session(token):
            self._own_login = None
            self._end_quietly(own)

    def _end_quietly(self, token: TokenSet) -> None:
        try:
            self._keycloak.logout(token)
        except AuthUnavailable as error:
            # Never an error: a load must not fail because of a session that ends by itself.
            log.warning("A We360 session that is no longer needed may still exist: %s", error)

    def _present(self) -> TokenSet:
        assert self._shared.present is not None
        return self._shared.present
