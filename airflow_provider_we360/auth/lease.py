"""Election: which of many tasks may ask the token endpoint. Airflow's Variables have no compare-and-set, so each writes its
name, waits until every other pen must be down, and looks whose name stands there.
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
    from airflow_provider_we360.auth.store import Entry

LEASE_S = 30.0
CLOCKS_DIFFER_S = 1800.0
"""Clocks of workers may be ten minutes off, each its own way: an end that is past by ours need not be past by the holder's."""
SETTLE_S = 0.5
LONGEST_SETTLE_S = 10.0
WRITES = 4
"""A write that fails or shows late is tried so often before the store is taken for one that can hold no lease."""

T = TypeVar("T")


class LeaseLost(Exception):
    """The holder was silent for too long, and another task took over."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to ask the token endpoint.

    :param owner: random name of the holder.
    :param until: when it ends unless it is renewed; seconds since the epoch, by the holder's clock.
    """

    owner: str
    until: float


@dataclass(slots=True)
class Election:
    """One candidate.

    :param entry: where the lease is written.
    """

    entry: Entry[Lease]
    clock: Clock
    sleep: Sleep
    _name: tuple[int, str] = (0, "")
    _slowest_s: float = 0.0
    _watched: tuple[Lease, float] | None = None
    _is_impossible: bool = False

    @property
    def owner(self) -> str:
        """This candidate's random name; another one after a fork, or both would hold the lease."""
        if self._name[0] != os.getpid():
            self._name = (os.getpid(), secrets.token_hex(8))
        return self._name[1]

    def attempt(self) -> Seat | None:
        """A seat, or None while another candidate holds the lease. Takes half a second, or longer where the store is slow."""
        before = self._timed(self.entry.read)
        if self._is_held(before):
            return None
        began = self.clock()
        for _ in range(1 if self._is_impossible else WRITES):
            is_kept = self._timed(
                lambda: self.entry.write(Lease(self.owner, self.clock() + LEASE_S))
            )
            self._settle()
            there = self._timed(self.entry.read)
            if there is not None and there != before:
                if not is_kept:  # it shows late: what is read now may be late, too
                    self._slowest_s = max(self._slowest_s, self.clock() - began)
                    self._settle()
                    there = self._timed(self.entry.read)
                self._is_impossible = False
                return Seat(self) if there is not None and there.owner == self.owner else None
            if is_kept:
                return None  # a holder that gave its own back took ours along
            if self.entry.refuses:
                break
        self._is_impossible = True
        return Seat(self, alone=True)

    def _settle(self) -> None:
        self.sleep(min(max(SETTLE_S, 2 * self._slowest_s), LONGEST_SETTLE_S))

    def renew(self, *, is_overdue: bool) -> None:
        """Say that the holder lives.

        :param is_overdue: it was silent for longer than a lease lives: others may have come and gone meanwhile.
        :raises LeaseLost: another task holds the lease now, or held it.
        """
        there = self._timed(self.entry.read)
        if (there is None and is_overdue) or (there is not None and there.owner != self.owner):
            raise LeaseLost
        self._timed(lambda: self.entry.write(Lease(self.owner, self.clock() + LEASE_S)))

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        there = self.entry.read()
        if there is not None and there.owner == self.owner:
            self.entry.delete()

    def _is_held(self, lease: Lease | None) -> bool:
        """Whether somebody may still be at work. The holder's clock is not trusted: what counts is that the lease changes."""
        now = self.clock()
        if lease is None or lease.owner == self.owner or lease.until < now - CLOCKS_DIFFER_S:
            return False
        if self._watched is None or self._watched[0] != lease:
            self._watched = (lease, now)
        return now - self._watched[1] < LEASE_S

    def _timed(self, call: Callable[[], T]) -> T:
        began = self.clock()
        try:
            return call()
        finally:
            self._slowest_s = max(self._slowest_s, self.clock() - began)


@dataclass(slots=True)
class Seat:
    """The lease, held. Leaving the ``with`` block gives it back.

    :param alone: True where the store can hold no lease: there is nothing to renew or to give back.
    """

    _election: Election
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
        if not self.alone:
            self._election.release()

    def renew(self) -> None:
        """Before each call that may take long.

        :raises LeaseLost: as :meth:`Election.renew`.
        """
        silent_s = self._election.clock() - self._renewed_at
        if self.alone or silent_s < LEASE_S / 6:
            return
        self._election.renew(is_overdue=silent_s > LEASE_S)
        self._renewed_at = self._election.clock()

    def sleep(self, seconds: float) -> None:
        """Wait, and keep the lease meanwhile.

        :raises LeaseLost: as :meth:`Election.renew`.
        """
        left = seconds
        while left > 0:
            nap = min(left, LEASE_S / 3)
            self._election.sleep(nap)
            self.renew()
            left -= nap
