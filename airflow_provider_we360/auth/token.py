"""TokenSet: access and refresh token with what is known of their lives."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from airflow_provider_we360.errors import AuthUnavailable

log = logging.getLogger(__name__)

ASSUMED_LIFETIME_S = 300.0
LONGEST_LEEWAY_SHARE = 0.10
EARLIEST_RENEWAL_SHARE = 0.25
CLOCKS_DIFFER_S = 1800.0
"""A token set from further in the future than this was written by a clock that is wrong."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A token pair. All times are seconds on the local clock since the epoch, UTC.

    :param access_token: sent as Bearer.
    :param refresh_token: buys the next pair; None where the server gave none.
    :param obtained_at: when the request that brought it was sent.
    :param expires_at: when the access token ends, counted from ``obtained_at``, so that a server's wrong clock cannot matter.
    :param rotates: True where each refresh token works once (Keycloak claim ``reuse_id``), None where that is unknown.
    :param session: id of the session: all token sets of one login share it. Keycloak's, or one of ours where it tells none.
    :param generation: grows with each token set of an account, by refresh and by login alike: the newest is the greatest.
    :param doubtful: True once the refresh token was sent and no answer came: where it rotates, it may be used up.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    obtained_at: float
    expires_at: float
    rotates: bool | None = None
    session: str | None = field(default=None, repr=False)
    generation: int = 0
    doubtful: bool = False

    @property
    def lifetime_s(self) -> float:
        """Seconds from issue to end."""
        return self.expires_at - self.obtained_at

    @property
    def leeway_s(self) -> float:
        """How long before its end the token is renewed: 60 s or 2 % of its life, but never over a tenth of it."""
        return min(max(60.0, 0.02 * self.lifetime_s), LONGEST_LEEWAY_SHARE * self.lifetime_s)

    def is_valid(self, now: float, margin_s: float = 5.0) -> bool:
        """True while the access token can still carry a request."""
        end = self.expires_at - min(margin_s, LONGEST_LEEWAY_SHARE * self.lifetime_s)
        return self.obtained_at - CLOCKS_DIFFER_S <= now < end

    def renewed_early_s(self, dice: float) -> float:
        """How long before its end one of many tasks thinks of renewing it.

        :param dice: 0 to 1, the task's own: what one task does at a quarter of the life, another leaves until the leeway,
            so that a fleet that starts on the hour does not renew as one.
        """
        return self.leeway_s + dice * max(
            0.0, EARLIEST_RENEWAL_SHARE * self.lifetime_s - self.leeway_s
        )

    def is_fresh(self, now: float, early_s: float) -> bool:
        """True while it need not be renewed.

        :param early_s: how long before its end it shall be.
        """
        return self.is_valid(now) and now < self.expires_at - early_s

    def is_of_other_session(self, other: TokenSet) -> bool:
        """True where it is known that the two came of two logins."""
        return (
            self.session is not None and other.session is not None and self.session != other.session
        )


def parse_token_answer(
    body: Mapping[str, Any], *, sent_at: float, previous: TokenSet | None = None
) -> TokenSet:
    """The token set in an answer of the token endpoint (RFC 6749 section 5.1).

    Lifetimes are learnt: ``expires_in`` where it is a number above zero, else ``exp - iat`` of the JWT, else 300 s.
    Where no refresh token comes, the previous one is kept (RFC 6749 section 6).

    :raises AuthUnavailable: where the answer holds no access token.
    """
    access_token = body.get("access_token")
    if not isinstance(access_token, str) or not access_token:
        raise AuthUnavailable(
            "the token endpoint answered without an access_token; check extra auth_url of the Connection",
            status=200,
        )
    if str(body.get("token_type") or "bearer").lower() != "bearer":
        raise AuthUnavailable(
            "the token endpoint answered with a token that is no Bearer token", status=200
        )
    refresh_token = body.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        refresh_token = previous.refresh_token if previous else None
    lifetime_s = _lifetime_s(body.get("expires_in"), access_token)
    return TokenSet(
        access_token=access_token,
        refresh_token=refresh_token,
        obtained_at=sent_at,
        expires_at=sent_at + lifetime_s,
        rotates=_rotates(refresh_token),
        session=_session(body, access_token)
        or (previous.session if previous else None)
        or secrets.token_hex(8),
    )


def unverified_claims(token: str | None) -> Mapping[str, Any]:
    """Claims of a JWT, read for its dates only: a client need not check the signature of a token it just received."""
    try:
        return jwt.decode(token or "", options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}


def _lifetime_s(expires_in: object, access_token: str) -> float:
    if (seconds := _positive(expires_in)) is not None:
        return seconds
    claims = unverified_claims(access_token)
    start, end = _positive(claims.get("iat")), _positive(claims.get("exp"))
    if start is not None and end is not None and end > start:
        return end - start
    log.warning(
        "the token endpoint did not say how long the token lives; taking it for %d s",
        ASSUMED_LIFETIME_S,
    )
    return ASSUMED_LIFETIME_S


def _positive(value: object) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _session(body: Mapping[str, Any], access_token: str) -> str | None:
    told = body.get("session_state") or unverified_claims(access_token).get("sid")
    return told if isinstance(told, str) else None


def _rotates(refresh_token: str | None) -> bool | None:
    """Keycloak since mid-2024 puts ``reuse_id`` into a refresh token if, and only if, it may be used once."""
    return True if "reuse_id" in unverified_claims(refresh_token) else None
