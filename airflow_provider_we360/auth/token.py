"""The token set: access and refresh token with their lifetimes."""

from __future__ import annotations

import logging
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from airflow_provider_we360.errors import AuthUnavailable
from airflow_provider_we360.redaction import register_secret

log = logging.getLogger(__name__)

ASSUMED_LIFETIME_S = 300.0
LONGEST_LEEWAY_SHARE = 0.10
EARLIEST_RENEWAL_SHARE = 0.25
CLOCK_SKEW_S = 1800.0
"""A token set obtained further in the future than this was written by a wrong clock."""
# RFC 6750 section 2.1, b68token. Anything else could end the header and start another.
_B68TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Access and refresh token. All times are seconds since the epoch on the local clock.

    :param access_token: sent as Bearer token.
    :param refresh_token: exchanged for the next token set; None if the server sent none.
    :param obtained_at: when the request for it was sent.
    :param expires_at: when the access token expires, counted from ``obtained_at`` so that the
        server's clock does not matter.
    :param rotates: True if a refresh token works only once (Keycloak claim ``reuse_id``); None if
        unknown.
    :param session: ID of the Keycloak session; generated if the server sends none. All token sets
        of one login share it.
    :param generation: grows with every token set of an account; the greatest is the newest.
    :param doubtful: True if the refresh token was sent and no answer came. If it rotates, it may
        be used up.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    obtained_at: float
    expires_at: float
    rotates: bool | None = None
    session: str | None = field(default=None, repr=False)
    generation: int = 0
    doubtful: bool = False

    def __post_init__(self) -> None:
        # Registered by the value itself: no code path can create a token that logs and errors would
        # show.
        register_secret(self.access_token)
        if self.refresh_token:
            register_secret(self.refresh_token)

    @property
    def lifetime_s(self) -> float:
        """Seconds from issue to expiry."""
        return self.expires_at - self.obtained_at

    @property
    def leeway_s(self) -> float:
        """Seconds before expiry at which renewal is due.

        60 s or 2 % of the lifetime, whichever is longer, but at most a tenth of it.
        """
        # Short-lived tokens (Keycloak's default is 300 s) would otherwise spend most of their life
        # due for renewal.
        return min(max(60.0, 0.02 * self.lifetime_s), LONGEST_LEEWAY_SHARE * self.lifetime_s)

    def is_valid(self, now: float) -> bool:
        """Return whether the access token can still carry a request."""
        # A few seconds for the way to the API, or a token could expire while it travels.
        end = self.expires_at - min(5.0, LONGEST_LEEWAY_SHARE * self.lifetime_s)
        return self.obtained_at - CLOCK_SKEW_S <= now < end

    def early_renewal_s(self, spread: float) -> float:
        """Return how many seconds before expiry a task renews the token.

        :param spread: 0 to 1, drawn by each task. It spreads renewals between a quarter of the
            lifetime and the leeway, so that tasks that start together do not renew together.
        """
        quarter_s = EARLIEST_RENEWAL_SHARE * self.lifetime_s
        return self.leeway_s + spread * max(0.0, quarter_s - self.leeway_s)

    def is_of_other_session(self, other: TokenSet) -> bool:
        """Return whether the two are known to come from two logins."""
        return None not in (self.session, other.session) and self.session != other.session


def parse_token_answer(
    body: Mapping[str, Any], *, sent_at: float, previous: TokenSet | None = None
) -> TokenSet:
    """Return the token set in an answer of the token endpoint (RFC 6749 section 5.1).

    The lifetime is ``expires_in`` if that is a positive number, else ``exp - iat`` of the JWT,
    else 300 s. Without a new refresh token the previous one stays valid (RFC 6749 section 6).

    :raises AuthUnavailable: the answer holds no usable access token.
    """
    access_token = body.get("access_token")
    if not isinstance(access_token, str) or not access_token:
        raise AuthUnavailable(
            "the login server answered without an access_token; check Login server (extra "
            "auth_url)",
            status=200,
        )
    if not _B68TOKEN.fullmatch(access_token):
        raise AuthUnavailable(
            "the login server sent an access token with characters that RFC 6750 forbids; the "
            "token was ignored. Check Login server (extra auth_url)",
            status=200,
        )
    # Servers write Bearer, bearer, or leave it out, although RFC 6749 requires it.
    if str(body.get("token_type") or "bearer").lower() != "bearer":
        raise AuthUnavailable(
            "the login server sent a token that is not a Bearer token; the token was ignored",
            status=200,
        )
    refresh_token = body.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        refresh_token = previous.refresh_token if previous else None
    claims = unverified_claims(access_token)
    # Keycloak sends session_state in the answer; in some configurations only the claim sid exists.
    session = body.get("session_state") or claims.get("sid")
    if not isinstance(session, str):
        session = (previous.session if previous else None) or secrets.token_hex(8)
    # Keycloak since mid-2024 sets reuse_id in a refresh token if it works only once.
    rotates = True if "reuse_id" in unverified_claims(refresh_token) else None
    return TokenSet(
        access_token=access_token,
        refresh_token=refresh_token,
        obtained_at=sent_at,
        expires_at=sent_at + _read_lifetime_s(body.get("expires_in"), claims),
        rotates=rotates,
        session=session,
    )


def unverified_claims(token: str | None) -> Mapping[str, Any]:
    """Return the claims of a JWT without checking its signature; empty if it is not a JWT.

    Safe here: the token came from the login server over TLS, and only its dates are used.
    """
    try:
        return jwt.decode(token or "", options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError, ValueError):
        return {}


def _read_lifetime_s(expires_in: object, claims: Mapping[str, Any]) -> float:
    if (seconds := _parse_positive(expires_in)) is not None:
        return seconds
    start, end = _parse_positive(claims.get("iat")), _parse_positive(claims.get("exp"))
    if start is not None and end is not None and end > start:
        return end - start
    log.warning(
        "The login server did not say how long the token lives; assuming %d s", ASSUMED_LIFETIME_S
    )
    return ASSUMED_LIFETIME_S


def _parse_positive(value: object) -> float | None:
    try:
        # True is an int in Python, and would be a lifetime of one second.
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
