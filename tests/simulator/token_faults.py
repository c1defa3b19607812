"""Faults of the login server: refusals, sessions that end, token answers of another shape."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_we360.sandbox.http import Response
from simulator.fault_effects import Effect
from simulator.identity import Identity
from simulator.refusals import refusal

_GONE: Any = object()


def refused(name: str, **words: str) -> Effect:
    """Answer with the refusal of that name to any request."""
    blanks = {"scope": "?", "expected": "?"} | words
    return Effect(instead=lambda identity: refusal(name, identity.config.keycloak, **blanks))


def _sessions_become(state: str) -> Effect:
    return Effect(before=lambda identity: identity.sessions.end_all(state))


def not_before_push() -> Effect:
    """Refuse every token issued until now."""
    return Effect(before=Identity.push_not_before)


def account_becomes(refused: str | None = "disabled") -> Effect:
    """Change the account: ``disabled``, ``not_set_up``, ``otp``, or None to accept it again."""
    return Effect(before=lambda identity: identity.change_account(refused=refused))


def password_changes(password: str = "canary-changed-Passw0rd") -> Effect:
    """Change the password; sessions stay."""
    return Effect(before=lambda identity: identity.change_account(password=password))


def committed_then_500(status: int = 500) -> Effect:
    """Carry the request out, then fail: a rotated token is used up (Keycloak issue 49213)."""
    content = {
        "error": "unknown_error",
        "error_description": "For more on this error consult the server log.",
    }
    return Effect(
        after=lambda answer, _: replace(answer, status=status, body=json.dumps(content).encode())
    )


def _body_changed(change: Callable[[dict[str, Any], Identity], None]) -> Effect:
    def changed(answer: Response, identity: Identity) -> Response:
        if answer.status != 200:
            return answer
        content = answer.json()
        change(content, identity)
        return replace(
            answer, body=json.dumps({k: v for k, v in content.items() if v is not _GONE}).encode()
        )

    return Effect(after=changed)


def without(name: str) -> Effect:
    """Remove a field from a successful answer."""
    return _body_changed(lambda content, _: content.update({name: _GONE}))


def with_field(name: str, value: Any) -> Effect:
    """Set a field of a successful answer."""
    return _body_changed(lambda content, _: content.update({name: value}))


def with_fields(fields: Mapping[str, Any]) -> Effect:
    """Add fields to a successful answer."""
    return _body_changed(lambda content, _: content.update(fields))


def access_token_becomes(token: str = "canary-opaque-token") -> Effect:
    """Send an access token that is not a JWT. The API refuses it."""
    return with_field("access_token", token)


def change_access_claims(**claims: Any) -> Effect:
    """Change claims of the access token; None removes one. The signature is valid."""

    def change(content: dict[str, Any], identity: Identity) -> None:
        content["access_token"] = identity.tokens.re_sign(content["access_token"], **claims)

    return _body_changed(change)


def shorter_life(seconds: int = 300) -> Effect:
    """Shorten the life of the tokens in this answer."""

    def change(content: dict[str, Any], identity: Identity) -> None:
        now = int(identity.now())
        content["expires_in"] = seconds
        content["access_token"] = identity.tokens.re_sign(
            content["access_token"], exp=now + seconds
        )

    return _body_changed(change)


def clock_off(seconds: float = 600) -> Effect:
    """Shift the server's clock, in this token and in the Date header."""

    def changed(answer: Response, identity: Identity) -> Response:
        date = email.utils.formatdate(identity.now() + seconds, usegmt=True)
        answer = answer.with_headers([("Date", date)])
        if answer.status != 200:
            return answer
        content = answer.json()
        claims = identity.tokens.read(content["access_token"]) or {}
        moved = {name: claims[name] + int(seconds) for name in ("iat", "exp")}
        content["access_token"] = identity.tokens.re_sign(content["access_token"], **moved)
        return replace(answer, body=json.dumps(content).encode())

    return Effect(after=changed)


FAULTS: dict[str, tuple[str, Callable[..., Effect]]] = {
    "sessions_end": ("F15", lambda: _sessions_become("ended")),
    "sessions_expire": ("F14", lambda: _sessions_become("expired")),
    "sessions_detach": ("F16", lambda: _sessions_become("detached")),
    "not_before_push": ("F18", not_before_push),
    "account_becomes": ("F19", account_becomes),
    "password_changes": ("F1", password_changes),
    "committed_then_500": ("F20", committed_then_500),
    "no_refresh_token": ("F21", lambda: without("refresh_token")),
    "no_expires_in": ("F21", lambda: without("expires_in")),
    "no_refresh_expires_in": ("F21", lambda: without("refresh_expires_in")),
    "expires_in": ("F21", lambda value=0: with_field("expires_in", value)),
    "refresh_expires_in": ("F21", lambda value=0: with_field("refresh_expires_in", value)),
    "shorter_life": ("F21", shorter_life),
    "extra_fields": (
        "F21",
        lambda: with_fields({"id_token": None, "x_new": {"a": [1]}, "not_before": "0"}),
    ),
    "token_type_lower": ("F21", lambda: with_field("token_type", "bearer")),
    "no_access_token": ("F21", lambda: without("access_token")),
    "not_a_jwt": ("F22", access_token_becomes),
    "big_jwt": ("F22", lambda size=12_000: change_access_claims(groups="x" * (size * 3 // 4))),
    "jwt_without_exp": ("F22", lambda: change_access_claims(exp=None)),
    "clock_off": ("F22", clock_off),
}
