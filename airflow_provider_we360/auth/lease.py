"""Election: which of many tasks may ask the token endpoint. Airflow's Variables have no compare-and-set, so each writes its
name, waits until every other pen must be down, and looks whose name stands there.
"""

from __future__ import annotations

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
LOOKS = 4
"""A store that shows late what was written is looked at so often before it is taken for one that keeps nothing."""

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
    :param owner: this candidate's random name.
    """

    entry: Entry[Lease]
    clock: Clock
    sleep: Sleep
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    _slowest_s: float = 0.0
    _watched: tuple[Lease, float] | None = None
    _is_impossible: bool = False

    def attempt(self) -> Seat | None:
        """A seat, or None while another candidate holds the lease. Takes half a second, or longer where the store is slow."""
        if self._is_held(self._timed(self.entry.read)):
            return None
        if not self._timed(lambda: self.entry.write(Lease(self.owner, self.clock() + LEASE_S))) and not self._appears():
            self._is_impossible = True
            return Seat(self, alone=True)
        self._is_impossible = False
        self._settle()
        there = self._timed(self.entry.read)
        return Seat(self) if there is not None and there.owner == self.owner else None

    def _appears(self) -> bool:
        """Whether anybody's name shows in a store that did not show at once what was written."""
        began = self.clock()
        for _ in range(0 if self._is_impossible else LOOKS):
            if self.entry.read() is not None:
                self._slowest_s = max(self._slowest_s, self.clock() - began)
                return True
            if self.entry.refuses:
                break
            self._settle()
        return False

    def _settle(self) -> None:
        self.sleep(min(max(SETTLE_S, 2 * self._slowest_s), LONGEST_SETTLE_S))

    def renew(self) -> None:
        """Say that the holder lives.

        :raises LeaseLost: another task holds the lease now.
        """
        there = self._timed(self.entry.read)
        if there is not None and there.owner != self.owner:
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self.alone:
            self._election.release()

    def renew(self) -> None:
        """Before each call that may take long.

        :raises LeaseLost: as :meth:`Election.renew`.
        """
        if self.alone or self._election.clock() - self._renewed_at < LEASE_S / 6:
            return
        self._election.renew()
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
