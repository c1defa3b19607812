"""Sessions as Keycloak keeps them, and which refresh token of a session is still valid."""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.config import SimulatorConfig


@dataclass
class Use:
    """One line of rotating refresh tokens: which was used last, how often, and when."""

    jti: str
    count: int = 0
    last_at: int = 0


@dataclass
class Session:
    """One login's session.

    ``state`` is ``live``, ``ended`` (logged out), ``expired`` (idle or too old) or ``detached``:
    its client session was removed after a refresh token was used again.
    """

    login: str
    client_id: str
    offline: bool
    started_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "live"
    has_reported_expiry: bool = False
    refreshed_at: float = 0.0
    lasts_until: float = math.inf
    """By the limits when it was last used. After this moment it is unknown to Keycloak."""
    uses: dict[str, Use] = field(default_factory=dict)
    """By ``reuse_id``."""


class Sessions:
    """All sessions. ``Identity`` uses the same lock."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self._all: dict[str, Session] = {}

    def start(self, login: str, client_id: str, now: float, *, offline: bool) -> Session:
        session = Session(login, client_id, offline, started_at=now)
        with self.lock:
            self.used(session, now)
            self._all[session.id] = session
        return session

    def used(self, session: Session, now: float) -> None:
        """Start the idle time again."""
        session.refreshed_at = now
        session.lasts_until = self._limit(session)

    def _limit(self, session: Session) -> float:
        greatest_age = math.inf if self.config.session_max_s is None else self.config.session_max_s
        return min(session.refreshed_at + self.config.idle_s, session.started_at + greatest_age)

    def find(self, session_id: str) -> Session | None:
        return self._all.get(session_id)

    def age(self, session: Session, now: float) -> None:
        """End a session that is idle or too old.

        Keycloak reports an expiry once if the limits were changed after the last use.
        """
        if session.state != "live":
            return
        if now > session.lasts_until:
            session.state = "ended"
        elif now > self._limit(session):
            session.state = "expired"

    def is_live(self, session_id: str, now: float) -> bool:
        with self.lock:
            session = self.find(session_id)
            if session is None:
                return False
            self.age(session, now)
            return session.state == "live"

    def live(self, now: float) -> dict[str, int]:
        """Return the number of live sessions of each login. If it grows, sessions leak."""
        counts: dict[str, int] = {}
        with self.lock:
            for session in self._all.values():
                self.age(session, now)
                if session.state == "live":
                    counts[session.login] = counts.get(session.login, 0) + 1
        return counts

    def end_all(
        self, state: str = "ended", *, login: str | None = None, client_id: str | None = None
    ) -> None:
        with self.lock:
            for session in self._all.values():
                if (
                    session.state == "live"
                    and login in {None, session.login}
                    and client_id in {None, session.client_id}
                ):
                    session.state = state

    def refuse_reuse(
        self, session: Session, claims: Mapping[str, Any], now: float, *, count: bool = True
    ) -> str | None:
        """Return why rotation refuses this refresh token, or count its use and return None.

        Keycloak compares whole seconds: within the second of the last refresh, an older token
        passes for a new one. A refusal removes the client session from all tokens of the session.
        """
        line, jti = str(claims.get("reuse_id", "")), str(claims["jti"])
        known = session.uses.get(line)
        if known and known.jti != jti and claims["iat"] < known.last_at:
            session.state = "detached"
            return "stale_token"
        if known is None or known.jti != jti:
            known = session.uses[line] = Use(jti)
        if known.count > self.config.max_reuse:
            session.state = "detached"
            return "reuse_exceeded"
        known.count += count
        known.last_at = int(now)
        return None

    def count_late(self, session: Session, claims: Mapping[str, Any]) -> None:
        """Count the use after the answer, as the old race does: no other refresh prevents it."""
        known = session.uses.get(str(claims.get("reuse_id", "")))
        if known and known.jti == claims["jti"]:
            known.count += 1
