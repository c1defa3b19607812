"""Sessions as Keycloak keeps them, and which refresh token of a session is still good."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field

from airflow_provider_we360.sandbox.config import SandboxConfig


@dataclass
class Session:
    """One login's session. ``state`` is ``live``, ``ended`` (logged out), ``expired`` (idle or too old) or ``detached``
    (its client session was taken away after a refresh token was used again).
    """

    login: str
    client_id: str
    offline: bool
    started_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "live"
    told_expired: bool = False
    refreshed_at: float = 0.0
    issued: dict[str, int] = field(default_factory=dict)
    """Refresh tokens by ``jti``, with their number in the session."""
    in_use: str = ""
    """``jti`` of the refresh token used last."""
    uses: int = 0


class Sessions:
    """All sessions there ever were. Its lock is also the identity side's."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.lock = threading.RLock()
        self._all: dict[str, Session] = {}

    def start(self, login: str, client_id: str, now: float, *, offline: bool) -> Session:
        session = Session(login, client_id, offline, started_at=now, refreshed_at=now)
        with self.lock:
            self._all[session.id] = session
        return session

    def find(self, session_id: str) -> Session | None:
        return self._all.get(session_id)

    def age(self, session: Session, now: float) -> None:
        """Lets a session die of idleness or old age."""
        if session.state != "live":
            return
        limit = self.config.session_max_s
        if now - session.refreshed_at > self.config.idle_s or (limit is not None and now - session.started_at > limit):
            session.state = "expired"

    def is_live(self, session_id: str, now: float) -> bool:
        with self.lock:
            session = self.find(session_id)
            if session is None:
                return False
            self.age(session, now)
            return session.state == "live"

    def live(self, now: float) -> dict[str, int]:
        """How many sessions each login has. A leak is a number that grows."""
        counts: dict[str, int] = {}
        with self.lock:
            for session in self._all.values():
                self.age(session, now)
                if session.state == "live":
                    counts[session.login] = counts.get(session.login, 0) + 1
        return counts

    def end_all(self, state: str = "ended", *, login: str | None = None, client_id: str | None = None) -> None:
        with self.lock:
            for session in self._all.values():
                if session.state == "live" and login in {None, session.login} and client_id in {None, session.client_id}:
                    session.state = state

    def refuse_reuse(self, session: Session, jti: str, *, count: bool = True) -> str | None:
        """Keycloak's rule under rotation: why this refresh token may not be used, or None and the use is counted."""
        newer_was_used = session.in_use and session.issued.get(jti, -1) < session.issued.get(session.in_use, -1)
        if newer_was_used:
            return "Stale token"
        if jti != session.in_use:
            session.in_use, session.uses = jti, 0
        if session.uses > self.config.max_reuse:
            session.state = "detached"
            return "Maximum allowed refresh token reuse exceeded"
        session.uses += count
        return None
