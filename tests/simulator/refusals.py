"""Keycloak's refusals, word for word, by the name that faults and tests use.

``tests/keycloak`` compares those of 26.7 with a real server. If versions differ, 22.0.5, 26.5.6 and
26.7.3 were tried once; the versions between are a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_we360.sandbox.http import Response, json_response
from airflow_provider_we360.sandbox.keycloak import NO_STORE


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal.

    :param old: status, error and description before ``changed_in``, if they differ.
    """

    status: int
    error: str
    description: str | None
    changed_in: tuple[int, ...] = ()
    old: tuple[int, str, str | None] | None = None

    def answer(self, keycloak: tuple[int, ...]) -> Response:
        is_old = self.old is not None and keycloak < self.changed_in
        status, error, description = (
            self.old if is_old and self.old else (self.status, self.error, self.description)
        )
        content = {"error": error} | ({"error_description": description} if description else {})
        return json_response(status, content, **NO_STORE)


_BAD_CREDENTIALS = Refusal(
    400,
    "invalid_grant",
    "Invalid user credentials",
    (26, 6),
    (401, "invalid_grant", "Invalid user credentials"),
)
_NO_CLIENT = "Invalid client or Invalid client credentials"
_SEE_LOG = "For more on this error consult the server log."

REFUSALS: dict[str, Refusal] = {
    # password grant
    "wrong_password": _BAD_CREDENTIALS,
    "locked_for_ever": _BAD_CREDENTIALS,
    "account_disabled": Refusal(400, "invalid_grant", "Account disabled"),
    "not_set_up": Refusal(400, "invalid_grant", "Account is not fully set up"),
    "direct_grants_off": Refusal(
        400, "unauthorized_client", "Client not allowed for direct access grants"
    ),
    "consent_required": Refusal(400, "invalid_client", "Client requires user consent"),
    "unknown_client": Refusal(
        401,
        "invalid_client",
        _NO_CLIENT,
        (19,),
        (400, "invalid_client", "Invalid client credentials"),
    ),
    "confidential_client": Refusal(
        401,
        "unauthorized_client",
        _NO_CLIENT,
        (19,),
        (401, "unauthorized_client", "Client secret not provided in request"),
    ),
    "offline_not_allowed": Refusal(
        400, "not_allowed", "Offline tokens not allowed for the user or client"
    ),
    "bad_scope": Refusal(400, "invalid_scope", "Invalid scopes: {scope}"),
    "no_username": Refusal(401, "invalid_request", "Missing parameter: username"),
    "no_grant_type": Refusal(400, "invalid_request", "Missing form parameter: grant_type"),
    "unsupported_grant": Refusal(400, "unsupported_grant_type", "Unsupported grant_type"),
    "duplicated_parameter": Refusal(400, "invalid_request", "duplicated parameter"),
    "realm_disabled": Refusal(403, "access_denied", "Realm not enabled"),
    "https_required": Refusal(403, "invalid_request", "HTTPS required"),
    "realm_unknown": Refusal(404, "Realm does not exist", None),
    "session_limit": Refusal(500, "unknown_error", None),
    "server_trouble": Refusal(500, "unknown_error", _SEE_LOG),
    # refresh grant
    "refresh_expired": Refusal(400, "invalid_grant", "Token is not active"),
    "refresh_garbage": Refusal(400, "invalid_grant", "Invalid refresh token"),
    "refresh_of_other_client": Refusal(
        400,
        "invalid_grant",
        "Invalid refresh token. Token client and authorized client don't match",
    ),
    "issuer_changed": Refusal(400, "invalid_grant", "Invalid token issuer. Expected '{expected}'"),
    "session_expired": Refusal(
        400,
        "invalid_grant",
        "Session not active",
        (26, 8),
        (400, "invalid_grant", "Offline session not active"),
    ),
    "session_gone": Refusal(400, "invalid_grant", "Offline user session not found"),
    "online_session_ended": Refusal(400, "invalid_grant", "Session not active"),
    "session_detached": Refusal(400, "invalid_grant", "Session doesn't have required client"),
    "client_session_inactive": Refusal(400, "invalid_grant", "Client session not active"),
    "user_disabled": Refusal(400, "invalid_grant", "User disabled"),
    "stale_token": Refusal(400, "invalid_grant", "Stale token"),
    "reuse_exceeded": Refusal(400, "invalid_grant", "Maximum allowed refresh token reuse exceeded"),
    "before_session": Refusal(
        400, "invalid_grant", "Refresh token issued before the user session started"
    ),
    "before_client_session": Refusal(
        400, "invalid_grant", "Refresh token issued before the client session started"
    ),
    "consent_withdrawn": Refusal(
        400, "invalid_scope", "Client no longer has requested consent from user"
    ),
    "offline_withdrawn": Refusal(
        400,
        "invalid_grant",
        "Offline session invalid because offline access not granted anymore",
        (26,),
        (400, "not_allowed", "Offline tokens not allowed for the user or client"),
    ),
    "no_refresh_token_sent": Refusal(400, "invalid_request", "No refresh token"),
    # revocation
    "unmatching_clients": Refusal(400, "invalid_request", "Unmatching clients"),
    "no_token_sent": Refusal(400, "invalid_request", "Token not provided"),
    "revoke_unknown_token": Refusal(200, "invalid_token", "Invalid token"),
}


def refusal(name: str, keycloak: tuple[int, ...], **words: str) -> Response:
    """Return the refusal as this version of Keycloak answers it."""
    found = REFUSALS[name]
    if words and found.description:
        found = replace(found, description=found.description.format(**words))
    return found.answer(keycloak)
