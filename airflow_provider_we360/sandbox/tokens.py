"""The tokens of the sandbox: JWTs with the claims that Keycloak writes. Signed, so that the API side can tell its own."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

import jwt

from airflow_provider_we360.sandbox.config import SandboxConfig
from airflow_provider_we360.sandbox.sessions import Session

ALGORITHM = "HS512"
SCOPE = "email profile offline_access"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes and reads tokens. What it signs, a sandbox of the same seed reads: a restart forgets sessions, not keys."""

    config: SandboxConfig

    def access(self, session: Session, issuer: str, now: float) -> str:
        claims = self._claims(session, issuer, now, "Bearer") | {
            "exp": int(now) + self.config.access_lifetime_s,
            "aud": "account",
            "azp": session.client_id,
            "scope": SCOPE if session.offline else "email profile",
            "email_verified": True,
            "email": session.login,
            "preferred_username": session.login,
            "name": "Canary Etl",
        }
        return self._sign(claims)

    def refresh(self, session: Session, issuer: str, now: float) -> tuple[str, str]:
        """The refresh token and its ``jti``."""
        claims = self._claims(session, issuer, now, "Offline" if session.offline else "Refresh")
        claims |= {"aud": issuer, "azp": session.client_id, "scope": SCOPE if session.offline else "email profile"}
        if self.config.refresh_lifetime_s is not None:
            claims["exp"] = int(now) + self.config.refresh_lifetime_s
        if self.config.rotation and self.config.keycloak >= (25,):
            claims["reuse_id"] = str(uuid.uuid4())
        return self._sign(claims), str(claims["jti"])

    def read(self, token: str) -> dict[str, Any] | None:
        """The claims, whether expired or not; None where the token is none of ours."""
        try:
            unchecked = {"verify_exp": False, "verify_aud": False, "verify_iat": False}
            claims: dict[str, Any] = jwt.decode(token, self._key, algorithms=[ALGORITHM], options=unchecked)  # type: ignore[arg-type]
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
        }
        if self.config.keycloak < (25,):
            claims["session_state"] = session.id
        return claims

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": "sandbox"})
