"""The login server: login, refresh and logout as We360's Keycloak answers them.

The simulator of the tests plays everything else that a Keycloak can do and is compared with a real
one; the tests compare this module with the simulator.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import jwt

from airflow_provider_we360.sandbox.config import Account, SandboxConfig
from airflow_provider_we360.sandbox.http import Request, Response, json_response
from airflow_provider_we360.types import Clock

ALGORITHM = "HS512"
SCOPE = "email profile offline_access"
NO_STORE = {"Cache_Control": "no-store", "Pragma": "no-cache"}

_REFUSALS = {
    # 401 before Keycloak 26.6 and 400 since; the live server's version is not known.
    "wrong_password": (401, "invalid_grant", "Invalid user credentials"),
    "unknown_client": (401, "invalid_client", "Invalid client or Invalid client credentials"),
    "unsupported_grant": (400, "unsupported_grant_type", "Unsupported grant_type"),
    "no_grant_type": (400, "invalid_request", "Missing form parameter: grant_type"),
    "no_refresh_token": (400, "invalid_request", "No refresh token"),
    "refresh_garbage": (400, "invalid_grant", "Invalid refresh token"),
    "session_gone": (400, "invalid_grant", "Offline user session not found"),
}


class GrantRefused(Exception):
    """Ends a grant; its text is a key of the refusals."""


class Keycloak:
    """One realm with one tenant. Sessions last until they are logged out."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._accounts = config.accounts()
        self._sessions: dict[str, Account] = {}

    def answer(self, request: Request, call: str) -> Response:
        """Response a request to the endpoint ``token`` or ``logout``."""
        if request.method != "POST":
            return json_response(405, {"error": "HTTP 405 Method Not Allowed"})
        # Repeated parameters are an error in Keycloak; the simulator plays it, users never do.
        form = {name: values[0] for name, values in request.form().items()}
        issuer = f"{request.base_url}/realms/{self._config.realm}"
        try:
            return self._logout(form) if call == "logout" else self._grant(form, issuer)
        except GrantRefused as refused:
            status, error, description = _REFUSALS[str(refused)]
            content = {"error": error, "error_description": description}
            return json_response(status, content, **({} if call == "logout" else NO_STORE))

    def account_of(self, access_token: str) -> Account | None:
        """Return the account of a valid access token, None if the API refuses the token."""
        claims = read_token(self._config.seed, access_token) or {}
        # A refresh token is signed with the same key and must not open the API.
        if claims.get("typ") != "Bearer" or claims["exp"] <= self._clock():
            return None
        return self._sessions.get(claims["sid"])

    def _grant(self, form: Mapping[str, str], issuer: str) -> Response:
        if "grant_type" not in form:
            raise GrantRefused("no_grant_type")
        if form["grant_type"] not in {"password", "refresh_token"}:
            raise GrantRefused("unsupported_grant")
        self._check_client(form)
        if form["grant_type"] == "password":
            # Keycloak does not distinguish upper and lower case in logins.
            account = self._accounts.get(form.get("username", "").lower())
            if account is None or form.get("password") != account.password:
                raise GrantRefused("wrong_password")
            session_id = str(uuid.uuid4())
            self._sessions[session_id] = account
        else:
            session_id = self._session_id(form)
            if session_id not in self._sessions:
                raise GrantRefused("session_gone")
        return self._token_answer(session_id, issuer)

    def _logout(self, form: Mapping[str, str]) -> Response:
        self._check_client(form)
        # Like Keycloak, end the session even if it is gone or the token was used before.
        self._sessions.pop(self._session_id(form), None)
        return Response(204, b"", (("Cache-Control", "no-cache"),))

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") != self._config.customer_id:
            raise GrantRefused("unknown_client")

    def _session_id(self, form: Mapping[str, str]) -> str:
        if "refresh_token" not in form:
            raise GrantRefused("no_refresh_token")
        claims = read_token(self._config.seed, form["refresh_token"]) or {}
        if claims.get("typ") != "Offline":
            raise GrantRefused("refresh_garbage")
        return str(claims["sid"])

    def _token_answer(self, session_id: str, issuer: str) -> Response:
        login, now = self._sessions[session_id].login, int(self._clock())
        common = {"login": login, "client_id": self._config.customer_id, "session_id": session_id}
        access = build_claims("Bearer", issuer, now, **common)
        access |= {"exp": now + self._config.access_lifetime_s, "preferred_username": login}
        refresh = build_claims("Offline", issuer, now, **common)
        content = {
            "access_token": sign_token(self._config.seed, access),
            "expires_in": self._config.access_lifetime_s,
            "refresh_expires_in": 0,  # an offline token has no expiry of its own
            "refresh_token": sign_token(self._config.seed, refresh),
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": session_id,
            "scope": SCOPE,
        }
        return json_response(200, content, **NO_STORE)


def build_claims(
    kind: str, issuer: str, now: int, *, login: str, client_id: str, session_id: str
) -> dict[str, Any]:
    """Return the claims that access and refresh tokens share."""
    return {
        "iat": now,
        "jti": str(uuid.uuid4()),
        "iss": issuer,
        "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, login)),
        "typ": kind,
        "sid": session_id,
        "azp": client_id,
        "scope": SCOPE,
    }


def sign_token(seed: int, claims: Mapping[str, Any]) -> str:
    """Return the claims as a JWT. A sandbox of the same seed accepts it after a restart."""
    return jwt.encode(dict(claims), _key(seed), algorithm=ALGORITHM, headers={"kid": "sandbox"})


def read_token(seed: int, token: str) -> dict[str, Any] | None:
    """Return the claims, even if the token has expired; None if its signature is not ours."""
    # The caller decides about expiry: logout accepts an expired token, the API does not.
    unchecked = {"verify_exp": False, "verify_aud": False, "verify_iat": False}
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _key(seed),
            algorithms=[ALGORITHM],
            options=unchecked,  # type: ignore[arg-type]
        )
    except jwt.PyJWTError:
        return None
    return claims


def _key(seed: int) -> bytes:
    return hashlib.sha512(f"we360 sandbox {seed}".encode()).digest()
