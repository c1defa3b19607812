"""What Keycloak answers in which situation: one table for the tests and the documentation.

Each case is a few hand-written requests to the simulator and to a real server. The provider reads
both answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import httpx
import jwt

from airflow_provider_we360.errors import (
    AccountRefused,
    ClientRefused,
    CredentialsRefused,
    RefreshRejected,
    We360Error,
)
from keycloak.server import OTHER_CUSTOMER, ROBOT, WRONG, Server

Call: TypeAlias = Literal["login", "refresh", "logout", "revoke"]
Ask: TypeAlias = Callable[[Server], httpx.Response]

BAD = "Invalid user credentials"
NO_CLIENT = "Invalid client or Invalid client credentials"
GARBAGE = "Invalid refresh token"
OTHER_CLIENT = "Invalid refresh token. Token client and authorized client don't match"
NOT_FOUND = "Offline user session not found"
NOT_ACTIVE = "Offline session not active"
NO_OFFLINE = "Offline tokens not allowed for the user or client"
OFFLINE_WITHDRAWN = "Offline session invalid because offline access not granted anymore"
NO_CONSENT = "Client no longer has requested consent from user"
REUSED = "Maximum allowed refresh token reuse exceeded"
DETACHED = "Session doesn't have required client"
MOVED = "Invalid token issuer. Expected 'http://moved.example.com/realms/ind-prod'"


@dataclass(frozen=True)
class Case:
    """A situation and its answer.

    :param left: sessions of the user afterwards; None if there is no user.
    :param means: what the provider raises; None if it accepts the answer.
    """

    call: Call
    situation: str
    ask: Ask
    status: int
    error: str | None
    description: str | None
    left: int | None
    means: type[We360Error] | None

    @property
    def answer(self) -> tuple[int, str | None, str | None]:
        return self.status, self.error, self.description


CASES: list[Case] = []


def case(
    call: Call,
    situation: str,
    status: int,
    error: str | None = None,
    description: str | None = None,
    *,
    left: int | None = 0,
    means: type[We360Error] | None = None,
) -> Callable[[Ask], Ask]:
    """Add the decorated function, which creates the situation, to the table."""

    def put(ask: Ask) -> Ask:
        CASES.append(Case(call, situation, ask, status, error, description, left, means))
        return ask

    return put


def refused_login(
    situation: str, description: str = BAD, *, left: int | None = 0, **settings: Any
) -> Callable[[Ask], Ask]:
    """Add a login that is refused with 400 ``invalid_grant``."""
    means = settings.get("means", CredentialsRefused)
    return case("login", situation, 400, "invalid_grant", description, left=left, means=means)


def dead(
    situation: str, description: str, *, left: int | None = 0, means: Any = RefreshRejected
) -> Callable[[Ask], Ask]:
    """Add a refresh that is refused with 400 ``invalid_grant``."""
    return case("refresh", situation, 400, "invalid_grant", description, left=left, means=means)


# login: it is granted


@case("login", "all is well", 200, left=1)
def _(server: Server) -> httpx.Response:
    return server.login()


@case("login", "the login in capitals", 200, left=1)
def _(server: Server) -> httpx.Response:
    return server.login(username=server.user.upper())


@case("login", "two sessions are there already", 200, left=3)
def _(server: Server) -> httpx.Response:
    server.tokens()
    server.tokens()
    return server.login()


@case("login", "brute-force detection is on, one failure came before", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.set_brute_force(failure_factor=2)
    server.fail_login()
    return server.login()


@case("login", "offline_access is no default scope of the customer", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    return server.login()


@case("login", "offline_access is no default scope, the user may not have it either", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    server.set_offline_allowed(False)
    return server.login()


# login: the user


@refused_login("wrong password")
def _(server: Server) -> httpx.Response:
    return server.login(password=WRONG)


@refused_login("empty password")
def _(server: Server) -> httpx.Response:
    return server.login(password="")


@refused_login("no password")
def _(server: Server) -> httpx.Response:
    return server.login(password=None)


@refused_login("the password in capitals")
def _(server: Server) -> httpx.Response:
    return server.login(password=server.password.upper())


@refused_login("the password was changed")
def _(server: Server) -> httpx.Response:
    server.change_password("canary-changed-Passw0rd")
    return server.login()


@refused_login("unknown user")
def _(server: Server) -> httpx.Response:
    return server.login(username="stranger@example.com")


@refused_login("the user was deleted", left=None)
def _(server: Server) -> httpx.Response:
    server.delete_user()
    return server.login()


@refused_login("a blank before and after the login")
def _(server: Server) -> httpx.Response:
    return server.login(username=f" {server.user} ")


@refused_login("empty login")
def _(server: Server) -> httpx.Response:
    return server.login(username="")


@refused_login("user of a service account")
def _(server: Server) -> httpx.Response:
    return server.login(username=f"service-account-{ROBOT}")


@refused_login("a second factor is set up, none is sent")
def _(server: Server) -> httpx.Response:
    server.set_up_otp()
    return server.login()


@refused_login("a second factor is set up, a wrong one is sent")
def _(server: Server) -> httpx.Response:
    server.set_up_otp()
    return server.login(totp="000000")


@refused_login("locked for a while, right password")
def _(server: Server) -> httpx.Response:
    server.lock_user()
    return server.login()


@refused_login("locked for ever, right password")
def _(server: Server) -> httpx.Response:
    server.lock_user(permanent=True)
    return server.login()


@refused_login("disabled user", "Account disabled", means=AccountRefused)
def _(server: Server) -> httpx.Response:
    server.disable_user()
    return server.login()


@refused_login("disabled user, wrong password")
def _(server: Server) -> httpx.Response:
    server.disable_user()
    return server.login(password=WRONG)


@refused_login(
    "the user must do something in a browser first",
    "Account is not fully set up",
    means=AccountRefused,
)
def _(server: Server) -> httpx.Response:
    server.require_action()
    return server.login()


@refused_login("the user must do something in a browser first, wrong password")
def _(server: Server) -> httpx.Response:
    server.require_action()
    return server.login(password=WRONG)


# login: client, scope and realm


@case("login", "unknown customer", 401, "invalid_client", NO_CLIENT, means=ClientRefused)
def _(server: Server) -> httpx.Response:
    return server.login(client_id="acme")


@case("login", "no customer", 401, "invalid_client", NO_CLIENT, means=ClientRefused)
def _(server: Server) -> httpx.Response:
    return server.login(client_id=None)


@case("login", "disabled customer", 401, "invalid_client", NO_CLIENT, means=ClientRefused)
def _(server: Server) -> httpx.Response:
    server.set_client(enabled=False)
    return server.login()


@case(
    "login",
    "the customer needs a secret",
    401,
    "unauthorized_client",
    NO_CLIENT,
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    server.set_client(confidential=True)
    return server.login()


@case(
    "login", "logins by password are off", 400, "unauthorized_client", "Client not allowed for direct access grants",
    means=ClientRefused,
)  # fmt: skip
def _(server: Server) -> httpx.Response:
    server.set_client(direct_grants=False)
    return server.login()


@case(
    "login",
    "the customer needs consent",
    400,
    "invalid_client",
    "Client requires user consent",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    server.set_client(consent_required=True)
    return server.login()


@case(
    "login",
    "the user may not have offline sessions",
    400,
    "not_allowed",
    NO_OFFLINE,
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    server.set_offline_allowed(False)
    return server.login()


@refused_login("the user may not have offline sessions, wrong password")
def _(server: Server) -> httpx.Response:
    server.set_offline_allowed(False)
    return server.login(password=WRONG)


@case(
    "login",
    "unknown scope",
    400,
    "invalid_scope",
    "Invalid scopes: openid zebra",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.login(scope="openid zebra")


@case(
    "login",
    "unknown scope and no login",
    400,
    "invalid_scope",
    "Invalid scopes: zebra",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.login(scope="zebra", username=None)


@case("login", "disabled realm", 403, "access_denied", "Realm not enabled", means=ClientRefused)
def _(server: Server) -> httpx.Response:
    server.set_realm_enabled(False)
    return server.login()


@case("login", "unknown realm", 404, "Realm does not exist", None, means=ClientRefused)
def _(server: Server) -> httpx.Response:
    server.realm = "us-prod"
    return server.login()


# login: the form


@case(
    "login", "no login", 401, "invalid_request", "Missing parameter: username", means=ClientRefused
)
def _(server: Server) -> httpx.Response:
    return server.login(username=None)


@case(
    "login",
    "no grant type",
    400,
    "invalid_request",
    "Missing form parameter: grant_type",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.login(grant_type=None)


@case(
    "login", "no grant type, unknown customer", 400, "invalid_request", "Missing form parameter: grant_type",
    means=ClientRefused,
)  # fmt: skip
def _(server: Server) -> httpx.Response:
    return server.login(grant_type=None, client_id="acme")


@case(
    "login",
    "empty grant type",
    400,
    "unsupported_grant_type",
    "Unsupported grant_type",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.login(grant_type="")


@case(
    "login",
    "unknown grant type",
    400,
    "unsupported_grant_type",
    "Unsupported grant_type",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.login(grant_type="magic")


@case("login", "a field twice", 400, "invalid_request", "duplicated parameter", means=ClientRefused)
def _(server: Server) -> httpx.Response:
    return server.login(username=[server.user, server.user])


@case(
    "login",
    "a field twice, unknown customer",
    401,
    "invalid_client",
    NO_CLIENT,
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.login(username=[server.user, server.user], client_id="acme")


# refresh: it is granted


@case("refresh", "all is well", 200, left=1)
def _(server: Server) -> httpx.Response:
    return server.refresh(server.tokens()["refresh_token"])


@case("refresh", "used before, no rotation", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    return server.refresh(token)


@case("refresh", "used before, rotation allows one use more", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.set_rotation(max_reuse=1)
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    return server.refresh(token)


@case("refresh", "rotation was switched on after the login", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_rotation()
    return server.refresh(token)


@case("refresh", "rotation, older than the one used last, all within a second", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    server.begin_a_second()
    first = server.tokens()["refresh_token"]
    second = server.refreshed(first)["refresh_token"]
    server.refreshed(second)
    return server.refresh(first)


@case("refresh", "the password was changed", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.change_password("canary-changed-Passw0rd")
    return server.refresh(token)


@case("refresh", "the user must do something in a browser first", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.require_action()
    return server.refresh(token)


@case("refresh", "a second factor was set up", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_up_otp()
    return server.refresh(token)


@case("refresh", "the user is locked for a while", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.lock_user()
    return server.refresh(token)


@case("refresh", "logins by password were switched off", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_client(direct_grants=False)
    return server.refresh(token)


@case("refresh", "offline_access is no default scope any more", 200, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_offline(False)
    return server.refresh(token)


# refresh: the token


@dead("garbage", GARBAGE)
def _(server: Server) -> httpx.Response:
    return server.refresh("x")


@dead("empty", GARBAGE)
def _(server: Server) -> httpx.Response:
    return server.refresh("")


@dead("signed by somebody else", GARBAGE, left=1)
def _(server: Server) -> httpx.Response:
    claims = jwt.decode(server.tokens()["refresh_token"], options={"verify_signature": False})
    return server.refresh(jwt.encode(claims, "k" * 64, algorithm="HS512"))


@dead("an access token", GARBAGE, left=1)
def _(server: Server) -> httpx.Response:
    return server.refresh(server.tokens()["access_token"])


@case(
    "refresh", "no refresh token", 400, "invalid_request", "No refresh token", means=ClientRefused
)
def _(server: Server) -> httpx.Response:
    return server.refresh(None)


@case(
    "refresh",
    "two refresh tokens",
    400,
    "invalid_request",
    "duplicated parameter",
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.refresh(["x", "y"])


@dead("of another customer", OTHER_CLIENT, left=1)
def _(server: Server) -> httpx.Response:
    return server.refresh(server.tokens()["refresh_token"], client_id=OTHER_CUSTOMER)


@dead("the server has another address than at the login", MOVED, left=1)
def _(server: Server) -> httpx.Response:
    return server.refresh(server.tokens()["refresh_token"], headers={"Host": "moved.example.com"})


@dead("expired", "Token is not active")
def _(server: Server) -> httpx.Response:
    server.set_lifespans(max_s=1)
    token = server.tokens()["refresh_token"]
    server.pass_time(2.1)
    return server.refresh(token)


@dead("expired, and of another customer", "Token is not active")
def _(server: Server) -> httpx.Response:
    server.set_lifespans(max_s=1)
    token = server.tokens()["refresh_token"]
    server.pass_time(2.1)
    return server.refresh(token, client_id=OTHER_CUSTOMER)


@dead("not-before was pushed", "Stale token", left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.pass_time(1.1)
    server.push_not_before()
    return server.refresh(token)


@case(
    "refresh",
    "unknown scope",
    400,
    "invalid_scope",
    "Invalid scopes: zebra",
    left=1,
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    return server.refresh(server.tokens()["refresh_token"], scope="zebra")


# refresh: the session


@dead("logged out", NOT_FOUND)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.logout(token)
    return server.refresh(token)


@dead("revoked", NOT_FOUND)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.revoke(token)
    return server.refresh(token)


@dead("an administrator ended the session", NOT_FOUND)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.end_sessions()
    return server.refresh(token)


@dead("idle for too long", NOT_FOUND)
def _(server: Server) -> httpx.Response:
    server.set_lifespans(idle_s=2)
    token = server.tokens()["refresh_token"]
    server.pass_time(3.1)
    return server.refresh(token)


@dead("idle for too long since an administrator shortened the time", NOT_ACTIVE)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_lifespans(idle_s=1)
    server.pass_time(2.1)
    return server.refresh(token)


@dead("too old since an administrator shortened the time", NOT_ACTIVE)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_lifespans(max_s=1)
    server.pass_time(2.1)
    return server.refresh(token)


@dead("too old since an administrator shortened the time, second try", NOT_FOUND)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_lifespans(max_s=1)
    server.pass_time(2.1)
    server.refresh(token)
    return server.refresh(token)


@dead("online session, logged out", "Session not active")
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    token = server.tokens()["refresh_token"]
    server.logout(token)
    return server.refresh(token)


@dead("online session, an administrator ended it", "Session not active")
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    token = server.tokens()["refresh_token"]
    server.end_sessions()
    return server.refresh(token)


@dead("online session, the user was deleted", "Session not active", left=None)
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    token = server.tokens()["refresh_token"]
    server.delete_user()
    return server.refresh(token)


# refresh: rotation


@dead("rotation, used before", REUSED)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    return server.refresh(token)


@dead("rotation, used before, third try", DETACHED)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    server.refresh(token)
    return server.refresh(token)


@dead("rotation, the newest, after an older one was used again", DETACHED)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    first = server.tokens()["refresh_token"]
    newest = server.refreshed(first)["refresh_token"]
    server.refresh(first)
    return server.refresh(newest)


@dead("rotation, older than the one used last", "Stale token")
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    first, _ = _two_refreshes_later(server)
    return server.refresh(first)


@dead("rotation, the newest, after one older than the last was used", DETACHED)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    first, newest = _two_refreshes_later(server)
    server.refresh(first)
    return server.refresh(newest)


@dead("rotation allows one use more, third use", REUSED)
def _(server: Server) -> httpx.Response:
    server.set_rotation(max_reuse=1)
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    server.refreshed(token)
    return server.refresh(token)


@dead("rotation allows one use more, what the first use brought, after the second", "Stale token")
def _(server: Server) -> httpx.Response:
    server.set_rotation(max_reuse=1)
    token = server.tokens()["refresh_token"]
    first = server.refreshed(token)["refresh_token"]
    server.pass_time(1.1)
    server.refreshed(token)
    return server.refresh(first)


@dead("rotation was switched on after the login, used before", REUSED)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_rotation()
    server.refreshed(token)
    return server.refresh(token)


@dead("online session, rotation, used before", REUSED)
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    server.set_rotation()
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    return server.refresh(token)


def _two_refreshes_later(server: Server) -> tuple[str, str]:
    """Return the refresh tokens of the login and of the second refresh, a second apart."""
    first = server.tokens()["refresh_token"]
    second = server.refreshed(first)["refresh_token"]
    server.pass_time(1.1)
    return first, server.refreshed(second)["refresh_token"]


# refresh: user, client and realm


@dead("disabled user", "User disabled", left=1, means=AccountRefused)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.disable_user()
    return server.refresh(token)


@dead("the user is locked for ever", "User disabled", left=1, means=AccountRefused)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.lock_user(permanent=True)
    return server.refresh(token)


@dead("logged out, and the user is disabled", NOT_FOUND)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.logout(token)
    server.disable_user()
    return server.refresh(token)


@dead("the user was deleted", NOT_FOUND, left=None)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.delete_user()
    return server.refresh(token)


@dead("the user may not have offline sessions any more", OFFLINE_WITHDRAWN, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_offline_allowed(False)
    return server.refresh(token)


@case(
    "refresh",
    "the customer needs consent now",
    400,
    "invalid_scope",
    NO_CONSENT,
    left=1,
    means=RefreshRejected,
)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_client(consent_required=True)
    return server.refresh(token)


@case("refresh", "disabled customer", 401, "invalid_client", NO_CLIENT, left=1, means=ClientRefused)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_client(enabled=False)
    return server.refresh(token)


@case(
    "refresh",
    "the customer needs a secret now",
    401,
    "unauthorized_client",
    NO_CLIENT,
    left=1,
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_client(confidential=True)
    return server.refresh(token)


@case(
    "refresh",
    "disabled realm",
    403,
    "access_denied",
    "Realm not enabled",
    left=1,
    means=ClientRefused,
)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_realm_enabled(False)
    return server.refresh(token)


# logout


@case("logout", "all is well", 204)
def _(server: Server) -> httpx.Response:
    return server.logout(server.tokens()["refresh_token"])


@case("logout", "another session is there", 204, left=1)
def _(server: Server) -> httpx.Response:
    server.tokens()
    return server.logout(server.tokens()["refresh_token"])


@case("logout", "logged out before", 204)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.logout(token)
    return server.logout(token)


@case("logout", "expired refresh token, the session lives", 204)
def _(server: Server) -> httpx.Response:
    server.set_lifespans(max_s=1)
    token = server.tokens()["refresh_token"]
    server.set_lifespans(max_s=1000)
    server.refreshed(token)
    server.pass_time(2.1)
    assert server.sessions() == 1
    return server.logout(token)


@case("logout", "expired refresh token, the session is over", 204)
def _(server: Server) -> httpx.Response:
    server.set_lifespans(max_s=1)
    token = server.tokens()["refresh_token"]
    server.pass_time(2.1)
    return server.logout(token)


@case("logout", "used before, no rotation", 204)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    return server.logout(token)


@case("logout", "rotation, used before", 204)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    token = server.tokens()["refresh_token"]
    server.pass_time(1.1)
    server.refreshed(token)
    return server.logout(token)


@case("logout", "rotation, older than the one used last", 204)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    first, _ = _two_refreshes_later(server)
    return server.logout(first)


@case("logout", "rotation, the newest, after an older one was used again", 204)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    first = server.tokens()["refresh_token"]
    newest = server.refreshed(first)["refresh_token"]
    server.refresh(first)
    return server.logout(newest)


@case("logout", "not-before was pushed", 204)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.pass_time(1.1)
    server.push_not_before()
    return server.logout(token)


@case("logout", "online session", 204)
def _(server: Server) -> httpx.Response:
    server.set_offline(False)
    return server.logout(server.tokens()["refresh_token"])


@case("logout", "disabled user", 204)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.disable_user()
    return server.logout(token)


@case("logout", "the user is locked for a while", 204)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.lock_user()
    return server.logout(token)


@case("logout", "the user was deleted", 204, left=None)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.delete_user()
    return server.logout(token)


@case("logout", "disabled realm", 204)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_realm_enabled(False)
    return server.logout(token)


@case("logout", "no refresh token: a page for people", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.tokens()
    return server.logout(None)


@case("logout", "empty refresh token", 400, "invalid_grant", GARBAGE, left=1)
def _(server: Server) -> httpx.Response:
    server.tokens()
    return server.logout("")


@case("logout", "garbage", 400, "invalid_grant", GARBAGE, left=1)
def _(server: Server) -> httpx.Response:
    server.tokens()
    return server.logout("x")


@case("logout", "an access token", 400, "invalid_grant", GARBAGE, left=1)
def _(server: Server) -> httpx.Response:
    return server.logout(server.tokens()["access_token"])


@case("logout", "of another customer", 400, "invalid_grant", OTHER_CLIENT, left=1)
def _(server: Server) -> httpx.Response:
    return server.logout(server.tokens()["refresh_token"], client_id=OTHER_CUSTOMER)


@case(
    "logout",
    "the server has another address than at the login",
    400,
    "invalid_grant",
    MOVED,
    left=1,
)
def _(server: Server) -> httpx.Response:
    return server.logout(server.tokens()["refresh_token"], headers={"Host": "moved.example.com"})


@case("logout", "unknown customer", 401, "invalid_client", NO_CLIENT, left=1)
def _(server: Server) -> httpx.Response:
    return server.logout(server.tokens()["refresh_token"], client_id="acme")


@case("logout", "the customer needs a secret now", 401, "unauthorized_client", NO_CLIENT, left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_client(confidential=True)
    return server.logout(token)


@case("logout", "unknown realm", 404, "Realm does not exist", None)
def _(server: Server) -> httpx.Response:
    server.realm = "us-prod"
    return server.logout("x")


# revoke


@case("revoke", "all is well", 200)
def _(server: Server) -> httpx.Response:
    return server.revoke(server.tokens()["refresh_token"])


@case("revoke", "another session is there", 200, left=1)
def _(server: Server) -> httpx.Response:
    server.tokens()
    return server.revoke(server.tokens()["refresh_token"])


@case("revoke", "an access token: it alone is dead", 200, left=1)
def _(server: Server) -> httpx.Response:
    return server.revoke(server.tokens()["access_token"])


@case("revoke", "rotation, used before", 200)
def _(server: Server) -> httpx.Response:
    server.set_rotation()
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    return server.revoke(token)


@case("revoke", "disabled user", 200)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.disable_user()
    return server.revoke(token)


@case("revoke", "revoked before", 200, "invalid_token", "Invalid token")
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.revoke(token)
    return server.revoke(token)


@case("revoke", "expired", 200, "invalid_token", "Invalid token")
def _(server: Server) -> httpx.Response:
    server.set_lifespans(max_s=1)
    token = server.tokens()["refresh_token"]
    server.pass_time(2.1)
    return server.revoke(token)


@case("revoke", "garbage", 200, "invalid_token", "Invalid token")
def _(server: Server) -> httpx.Response:
    return server.revoke("x")


@case("revoke", "empty token", 200, "invalid_token", "Invalid token")
def _(server: Server) -> httpx.Response:
    return server.revoke("")


@case("revoke", "no token", 400, "invalid_request", "Token not provided")
def _(server: Server) -> httpx.Response:
    return server.revoke(None)


@case("revoke", "two tokens", 400, "invalid_request", "duplicated parameter")
def _(server: Server) -> httpx.Response:
    return server.revoke(["x", "y"])


@case("revoke", "of another customer", 400, "invalid_request", "Unmatching clients", left=1)
def _(server: Server) -> httpx.Response:
    return server.revoke(server.tokens()["refresh_token"], client_id=OTHER_CUSTOMER)


@case("revoke", "unknown customer", 401, "invalid_client", NO_CLIENT, left=1)
def _(server: Server) -> httpx.Response:
    return server.revoke(server.tokens()["refresh_token"], client_id="acme")


@case("revoke", "disabled realm", 403, "access_denied", "Realm not enabled", left=1)
def _(server: Server) -> httpx.Response:
    token = server.tokens()["refresh_token"]
    server.set_realm_enabled(False)
    return server.revoke(token)
