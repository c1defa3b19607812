"""The realm of the real Keycloak: what We360's answers show, and Keycloak's defaults."""

from __future__ import annotations

import json
from typing import Any

from keycloak.server import REALM

FAST_HASH = "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)"
SLOW_HASH = "hashAlgorithm(pbkdf2-sha512) and hashIterations(400000)"
"""A login takes a good part of a second."""

REALM_SETTINGS: dict[str, Any] = {
    "realm": REALM,
    "enabled": True,
    "sslRequired": "external",
    "passwordPolicy": FAST_HASH,
    "notBefore": 0,
    "accessTokenLifespan": 36000,
    "ssoSessionIdleTimeout": 1800,
    "ssoSessionMaxLifespan": 36000,
    "offlineSessionIdleTimeout": 30 * 86400,
    "offlineSessionMaxLifespanEnabled": False,
    "offlineSessionMaxLifespan": 60 * 86400,
    "revokeRefreshToken": False,
    "refreshTokenMaxReuse": 0,
    # Keycloak's defaults of brute-force detection, which is off
    "bruteForceProtected": False,
    "permanentLockout": False,
    "failureFactor": 30,
    "waitIncrementSeconds": 60,
    "maxFailureWaitSeconds": 900,
    "maxDeltaTimeSeconds": 43200,
    "quickLoginCheckMilliSeconds": 1000,
    "minimumQuickLoginWaitSeconds": 60,
}

OTP: dict[str, Any] = {
    "type": "otp",
    "secretData": json.dumps({"value": "canary-otp-secret-of-tests"}),
    "credentialData": json.dumps(
        {"subType": "totp", "digits": 6, "period": 30, "algorithm": "HmacSHA1"}
    ),
}


def client(client_id: str) -> dict[str, Any]:
    """Return a customer: a public client that may log in with a password."""
    return {
        "clientId": client_id,
        "enabled": True,
        "publicClient": True,
        "directAccessGrantsEnabled": True,
        "standardFlowEnabled": False,
        "consentRequired": False,
    }


def robot(client_id: str) -> dict[str, Any]:
    """Return a client that has a service account and therefore a user."""
    return {**client(client_id), "publicClient": False, "serviceAccountsEnabled": True}


def user(login: str, secret: str) -> dict[str, Any]:
    """Return a user who can log in."""
    return {
        "username": login,
        "email": login,
        "emailVerified": True,
        "firstName": "Canary",
        "lastName": "Etl",
        "enabled": True,
        "credentials": [password(secret)],
    }


def password(secret: str) -> dict[str, Any]:
    """Return a password that does not expire."""
    return {"type": "password", "value": secret, "temporary": False}
