"""The tokens of the simulator: JWTs with the claims that each version of Keycloak writes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_we360.sandbox.keycloak import SCOPE, build_claims, read_token, sign_token
from simulator.config import SimulatorConfig
from simulator.sessions import Session

_FOR_EVER = 10**12


def scope_of(session: Session) -> str:
    """Return the scope that a session was granted."""
    return SCOPE if session.offline else "email profile"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Build and read tokens. The key follows from the seed: a restart loses sessions, not keys."""

    config: SimulatorConfig

    def access(self, session: Session, issuer: str, now: float) -> str:
        claims = self._claims(session, issuer, now, "Bearer")
        claims |= access_claims(self.config.realm, session.login)
        claims["exp"] = int(now) + self.access_lifetime_s(session, now)
        return self._sign(claims)

    def refresh(self, session: Session, issuer: str, now: float, reuse_id: str | None) -> str:
        claims = self._claims(session, issuer, now, "Offline" if session.offline else "Refresh")
        claims["aud"] = issuer
        lifetime_s = self.refresh_lifetime_s(session, now)
        if lifetime_s is not None:
            claims["exp"] = int(now) + lifetime_s
        if reuse_id:
            claims["reuse_id"] = reuse_id
        if self.config.keycloak >= (26, 7):
            claims |= {"aud_x": "account", "prov": "default"}
        return self._sign(claims)

    def reuse_id(self, before: Mapping[str, Any] | None) -> str | None:
        """Return the ``reuse_id`` of the next refresh token.

        Under rotation a login begins a line of tokens, and a refresh continues it. A session that
        began before rotation was switched on never gets one.

        :param before: claims of the redeemed refresh token; None for a login.
        """
        if not self.config.rotation or self.config.keycloak < (25,):
            return None
        return str(uuid.uuid4()) if before is None else before.get("reuse_id")

    def access_lifetime_s(self, session: Session, now: float) -> int:
        """Return the configured lifetime, at most what is left of the session."""
        return min(self.config.access_lifetime_s, self._left_s(session, now))

    def refresh_lifetime_s(self, session: Session, now: float) -> int | None:
        """Return None for a token without an expiry: only a session's maximum age sets one."""
        if self.config.session_max_s is None:
            return self.config.refresh_lifetime_s
        limits = (
            self._left_s(session, now),
            int(self.config.idle_s),
            self.config.refresh_lifetime_s,
        )
        return min(limit for limit in limits if limit is not None)

    def _left_s(self, session: Session, now: float) -> int:
        greatest_age_s = self.config.session_max_s
        return (
            _FOR_EVER
            if greatest_age_s is None
            else max(0, int(session.started_at) + int(greatest_age_s) - int(now))
        )

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the claims, even if the token has expired; None if its signature is not ours."""
        return read_token(self.config.seed, token)

    def re_sign(self, token: str, **changes: Any) -> str:
        """Return the token with other claims; None removes a claim."""
        claims = (self.read(token) or {}) | changes
        return self._sign({name: value for name, value in claims.items() if value is not None})

    def _claims(self, session: Session, issuer: str, now: float, kind: str) -> dict[str, Any]:
        claims = build_claims(
            kind,
            issuer,
            int(now),
            login=session.login,
            client_id=session.client_id,
            session_id=session.id,
        )
        if self.config.keycloak < (25,):
            claims["session_state"] = session.id
        return claims | {"scope": scope_of(session)}

    def _sign(self, claims: dict[str, Any]) -> str:
        return sign_token(self.config.seed, claims)


def access_claims(realm: str, login: str) -> dict[str, Any]:
    """Return what an access token says of its account."""
    roles = [f"default-roles-{realm}", "offline_access", "uma_authorization"]
    account_roles = ["manage-account", "manage-account-links", "view-profile"]
    return {
        "aud": "account",
        "acr": "1",
        "realm_access": {"roles": roles},
        "resource_access": {"account": {"roles": account_roles}},
        "email_verified": True,
        "email": login,
        "preferred_username": login,
        "name": "Canary Etl",
        "given_name": "Canary",
        "family_name": "Etl",
    }
