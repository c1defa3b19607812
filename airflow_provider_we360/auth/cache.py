"""Cache: the token set and the block as this process knows them, in step with the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from airflow_provider_we360.auth.block import BELIEVED_FOR_S, NEXT_PROBE_AFTER_S, Block
from airflow_provider_we360.auth.store import TokenStore, clear
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.errors import We360AuthError
from airflow_provider_we360.types import Clock


class Cache:
    """Memory of this process over the store. What the store cannot keep, memory keeps.

    :param on_token: called with every new token set before anything else sees it (masking).
    """

    def __init__(
        self, store: TokenStore, clock: Clock, on_token: Callable[[TokenSet], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_token = on_token
        self._block: Block | None = None
        self._newest = 0
        self._dead: set[str] = set()
        self._is_kept = False
        self.token: TokenSet | None = None
        self.own_login: TokenSet | None = None
        """The login of this process whose session has to end, unless others share it."""

    # token set

    def look(self) -> TokenSet | None:
        """The newest token set of memory and store."""
        stored = self._store.token.read()
        # One that was forgotten may still stand in a store that shows old things, or that nobody may write.
        if stored is None or stored.access_token in self._dead:
            return self.token
        if self.token is None or _rank(stored) >= _rank(self.token):
            self._remember(stored)
        return self.token

    @property
    def newest(self) -> int:
        """The greatest generation seen so far."""
        return self._newest

    def outdated(self) -> TokenSet | None:
        """What the store holds of this account's session under an earlier password."""
        return self._store.token.voided

    def drop_outdated(self) -> None:
        """After its session was ended."""
        self._store.token.delete()

    def usable(self, rejected: TokenSet | None) -> TokenSet | None:
        """The token set at hand if it can carry a request.

        :param rejected: one that the API refused; it and older ones are of no use.
        """
        token = self.token
        if token is None or not token.is_valid(self._clock()):
            return None
        if rejected is not None and (
            token.access_token == rejected.access_token or token.generation < rejected.generation
        ):
            return None
        return token

    def keep(self, token: TokenSet) -> bool:
        """Take a new token set as the newest one. True where others see it too."""
        # Counted on from the last one that was seen, and near the clock where none was: an entry that got lost starts no lower.
        self._remember(replace(token, generation=max(self._newest + 1, int(self._clock() * 1000))))
        return self.share()

    def share(self) -> bool:
        """Write the token set at hand. True where others see it."""
        self._is_kept = self.token is not None and self._store.token.write(self.token)
        return self._is_kept

    def amend(self, token: TokenSet) -> TokenSet:
        """Note something about the token set at hand, such as a doubt."""
        stored = self._store.token.read()
        self._remember(token)
        if stored is None or stored.access_token == token.access_token:
            self.share()
        return token

    def forget(self, token: TokenSet) -> None:
        """Drop this token set, here and in the store; a newer one that took its place stays."""
        self._dead.add(token.access_token)
        clear(self._store.token, lambda stored: stored.access_token == token.access_token)
        if self.token is not None and self.token.access_token == token.access_token:
            self.token = None

    def is_shared(self, token: TokenSet) -> bool:
        """Whether other tasks can see this session, so that it must outlive the process."""
        if not self._store.is_shared:
            return False
        stored = self._store.token.read()
        # A store that cannot be read just now may still show the session to others.
        return self._is_kept if stored is None else not stored.is_of_other_session(token)

    def _remember(self, token: TokenSet) -> None:
        if self.token is None or self.token.access_token != token.access_token:
            self._on_token(token)
        self._newest = max(self._newest, token.generation)
        self.token = token

    # block

    def block(self) -> Block | None:
        """The last refusal, in force or not."""
        now = self._clock()
        # What the store could not keep, memory keeps: then the store may show one that is older.
        known = [block for block in (self._store.block.read(), self._block) if block is not None]
        block = max(known, key=lambda one: one.until, default=None)
        if block is not None and block.until > now + BELIEVED_FOR_S:
            # Written by a clock that is wrong: it counts, but not for as long as that.
            block = replace(block, until=now + NEXT_PROBE_AFTER_S)
            self.keep_block(block)
        return block

    def keep_block(self, block: Block) -> bool:
        """Tell all tasks of the account. False where that failed, and another try may do."""
        is_kept = self._store.block.write(block)
        self._block = None if is_kept else block
        return is_kept or self._store.block.refuses

    def lift_blocks(self) -> None:
        """After a login that succeeded: those of other credentials of the account too, for they are the old ones now."""
        self._block = None
        if not self._store.block.is_empty():
            self._store.block.delete()

    def refusal(self, block: Block) -> We360AuthError:
        """The error of a block, which names what to delete where that helps."""
        return block.error(None if self._block is not None else self._store.block.name)

    def raise_if_blocked(self) -> None:
        """Nothing, while a grant may be sent, or somebody waits to send the second one.

        :raises CredentialsRefused: the credentials or the account were refused.
        :raises ClientRefused: the configuration was refused.
        :raises AuthUnavailable: a login got no answer that could be read, and may have been counted as a failed one.
        """
        block = self.block()
        if block is not None and block.is_in_force(self._clock()) and not block.is_first_try:
            raise self.refusal(block)


def _rank(token: TokenSet) -> tuple[int, bool]:
    """What is known of a token set only grows: a doubt that the store could not keep is not forgotten."""
    return token.generation, token.doubtful
