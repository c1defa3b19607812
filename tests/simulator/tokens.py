"""The tokens of the sandbox: JWTs with the claims that Keycloak writes. Signed, so that the API side can tell its own."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from simulator.config import SimulatorConfig
from simulator.sessions import Session

ALGORITHM = "HS512"
SCOPE = "email profile offline_access"
_FOR_EVER = 10**12


def scope_of(session: Session) -> str:
    """What a session was granted."""
    return SCOPE if session.offline else "email profile"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes and reads tokens. What it signs, a sandbox of the same seed reads: a restart forgets sessions, not keys."""

    config: SimulatorConfig

    def access(self, session: Session, issuer: str, now: float) -> str:
        claims = self._claims(session, issuer, now, "Bearer") | {
            "exp": int(now) + self.access_lifetime_s(session, now),
            "aud": "account",
            "acr": "1",
            "realm_access": {
                "roles": [
                    f"default-roles-{self.config.realm}",
                    "offline_access",
                    "uma_authorization",
                ]
            },
            "resource_access": {
                "account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}
            },
            "scope": scope_of(session),
            "email_verified": True,
            "email": session.login,
            "preferred_username": session.login,
            "name": "Canary Etl",
            "given_name": "Canary",
            "family_name": "Etl",
        }
        return self._sign(claims)

    def refresh(self, session: Session, issuer: str, now: float, reuse_id: str | None) -> str:
        claims = self._claims(session, issuer, now, "Offline" if session.offline else "Refresh")
        claims |= {"aud": issuer, "scope": scope_of(session)}
        lifetime_s = self.refresh_lifetime_s(session, now)
        if lifetime_s is not None:
            claims["exp"] = int(now) + lifetime_s
        if reuse_id:
            claims["reuse_id"] = reuse_id
        if self.config.keycloak >= (26, 7):
            claims |= {"aud_x": "account", "prov": "default"}
        return self._sign(claims)

    def reuse_id(self, before: Mapping[str, Any] | None) -> str | None:
        """Of the next refresh token: under rotation a login begins a line, and a refresh goes on with it. A session that
        began before rotation was switched on never gets one.

        :param before: claims of the refresh token that is redeemed; None for a login.
        """
        if not self.config.rotation or self.config.keycloak < (25,):
            return None
        return str(uuid.uuid4()) if before is None else before.get("reuse_id")

    def access_lifetime_s(self, session: Session, now: float) -> int:
        """As configured, but no longer than the session can last."""
        return min(self.config.access_lifetime_s, self._left_s(session, now))

    def refresh_lifetime_s(self, session: Session, now: float) -> int | None:
        """None where the token itself never ends: only a session with a greatest age, and what is configured, ends it."""
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
        """The claims, whether expired or not; None where the token is none of ours."""
        try:
            unchecked = {"verify_exp": False, "verify_aud": False, "verify_iat": False}
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                options=unchecked,  # type: ignore[arg-type]
            )
        except jwt.PyJWTError:
            return None
        return claims

    def re_sign(self, token: str, **changes: Any) -> str:
        """The token with other claims; None takes one out."""
        claims = (self.read(token) or {}) | changes
        return self._sign({name: value for name, value in claims.items() if value is not None})

    @property
    def _key(self) -> bytes:
        return hashlib.sha512(f"we360 sandbox {self.config.seed}".encode()).digest()

    def _claims(self, session: Session, issuer: str, now: float, kind: str) -> dict[str, Any]:
        claims = {
            "iat": int(now),
            "jti": str(uuid.uuid4()),
            "iss": issuer,
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, session.login)),
            "typ": kind,
            "sid": session.id,
            "azp": session.client_id,
        }
        if self.config.keycloak < (25,):
            claims["session_state"] = session.id
        return claims

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": "sandbox"})
