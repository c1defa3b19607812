"""The three calls to Keycloak as pure functions: settings to request, response to token set or error.

What an answer means is told by ``error`` and ``error_description``, never by the status: Keycloak 26.6 moved
"Invalid user credentials" from 401 to 400.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from airflow_provider_we360.auth.token import TokenSet, parse_token_answer
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    RefreshRejected,
    We360AuthError,
)
from airflow_provider_we360.transport.retry import parse_retry_after

LONGEST_SILENCE_S = 10.0
"""Other tasks may wait for this answer: nobody waits for it as long as for a report."""
_CLIENT_ADVICE = {
    "invalid_client": "check Customer ID (extra customer_id): the We360 portal shows it under the profile icon, top right",
    "unauthorized_client": "the Customer ID in extra customer_id may not log in with a password; ask We360 support to allow it",
    "not_allowed": "the account may not hold offline sessions; ask We360 support",
    "invalid_scope": "the scope is refused for this Customer ID; ask We360 support",
    "unsupported_grant_type": "password login is switched off; ask We360 support",
    "invalid_request": "the login form was refused; check Login, extra customer_id, auth_url and realm",
    "access_denied": "the realm is switched off; check extra realm",
}
_REFUSALS = frozenset({"invalid_grant", *_CLIENT_ADVICE})
_CODE = re.compile(r"[a-z]{2,20}(_[a-z]{2,20}){1,4}")
"""A word of a protocol. Anything else could repeat what was sent."""
_DEAD = (
    "token is not active",
    "invalid refresh token",
    "invalid token issuer",
    "offline session not active",
    "offline user session not found",
    "session not active",
    "session doesn't have required client",
    "client session not active",
    "stale token",
    "maximum allowed refresh token reuse exceeded",
    "refresh token issued before",
    "client no longer has requested consent from user",
    "unmatching clients",
)
_ACCOUNT_ADVICE = {
    "account disabled": "the account is disabled; ask an administrator of your We360 portal to enable it",
    "user disabled": "the account is disabled; ask an administrator of your We360 portal to enable it",
    "account is not fully set up": "the account is not fully set up; log in once in a browser and finish what it asks for",
}
_ALSO_DEAD = {
    ("invalid_scope", "client no longer has requested consent from user"),
    ("invalid_request", "unmatching clients"),
}
_WRONG_PASSWORD = (
    "Login or Password of the Connection is wrong, or the account is locked for a while after too many tries, "
    "or needs a second factor. Try them in a browser first: each try counts"
)


def login_request(settings: We360Settings) -> httpx.Request:
    """Password grant (RFC 6749 section 4.3). No scope is sent, as We360 documents it."""
    return _form(
        settings.token_url,
        settings.timeout_s,
        client_id=settings.customer_id,
        username=settings.login,
        password=settings.password,
        grant_type="password",
    )


def refresh_request(settings: We360Settings, refresh_token: str) -> httpx.Request:
    """Refresh grant (RFC 6749 section 6)."""
    return _form(
        settings.token_url,
        settings.timeout_s,
        client_id=settings.customer_id,
        refresh_token=refresh_token,
        grant_type="refresh_token",
    )


def logout_request(settings: We360Settings, refresh_token: str) -> httpx.Request:
    """Ends the one session of this refresh token. Not ``/revoke``: older Keycloaks ended all sessions of the account."""
    return _form(
        settings.logout_url,
        settings.timeout_s,
        client_id=settings.customer_id,
        refresh_token=refresh_token,
    )


def parse_login(response: httpx.Response, *, sent_at: float) -> TokenSet:
    """The token set a login brought.

    :raises CredentialsRefused: the login was refused; another try may lock the account.
    :raises AccountRefused: the account is disabled or not set up.
    :raises ClientRefused: Customer ID, realm or grant were refused.
    :raises AuthUnavailable: no usable answer.
    """
    body = _body(response)
    error, description = _error(body)
    if response.is_success and not error:
        return parse_token_answer(body, sent_at=sent_at)
    if error == "invalid_grant" and "direct access grants" not in description:
        if advice := _ACCOUNT_ADVICE.get(description):
            raise AccountRefused(f"We360 login refused: {advice}")
        raise CredentialsRefused(f"We360 login refused: {_WRONG_PASSWORD}")
    # A refusal in words we do not know may still count as a failed login on the server: it is not tried again.
    raise _refusal(response, error, description, "login", unknown=ClientRefused)


def parse_refresh(response: httpx.Response, *, sent_at: float, previous: TokenSet) -> TokenSet:
    """The token set a refresh brought; keeps the old refresh token where none came.

    :raises RefreshRejected: the refresh token is dead: log in.
    :raises AccountRefused: the account was disabled.
    :raises ClientRefused: as for a login.
    :raises AuthUnavailable: no usable answer.
    """
    body = _body(response)
    error, description = _error(body)
    if response.is_success and not error:
        return parse_token_answer(body, sent_at=sent_at, previous=previous)
    if error == "invalid_grant" and description == "user disabled":
        raise AccountRefused(f"We360 refused the session: {_ACCOUNT_ADVICE[description]}")
    is_dead = error == "invalid_grant" or (error, description) in _ALSO_DEAD
    if is_dead:
        raise RefreshRejected(f"the refresh token is no longer valid: {_known(description)}")
    raise _refusal(response, error, description, "token refresh", unknown=AuthUnavailable)


def is_over(response: httpx.Response) -> bool:
    """Whether a refused logout says that the session had ended before."""
    return (
        response.status_code == httpx.codes.BAD_REQUEST
        and _error(_body(response))[0] == "invalid_grant"
    )


def _form(url: httpx.URL, timeout_s: float, **fields: str) -> httpx.Request:
    timeout = httpx.Timeout(min(timeout_s, LONGEST_SILENCE_S)).as_dict()
    return httpx.Request(
        "POST",
        url,
        data=fields,
        headers={"Accept": "application/json"},
        extensions={"timeout": timeout},
    )


def _body(response: httpx.Response) -> Mapping[str, Any]:
    """The answer's JSON. A refusal that Keycloak put into words counts as one, whatever status came with it.

    :raises AuthUnavailable: it is not Keycloak that speaks, or Keycloak is in trouble.
    """
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    if isinstance(body, dict) and (_error(body)[0] in _REFUSALS or response.is_success):
        return body
    status = response.status_code
    if response.is_server_error or status == httpx.codes.TOO_MANY_REQUESTS:
        raise AuthUnavailable(
            f"the token endpoint is in trouble (HTTP {status})",
            retry_after_s=parse_retry_after(response.headers),
            may_have_acted=response.is_server_error,
            status=status,
        )
    if isinstance(body, dict) and _error(body)[0]:
        return body
    raise AuthUnavailable(
        f"the token endpoint answered HTTP {status} without JSON of Keycloak's; check that extra auth_url is the login server "
        "and that no proxy or firewall answers in its place",
        status=status,
    )


def _error(body: Mapping[str, Any]) -> tuple[str, str]:
    return str(body.get("error") or ""), str(body.get("error_description") or "").strip().lower()


def _known(description: str) -> str:
    """Keycloak's words, where they are known ones: others could repeat what was sent."""
    return next(
        (words for words in _DEAD if description.startswith(words)),
        "the server says why in words we do not know",
    )


def _refusal(
    response: httpx.Response,
    error: str,
    description: str,
    what: str,
    *,
    unknown: type[We360AuthError],
) -> We360AuthError:
    if error.lower().startswith("realm does not exist"):
        return ClientRefused(
            f"We360 {what} refused: extra realm of the Connection does not exist on this server"
        )
    if error == "invalid_grant":
        error = "unauthorized_client"
    if error == "invalid_client" and "consent" in description:
        return ClientRefused(
            f"We360 {what} refused: the Customer ID in extra customer_id asks for a consent in a browser; ask We360 support"
        )
    if advice := _CLIENT_ADVICE.get(error):
        return ClientRefused(f"We360 {what} refused ({error}): {advice}")
    return unknown(
        f"We360 {what} failed: the token endpoint answered HTTP {response.status_code}"
        + (f" ({error})" if _CODE.fullmatch(error) else "")
        + "; check extra auth_url and realm of the Connection"
    )
