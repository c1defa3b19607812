"""What the simulator received: logins, refreshes, sessions, data requests. Tests read it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class DataRequest:
    """One request for rows, without values of rows and without tokens."""

    at: float
    start_date: str | None
    end_date: str | None
    mode: str | None
    page: Any
    limit: Any
    columns: int
    tenant_header: str | None
    status: int
    rows: int | None
    fault: str | None = None


@dataclass
class RequestLog:
    """Counts and lists."""

    live_sessions: Callable[[], dict[str, int]] = field(default=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """``logins_ok``, ``logins_refused``, ``refreshes_ok``, ``refreshes_refused``, ``logouts``,
    ``revocations``, ``faults_played``, ``refresh_tokens_sent_twice``."""
    failed_logins_at: list[float] = field(default_factory=list)
    requests: list[DataRequest] = field(default_factory=list)
    unauthorized: int = 0
    max_concurrent_logins: int = 0
    max_concurrent_refreshes: int = 0
    max_in_flight: int = 0
    _now: Counter[str] = field(default_factory=Counter)
    _refresh_tokens: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def login(self, *, ok: bool, at: float) -> None:
        with self._lock:
            self.counts["logins_ok" if ok else "logins_refused"] += 1
            if not ok:
                self.failed_logins_at.append(at)

    def refresh_token_sent(self, jti: str) -> None:
        with self._lock:
            self.counts["refresh_tokens_sent_twice"] += jti in self._refresh_tokens
            self._refresh_tokens.add(jti)

    def data_request(self, request: DataRequest) -> None:
        with self._lock:
            self.requests.append(request)
            self.unauthorized += request.status == 401

    @contextmanager
    def in_flight(self, what: str) -> Iterator[None]:
        """Count how many of a kind (``login``, ``refresh``, ``report``) are in flight."""
        with self._lock:
            self._now[what] += 1
            self.max_concurrent_logins = max(self.max_concurrent_logins, self._now["login"])
            self.max_concurrent_refreshes = max(self.max_concurrent_refreshes, self._now["refresh"])
            self.max_in_flight = max(self.max_in_flight, self._now["report"])
        try:
            yield
        finally:
            with self._lock:
                self._now[what] -= 1

    @property
    def logins(self) -> int:
        """Password grants, accepted or refused."""
        return self.counts["logins_ok"] + self.counts["logins_refused"]

    @property
    def refreshes(self) -> int:
        """Accepted refreshes."""
        return self.counts["refreshes_ok"]

    @property
    def min_gap_between_failed_logins_s(self) -> float | None:
        times = sorted(self.failed_logins_at)
        return min((later - sooner for sooner, later in pairwise(times)), default=None)

    def snapshot(self) -> dict[str, Any]:
        """Return everything for JSON."""
        with self._lock:
            names = (
                "logins_ok",
                "logins_refused",
                "refreshes_ok",
                "refreshes_refused",
                "logouts",
                "revocations",
            )
            more = ("faults_played", "refresh_tokens_sent_twice")
            return {
                **{name: self.counts[name] for name in (*names, *more)},
                "live_sessions": self.live_sessions(),
                "max_concurrent_logins": self.max_concurrent_logins,
                "max_concurrent_refreshes": self.max_concurrent_refreshes,
                "min_gap_between_failed_logins_s": self.min_gap_between_failed_logins_s,
                "data_requests": len(self.requests),
                "unauthorized": self.unauthorized,
                "max_in_flight": self.max_in_flight,
                "requests": [asdict(request) for request in self.requests],
            }
