"""The lease: the right of one task to call the token endpoint.

Airflow Variables have no compare-and-set. Each candidate writes its ID, waits for concurrent
writes to settle, and reads the entry back. The ID that remains holds the lease.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from airflow_provider_we360.types import Clock, Sleep

if TYPE_CHECKING:
    from airflow_provider_we360.auth.token_store import Entry

CLOCK_SKEW_S = 1800.0
"""Workers' clocks may differ by ten minutes either way. Only a lease that ended longer ago than
this is over by its own date."""
LONGEST_LEASE_S = 3700.0
SETTLE_S = 0.5
LONGEST_SETTLE_S = 10.0
WRITE_TRIES = 4
"""Tries of a write that fails or shows late, before the store is considered unable to hold a
lease."""

T = TypeVar("T")


class LeaseLost(Exception):
    """The holder was silent for longer than its lease, and another task may have taken over."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The entry that names the holder.

    :param owner: random ID of the holder.
    :param until: when it ends unless renewed, by the holder's clock, in seconds since the epoch.
    :param lasts_s: seconds after which an unchanged lease has expired for anyone who watches it.
    """

    owner: str
    until: float
    lasts_s: float = 30.0


@dataclass(slots=True)
class LeaseElection:
    """One candidate for the lease.

    :param entry: where the lease is written.
    :param lasts_s: how long the holder may be silent: longer than its longest call.
    """

    entry: Entry[Lease]
    clock: Clock
    sleep: Sleep
    lasts_s: float = 30.0
    _identity: tuple[int, str] = (0, "")
    _slowest_s: float = 0.0
    _watched: tuple[Lease, float] | None = None
    _is_impossible: bool = False

    @property
    def owner(self) -> str:
        """Random ID of this candidate. A child process gets its own."""
        if self._identity[0] != os.getpid():
            # After a fork, parent and child would otherwise hold the lease under one ID.
            self._identity = (os.getpid(), secrets.token_hex(8))
        return self._identity[1]

    def attempt(self) -> HeldLease | None:
        """Return the lease, or None while another candidate holds it.

        Takes half a second, or longer if the store is slow.
        """
        # Compared later: an entry that is still the old one means that our write does not show.
        before = self.timed(self.entry.read)
        if before is not None and self._is_held(before):
            return None
        began = self.clock()
        for _ in range(1 if self._is_impossible else WRITE_TRIES):
            is_visible = self.write()
            self._settle()
            found = self.timed(self.entry.read)
            if found is not None and found != before:
                if not is_visible:  # it showed late, so this read may be late as well
                    self._slowest_s = max(self._slowest_s, self.clock() - began)
                    self._settle()
                    found = self.timed(self.entry.read)
                self._is_impossible = False
                return HeldLease(self) if found and found.owner == self.owner else None
            if is_visible:
                return None  # the previous holder's release removed this entry
            if self.entry.refuses:
                break
        # Logins must work without a store, too. The lockout then allows this task one grant, not
        # two.
        self._is_impossible = True
        return HeldLease(self, alone=True)

    def write(self) -> bool:
        """Write this candidate's lease. Return whether it was read back."""
        lease = Lease(self.owner, self.clock() + self.lasts_s, self.lasts_s)
        return self.timed(lambda: self.entry.write(lease))

    def timed(self, call: Callable[[], T]) -> T:
        """Run a call of the store, and remember how slow the slowest was."""
        began = self.clock()
        try:
            return call()
        finally:
            self._slowest_s = max(self._slowest_s, self.clock() - began)

    def _settle(self) -> None:
        # Twice the slowest call: a concurrent candidate that read before our write has written by
        # then.
        self.sleep(min(max(SETTLE_S, 2 * self._slowest_s), LONGEST_SETTLE_S))

    def _is_held(self, lease: Lease) -> bool:
        """Return whether the holder may still be at work.

        Its clock is not trusted: a lease is over once it was watched unchanged for its length.
        """
        now = self.clock()
        # A worker that was restarted must not wait for a lease that ended hours ago.
        if lease.owner == self.owner or lease.until < now - CLOCK_SKEW_S:
            return False
        if self._watched is None or self._watched[0] != lease:
            self._watched = (lease, now)
        return now - self._watched[1] < min(lease.lasts_s, LONGEST_LEASE_S)


@dataclass(slots=True)
class HeldLease:
    """The lease, held by this process. Leaving the ``with`` block releases it.

    :param alone: True if the store can hold no lease, so that no other task knows of this one.
    """

    _election: LeaseElection
    alone: bool = False
    _renewed_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._renewed_at = self._election.clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Only our own entry is deleted: after a long pause it may be the next holder's.
        found = None if self.alone else self._election.entry.read()
        if found is not None and found.owner == self._election.owner:
            self._election.entry.delete()

    def confirm(self) -> None:
        """Check that the lease is still held: before every write of what other tasks will use.

        :raises LeaseLost: another task holds it now, or may have held it.
        """
        if self.alone:
            return
        # A missing entry is harmless while the lease lasts: a store may lose it. After that,
        # another task may have taken and released it.
        is_overdue = self._silent_s() > self._election.lasts_s
        found = self._election.timed(self._election.entry.read)
        if (found is None and is_overdue) or (found and found.owner != self._election.owner):
            raise LeaseLost

    def renew(self) -> None:
        """Extend the lease: before each call that may take long.

        :raises LeaseLost: as :meth:`confirm`.
        """
        # Each renewal is a write to the metadata database, so not at every call.
        if not self.alone and self._silent_s() >= self._election.lasts_s / 6:
            self.confirm()
            self._election.write()
            self._renewed_at = self._election.clock()

    def sleep(self, seconds: float) -> None:
        """Wait, and keep the lease meanwhile.

        :raises LeaseLost: as :meth:`confirm`.
        """
        while seconds > 0:
            # Naps are far shorter than the lease, so that one slow write does not lose it.
            nap_s = min(seconds, self._election.lasts_s / 3, 10.0)
            self._election.sleep(nap_s)
            self.renew()
            seconds -= nap_s

    def _silent_s(self) -> float:
        return self._election.clock() - self._renewed_at
