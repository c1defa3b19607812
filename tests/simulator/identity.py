"""Keycloak's token, logout and revocation endpoints, compared with a real one by tests/keycloak."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from airflow_provider_we360.sandbox.http import Request, Response, json_response, text_response
from airflow_provider_we360.sandbox.keycloak import NO_STORE
from airflow_provider_we360.types import Clock, Sleep
from simulator.brute_force import LoginFailures
from simulator.config import Account, SimulatorConfig
from simulator.refusals import refusal
from simulator.request_log import RequestLog
from simulator.sessions import Session, Sessions
from simulator.tokens import Tokens, scope_of

_SCOPES = frozenset(
    {
        "openid",
        "email",
        "profile",
        "offline_access",
        "address",
        "phone",
        "microprofile-jwt",
        "organization",
    }
)
_LOGOUT_PAGE = (
    "<!DOCTYPE html>\n<html><body><h1>Logging out</h1>"
    "<p>Do you want to log out?</p></body></html>\n"
)


Form: TypeAlias = dict[str, list[str]]


class GrantRefused(Exception):
    """Ends a grant with one of ``refusals.REFUSALS``."""

    def __init__(self, name: str, **words: str) -> None:
        super().__init__(name)
        self.name = name
        self.words = words


class Identity:
    """One realm with one tenant. Accounts, sessions and ``not_before`` can change at any time."""

    def __init__(
        self,
        config: SimulatorConfig,
        request_log: RequestLog,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
    ) -> None:
        self.config = config
        self.accounts: dict[str, Account] = config.accounts()
        self.sessions = Sessions(config)
        self.failures = LoginFailures(config.brute_force)
        self.tokens = Tokens(config)
        self.not_before = 0
        """Tokens issued before this moment (epoch seconds) are refused."""
        self._request_log = request_log
        self._clock = clock
        self._sleep = sleep
        self._logging_in: set[str] = set()
        self._revoked: set[str] = set()

    def now(self) -> float:
        """Return the time of the servers' clock."""
        return self._clock() + self.config.clock_skew_s

    def change_account(self, login: str | None = None, **changes: Any) -> None:
        """Change an account as an administrator does; by default the first login.

        :param changes: ``password``, ``refused`` or ``sees``.
        """
        key = (login or self.config.login).lower()
        self.accounts[key] = replace(self.accounts[key], **changes)

    def change_realm(self, **switches: Any) -> None:
        """Change fields of the configuration from now on, as an administrator does."""
        self.config = self.sessions.config = replace(self.config, **switches)
        self.tokens = Tokens(self.config)
        self.failures.rules = self.config.brute_force

    def push_not_before(self) -> None:
        """Refuse every token issued until now, as an administrator's "not before" does.

        A real Keycloak accepts those of the second of the push. Here that second is over at once,
        because a test's clock may stand still.
        """
        self.not_before = int(self.now()) + 1

    def answer(self, request: Request, realm: str, call: str) -> Response:
        """Answer a request to ``token``, ``logout`` or ``revoke``."""
        calls: dict[str, Callable[[Request, Form], Response]] = {
            "token": self._token,
            "logout": self._logout,
            "revoke": self._revoke,
        }
        try:
            if realm != self.config.realm:
                raise GrantRefused("realm_unknown")
            if request.method != "POST":
                return (
                    _logout_page()
                    if call == "logout"
                    else json_response(405, {"error": "HTTP 405 Method Not Allowed"})
                )
            return calls[call](request, request.form())
        except GrantRefused as refused:
            answer = refusal(refused.name, self.config.keycloak, **refused.words)
            bare = call != "token" or refused.name == "realm_unknown"
            return replace(answer, headers=answer.headers[:1]) if bare else answer

    def account_of(self, access_token: str) -> Account | None:
        """Return the account of an access token that the API accepts now, or None."""
        claims = self.tokens.read(access_token)
        now = self.now()
        if (
            claims is None
            or claims.get("typ") != "Bearer"
            or not claims.get("exp", 0) > now
            or claims["iat"] < self.not_before
        ):
            return None
        if self.config.api_checks_session and (
            claims["jti"] in self._revoked or not self.sessions.is_live(claims["sid"], now)
        ):
            return None
        return self.accounts.get(str(claims["preferred_username"]).lower())

    # token endpoint

    def _token(self, request: Request, form: Form) -> Response:
        grant = form.get("grant_type", [None])[0]
        before: dict[str, Any] | None = None
        try:
            self._check_realm()
            if grant is None:
                raise GrantRefused("no_grant_type")
            if grant not in {"password", "refresh_token"}:
                raise GrantRefused("unsupported_grant")
            self._check_client(form)
            fields = _once_each(form)
            if grant == "password":
                session = self._log_in(fields)
            else:
                session, before = self._redeem(request, fields)
        except GrantRefused:
            self._count(grant, ok=False)
            raise
        self._count(grant, ok=True)
        return self._granted(session, _issuer(request, self.config), before)

    def _count(self, grant: str | None, *, ok: bool) -> None:
        if grant == "password":
            self._request_log.login(ok=ok, at=self._clock())
        elif grant == "refresh_token":
            self._request_log.count("refreshes_ok" if ok else "refreshes_refused")

    def _check_realm(self) -> None:
        if not self.config.realm_enabled:
            raise GrantRefused("realm_disabled")

    def _check_client(self, form: Form) -> None:
        if form.get("client_id", [""])[0] not in {
            self.config.customer_id,
            *self.config.more_customers,
        }:
            raise GrantRefused("unknown_client")
        if self.config.confidential_client:
            raise GrantRefused("confidential_client")

    def _granted(self, session: Session, issuer: str, before: dict[str, Any] | None) -> Response:
        now = max(self.now(), float(self.not_before))
        with self.sessions.lock:
            self.sessions.used(session, now)
        content = {
            "access_token": self.tokens.access(session, issuer, now),
            "expires_in": self.tokens.access_lifetime_s(session, now),
            "refresh_expires_in": self.tokens.refresh_lifetime_s(session, now) or 0,
            "refresh_token": self.tokens.refresh(
                session, issuer, now, self.tokens.reuse_id(before)
            ),
            "token_type": "Bearer",
            "not-before-policy": self.not_before,
            "session_state": session.id,
            "scope": scope_of(session),
        }
        return json_response(200, content, **NO_STORE)

    # password grant

    def _log_in(self, fields: dict[str, str]) -> Session:
        if not self.config.direct_grants:
            raise GrantRefused("direct_grants_off")
        if self.config.consent_required:
            raise GrantRefused("consent_required")
        self._check_scope(fields)
        if "username" not in fields:
            raise GrantRefused("no_username")
        login = fields["username"].lower()
        self._enter(login)
        try:
            if self.config.login_takes_s:
                self._sleep(self.config.login_takes_s)
            with self.sessions.lock:
                account = self._authenticated(login, fields)
        finally:
            self._logging_in.discard(login)
        offline = self.config.offline or "offline_access" in fields.get("scope", "").split()
        if offline and not self.config.offline_allowed:
            raise GrantRefused("offline_not_allowed")
        return self.sessions.start(account.login, fields["client_id"], self.now(), offline=offline)

    @staticmethod
    def _check_scope(fields: dict[str, str]) -> None:
        if not set(fields.get("scope", "").split()) <= _SCOPES:
            raise GrantRefused("bad_scope", scope=fields["scope"])

    def _enter(self, login: str) -> None:
        guarded = (
            self.config.login_guard
            if self.config.login_guard is not None
            else self.config.brute_force is not None
        )
        with self.sessions.lock:
            if guarded and login in self._logging_in:
                raise GrantRefused("wrong_password")
            self._logging_in.add(login)

    def _authenticated(self, login: str, fields: dict[str, str]) -> Account:
        now = self.now()
        account = self.accounts.get(login)
        if account is None or account.refused == "service_account":
            raise GrantRefused("wrong_password")
        if self.failures.is_locked(login, now):
            says_so = self.failures.is_locked_for_ever(login) and self.config.keycloak < (22,)
            raise GrantRefused("account_disabled" if says_so else "wrong_password")
        right = fields.get("password") == account.password
        if account.refused == "disabled":
            raise GrantRefused(
                "account_disabled" if right or self.config.keycloak < (26, 6) else "wrong_password"
            )
        if not right or account.refused == "otp":
            self.failures.failed(login, now)
            raise GrantRefused("wrong_password")
        if account.refused == "not_set_up":
            raise GrantRefused("not_set_up")
        self.failures.succeeded(login)
        return account

    # refresh grant

    def _redeem(self, request: Request, fields: dict[str, str]) -> tuple[Session, dict[str, Any]]:
        if "refresh_token" not in fields:
            raise GrantRefused("no_refresh_token_sent")
        if self.config.keycloak >= (26,):
            self._check_scope(fields)
        claims = self._refresh_claims(request, fields["refresh_token"])
        if claims["iat"] < self.not_before:
            raise GrantRefused("stale_token")
        if "exp" in claims and int(self.now()) > claims["exp"]:
            raise GrantRefused("refresh_expired")
        if claims["azp"] != fields["client_id"]:
            raise GrantRefused("refresh_of_other_client")
        with self.sessions.lock:
            session = self._session_of(claims)
            self._check_grants(session)
            if self.config.rotation:
                self._rotate(session, claims)
        if self.config.refresh_takes_s:
            self._sleep(self.config.refresh_takes_s)
        if self.config.rotation and self.config.rotation_race:
            with self.sessions.lock:
                self.sessions.count_late(session, claims)
        return session, claims

    def _refresh_claims(self, request: Request, token: str) -> dict[str, Any]:
        claims = self.tokens.read(token)
        if claims is None or claims.get("typ") not in {"Refresh", "Offline"}:
            raise GrantRefused("refresh_garbage")
        issuer = _issuer(request, self.config)
        if claims["iss"] != issuer and self.config.keycloak >= (23,):
            raise GrantRefused("issuer_changed", expected=issuer)
        return claims

    def _session_of(self, claims: dict[str, Any]) -> Session:
        session = self.sessions.find(claims["sid"])
        gone = "session_gone" if claims["typ"] == "Offline" else "online_session_ended"
        account = self.accounts.get(session.login.lower()) if session else None
        if session is None or account is None:
            raise GrantRefused(gone)
        self.sessions.age(session, self.now())
        if session.state == "expired" and not session.has_reported_expiry:
            session.has_reported_expiry = True
            raise GrantRefused("session_expired" if session.offline else gone)
        if session.state in {"expired", "ended"}:
            raise GrantRefused(gone)
        if account.refused == "disabled" or self.failures.is_locked_for_ever(session.login.lower()):
            raise GrantRefused("user_disabled")
        if session.state == "detached":
            raise GrantRefused("session_detached")
        if claims["iat"] < int(session.started_at):
            raise GrantRefused("before_session")
        return session

    def _check_grants(self, session: Session) -> None:
        """Refuse if an administrator has withdrawn a permission since the login."""
        if session.offline and not self.config.offline_allowed:
            raise GrantRefused("offline_withdrawn")
        if self.config.consent_required:
            raise GrantRefused("consent_withdrawn")

    def _rotate(self, session: Session, claims: dict[str, Any]) -> None:
        if reason := self.sessions.refuse_reuse(
            session, claims, self.now(), count=not self.config.rotation_race
        ):
            raise GrantRefused(reason)

    # ends of sessions

    def _logout(self, request: Request, form: Form) -> Response:
        """End the session, even if the token is expired or used up or the realm is disabled."""
        if "refresh_token" not in form and self.config.keycloak >= (18,):
            return _logout_page()
        self._check_client(form)
        if "refresh_token" not in form:
            raise GrantRefused("no_refresh_token_sent")
        claims = self._refresh_claims(request, form["refresh_token"][0])
        if claims["azp"] != form["client_id"][0]:
            raise GrantRefused("refresh_of_other_client")
        with self.sessions.lock:
            session = self.sessions.find(claims["sid"])
            if session and session.state == "live":
                session.state = "ended"
        self._request_log.count("logouts")
        return Response(204, b"", (("Cache-Control", "no-cache"),))

    def _revoke(self, _request: Request, form: Form) -> Response:
        """End the session of a refresh token; before 26.1 all sessions of the user and client."""
        self._check_realm()
        self._check_client(form)
        fields = _once_each(form)
        if "token" not in fields:
            raise GrantRefused("no_token_sent")
        claims = self.tokens.read(fields["token"])
        if claims is None or ("exp" in claims and int(self.now()) > claims["exp"]):
            raise GrantRefused("revoke_unknown_token")
        if claims["azp"] != fields["client_id"]:
            raise GrantRefused("unmatching_clients")
        session = self.sessions.find(claims["sid"])
        if session is None or not self.sessions.is_live(session.id, self.now()):
            raise GrantRefused("revoke_unknown_token")
        if claims["typ"] == "Bearer":
            self._revoked.add(claims["jti"])
        elif self.config.keycloak < (26, 1):
            self.sessions.end_all(login=session.login, client_id=session.client_id)
        else:
            session.state = "ended"
        self._request_log.count("revocations")
        return Response(200)


def _once_each(form: Form) -> dict[str, str]:
    if any(len(values) > 1 for values in form.values()):
        raise GrantRefused("duplicated_parameter")
    return {name: values[0] for name, values in form.items()}


def _logout_page() -> Response:
    """Return the page for a browser without a refresh token: status 200, and no session ends."""
    return text_response(200, _LOGOUT_PAGE, "text/html", Cache_Control="no-cache")


def _issuer(request: Request, config: SimulatorConfig) -> str:
    return f"{request.base_url}/realms/{config.realm}"
