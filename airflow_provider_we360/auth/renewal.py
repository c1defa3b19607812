"""Renewal: what the one task that was elected does. Refresh; where the refresh token is dead, log in."""

from __future__ import annotations

import logging
from dataclasses import replace

from airflow_provider_we360.auth.block import SECOND_TRY_AFTER_S, after_refusal
from airflow_provider_we360.auth.cache import Cache
from airflow_provider_we360.auth.endpoint import TokenEndpoint
from airflow_provider_we360.auth.lease import LeaseLost, Seat
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    RefreshRejected,
    We360AuthError,
)
from airflow_provider_we360.transport.retry import LONGEST_WAIT_S, requested_wait_s
from airflow_provider_we360.types import Clock

log = logging.getLogger(__name__)

SIBLING_LOOKS = 3
SIBLING_LOOKS_S = 5.0
SAVE_TRIES = 3
SAVE_WAIT_S = 0.5


class Renewal:
    """Asks the token endpoint for an elected task.

    :param asks_twice: False where a person waits for the answer: a refused login is told at once, and blocks nobody.
    """

    def __init__(
        self, cache: Cache, endpoint: TokenEndpoint, clock: Clock, *, asks_twice: bool
    ) -> None:
        self._cache = cache
        self._endpoint = endpoint
        self._clock = clock
        self._asks_twice = asks_twice

    def renew(self, seat: Seat, rejected: TokenSet | None) -> TokenSet:
        """The next token set, by refresh if that can be, else by login; or the present one, if it works and must do.

        :param rejected: the token set that the API refused: it is not given again.
        :raises CredentialsRefused: the login, or the account, was refused.
        :raises ClientRefused: the configuration was refused.
        :raises AuthUnavailable: no token can be had now.
        :raises LeaseLost: another task took over.
        """
        token = self._cache.token
        if token is None or token.refresh_token is None:
            return self._login(seat, rejected)
        if token.doubtful:
            return self._instead_of_refresh(
                token, "the refresh token may be used up", seat, rejected
            )
        try:
            renewed = self._endpoint.refresh(token, seat)
        except RefreshRejected as error:
            return self._after_dead_refresh_token(token, error, seat, rejected)
        except AuthUnavailable as error:
            return self._after_trouble(token, error, seat, rejected)
        except (CredentialsRefused, ClientRefused) as error:
            refusal = self._blocked(error, seat)
            if self._serves(token, rejected):
                return self._instead_of_refresh(token, str(error), seat, rejected)
            raise refusal from None
        except LeaseLost:
            raise  # nothing was sent
        except (
            BaseException
        ):  # a time-out of the task, or its end: nobody knows what the server did
            self._cache.amend(replace(token, doubtful=True))
            raise
        self._keep(renewed, seat, "renewed")
        return self._at_hand()

    def end_quietly(self, token: TokenSet) -> None:
        """End a session that nobody needs any more. Best effort: if the server cannot be told, the log says so."""
        try:
            self._endpoint.logout(token)
        except AuthUnavailable as error:
            log.warning("a We360 session that is not needed any more may live on: %s", error)

    def end_orphan(self) -> None:
        """End the session of our own login, where a sibling's has taken its place."""
        own, token = self._cache.own_login, self._cache.token
        if own is not None and token is not None and own.is_of_other_session(token):
            self._cache.own_login = None
            self.end_quietly(own)

    # refresh

    def _after_dead_refresh_token(
        self, token: TokenSet, error: RefreshRejected, seat: Seat, rejected: TokenSet | None
    ) -> TokenSet:
        stored = self._cache.look()
        if (
            stored is not None
            and stored.refresh_token != token.refresh_token
            and self._cache.usable(rejected)
        ):
            return stored
        if self._serves(token, rejected):
            log.info("We360 session is over (%s); the present token serves to its end", error)
            return self._cache.amend(replace(token, refresh_token=None))
        log.info("We360 session is over (%s); logging in again", error)
        self.end_quietly(token)  # of some refusals the session itself knows nothing
        self._cache.forget(token)
        return self._login(seat, rejected)

    def _after_trouble(
        self, token: TokenSet, error: AuthUnavailable, seat: Seat, rejected: TokenSet | None
    ) -> TokenSet:
        if error.may_have_acted:
            token = self._cache.amend(replace(token, doubtful=True))
        elif not self._serves(token, rejected):
            raise error  # a server that cannot be reached, or asks for a rest, gets no password instead
        if requested_wait_s(error) > LONGEST_WAIT_S and not token.is_valid(self._clock()):
            raise error
        return self._instead_of_refresh(token, str(error), seat, rejected)

    def _instead_of_refresh(
        self, token: TokenSet, why: str, seat: Seat, rejected: TokenSet | None
    ) -> TokenSet:
        if self._serves(token, rejected):
            log.warning(
                "%s; the present token works for another %d s",
                why,
                token.expires_at - self._clock(),
            )
            return token
        log.warning("%s; logging in instead", why)
        # An answer that was lost may have left a session whose newest refresh token nobody holds.
        self.end_quietly(token)
        self._cache.forget(token)
        return self._login(seat, rejected)

    def _serves(self, token: TokenSet, rejected: TokenSet | None) -> bool:
        """Whether the token set can be used to its end: nobody refused it, and it lives."""
        return rejected is None and token.is_valid(self._clock())

    # login

    def _login(self, seat: Seat, rejected: TokenSet | None) -> TokenSet:
        known, outdated = self._cache.newest, self._cache.outdated()
        block = self._cache.block()
        if block is not None and block.is_first_try and block.is_in_force(self._clock()):
            seat.sleep(min(block.until - self._clock(), SECOND_TRY_AFTER_S))
        token = self._granted(seat, rejected, known)
        if token is None:
            return self._at_hand()
        self._cache.lift_blocks()
        self._cache.own_login = token
        if self._has_come(known, rejected):  # a sibling's, while we were at it: ours ends at once
            self.end_orphan()
            return self._at_hand()
        self._keep(token, seat, "obtained by login")
        self._cache.look()
        self.end_orphan()
        if outdated is not None:
            self.end_quietly(outdated)
        return self._at_hand()

    def _granted(self, seat: Seat, rejected: TokenSet | None, known: int) -> TokenSet | None:
        """The answer to a password grant, or to the second of two; None where a sibling's token came meanwhile."""
        for is_last in (False, True):
            self._cache.raise_if_blocked()
            try:
                return self._endpoint.login(seat)
            except AuthUnavailable as error:
                if self._asks_twice and error.may_have_counted:
                    self._blocked(error, seat)
                raise
            except (CredentialsRefused, ClientRefused) as error:
                if not self._asks_twice:
                    raise
                # At once: who is killed while it waits must not leave the next one in the dark.
                refusal = self._blocked(error, seat, asks_again=not is_last)
                if not seat.alone and self._sibling_has_won(error, known, seat, rejected):
                    self._cache.lift_blocks()
                    return None
                block = self._cache.block()
                if is_last or block is None or not block.is_first_try:
                    raise refusal from None
            log.warning(
                "We360 refused the login. Another login of this account may have been under way: asking once more in %d s, "
                "and then no more",
                SECOND_TRY_AFTER_S,
            )
            seat.sleep(SECOND_TRY_AFTER_S)
            if self._has_come(known, rejected):
                return None
        raise AssertionError("unreachable: the second grant returns or raises")

    def _sibling_has_won(
        self, error: We360AuthError, known: int, seat: Seat, rejected: TokenSet | None
    ) -> bool:
        """Keycloak refuses a right password while another login of the account is in flight: its token may appear."""
        if isinstance(error, AccountRefused | ClientRefused):
            return False
        for _ in range(SIBLING_LOOKS):
            seat.sleep(SIBLING_LOOKS_S / SIBLING_LOOKS)
            if self._has_come(known, rejected):
                return True
        return False

    def _has_come(self, known: int, rejected: TokenSet | None) -> bool:
        """Whether a sibling's token set is there that can be used, newer than the generation known before."""
        token = self._cache.look()
        return (
            token is not None
            and token.generation > known
            and self._cache.usable(rejected) is not None
        )

    def _blocked(
        self, error: We360AuthError, seat: Seat, *, asks_again: bool = True
    ) -> We360AuthError:
        # Where tasks cannot tell each other of it, each second try would be one too many.
        block = after_refusal(
            error, self._cache.block(), self._clock(), asks_again=asks_again and not seat.alone
        )
        for _ in range(SAVE_TRIES):
            if self._cache.keep_block(block):
                break
            seat.sleep(SAVE_WAIT_S)
        return self._cache.refusal(block)

    # both

    def _keep(self, token: TokenSet, seat: Seat, how: str) -> None:
        """The newest pair is in the store before its first use: a rotated refresh token that got lost costs the session."""
        shared = self._cache.keep(token)
        for _ in range(SAVE_TRIES - 1):
            if shared or token.rotates is not True:
                break
            seat.sleep(SAVE_WAIT_S)
            shared = self._cache.share()
        log.info("We360 token %s, good for %d s", how, token.lifetime_s)

    def _at_hand(self) -> TokenSet:
        assert self._cache.token is not None
        return self._cache.token
