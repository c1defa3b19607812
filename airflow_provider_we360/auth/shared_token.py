"""SharedToken: the newest token set in the memory of this process, in step with the store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from airflow_provider_we360.auth.lease import HeldLease, LeaseLost
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_store import Entry
from airflow_provider_we360.types import Clock

log = logging.getLogger(__name__)

SAVE_TRIES = 3
SAVE_WAIT_S = 0.5


class SharedToken:
    """The token set that all tasks of an account share. What the store cannot keep, memory keeps.

    :param entry: where the store keeps it.
    :param on_token: called with every new token set before anything else sees it (masking).
    """

    def __init__(
        self, entry: Entry[TokenSet], clock: Clock, on_token: Callable[[TokenSet], None]
    ) -> None:
        self.entry = entry
        self._clock = clock
        self._on_token = on_token
        self._dropped: set[str] = set()
        self.present: TokenSet | None = None
        self.newest = 0
        """The greatest generation seen so far."""
        self.is_saved = False
        """True if the last write was read back, so that other tasks can see it."""

    def is_shared(self, token: TokenSet) -> bool:
        """Return whether other tasks can use the session of this token set."""
        if not self.entry.is_shared:
            return False
        stored = self.entry.read()
        # A store that cannot be read now may still show the session to others.
        return self.is_saved if stored is None else not stored.is_of_other_session(token)

    def look(self, rejected: TokenSet | None) -> TokenSet | None:
        """Read the store. Return the newest token set if it can carry a request.

        :param rejected: this token set and older ones do not count.
        """
        stored, known = self.entry.read(), self.present
        # A dropped token may still show in a store that lags or that no one may write.
        if stored is not None and stored.access_token in self._dropped:
            stored = None
        # A doubt that the store could not keep is not forgotten: what is known only grows.
        if stored is not None and (
            known is None
            or (stored.generation, stored.doubtful) >= (known.generation, known.doubtful)
        ):
            self._remember(stored)
        token = self.present
        if token is None or not token.is_valid(self._clock()):
            return None
        if rejected is not None and (
            token.access_token == rejected.access_token or token.generation < rejected.generation
        ):
            return None
        return token

    def _remember(self, token: TokenSet) -> None:
        if self.present is None or self.present.access_token != token.access_token:
            # Masked before it is visible to any code that could log it.
            self._on_token(token)
        self.newest = max(self.newest, token.generation)
        self.present = token

    def save(
        self, token: TokenSet, lease: HeldLease, event: str, *, replaced: TokenSet | None = None
    ) -> TokenSet:
        """Make this the newest token set, in memory and store, before its first use.

        A rotated refresh token that is lost costs the session, so its write is repeated.

        :param replaced: the token set that was refreshed.
        :raises LeaseLost: another task may have saved a newer one meanwhile; nothing was written.
        """
        self._confirm(lease, replaced)
        # The clock takes over if the entry is lost: an old copy must not pass for a newer one.
        generation = max(self.newest + 1, int(self._clock() * 1000))
        token = replace(token, generation=generation)
        self._remember(token)
        for tries_left in reversed(range(SAVE_TRIES if token.rotates else 1)):
            self.is_saved = self.entry.write(token)
            if self.is_saved or not tries_left:
                break
            lease.sleep(SAVE_WAIT_S)
            self._confirm(lease, replaced)
        log.info("We360 token %s; it expires in %s s", event, f"{token.lifetime_s:,.0f}")
        return token

    def _confirm(self, lease: HeldLease, replaced: TokenSet | None) -> None:
        """Check that writing a token set undoes no other task's."""
        try:
            lease.confirm()
        except LeaseLost:
            # A store that lags can show the lease to two tasks. The refresh token of the stored set
            # is used up then: while no other set is there, dropping ours would end the session.
            stored = None if replaced is None else self.entry.read()
            if replaced is None or stored is None or stored.access_token != replaced.access_token:
                raise

    def amend(self, token: TokenSet) -> TokenSet:
        """Change what is known of the present token set, such as a doubt."""
        stored = self.entry.read()
        self._remember(token)
        # A newer token set of another task is not overwritten with a doubt about an old one.
        if stored is None or stored.access_token == token.access_token:
            self.is_saved = self.entry.write(token)
        return token

    def drop(self, token: TokenSet) -> None:
        """Remove this token set from memory and store; a newer one in the store stays."""
        # Remembered: the deletion may fail, or a read may still show the old value.
        self._dropped.add(token.access_token)
        stored = self.entry.read()
        if stored is not None and stored.access_token == token.access_token:
            self.entry.delete()
        if self.present is not None and self.present.access_token == token.access_token:
            self.present = None
