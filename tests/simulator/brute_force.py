"""Keycloak's brute-force detection: count failures of a user, lock the account without a word."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.config import BruteForce


@dataclass
class Failures:
    """The failures of one user."""

    count: int = 0
    last_at: float | None = None
    locked_until: float = 0.0
    for_ever: bool = False


class LoginFailures:
    """All users' failures. Attempts while locked do not count (Keycloak 16 and later)."""

    def __init__(self, rules: BruteForce | None) -> None:
        self.rules = rules
        self._users: dict[str, Failures] = {}

    def is_locked(self, login: str, now: float) -> bool:
        known = self._users.get(login)
        return (
            self.rules is not None
            and known is not None
            and (known.for_ever or now < known.locked_until)
        )

    def is_locked_for_ever(self, login: str) -> bool:
        return self.rules is not None and login in self._users and self._users[login].for_ever

    def failed(self, login: str, now: float) -> None:
        if (rules := self.rules) is None:
            return
        known = self._users.setdefault(login, Failures())
        if known.last_at is not None and now - known.last_at > rules.reset_s:
            known.count = 0
        quick = known.last_at is not None and (now - known.last_at) * 1000 < rules.quick_ms
        known.count, known.last_at = known.count + 1, now
        if rules.permanent and known.count >= rules.failure_factor:
            known.for_ever = True
        wait = rules.wait_increment_s * (known.count // rules.failure_factor)
        if not wait and quick:
            wait = rules.quick_wait_s
        if wait:
            known.locked_until = now + min(wait, rules.max_wait_s)

    def succeeded(self, login: str) -> None:
        self._users.pop(login, None)
