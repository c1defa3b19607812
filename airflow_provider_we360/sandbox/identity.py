"""The identity side: Keycloak's token, logout and revocation endpoints, as its source answers them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_we360.sandbox.brute_force import LoginFailures
from airflow_provider_we360.sandbox.config import Account, SandboxConfig
from airflow_provider_we360.sandbox.http import Answer, Request, json_answer
from airflow_provider_we360.sandbox.ledger import Ledger
from airflow_provider_we360.sandbox.refusals import NO_STORE, refusal
from airflow_provider_we360.sandbox.sessions import Session, Sessions
from airflow_provider_we360.sandbox.tokens import SCOPE, Tokens
from airflow_provider_we360.types import Clock, Sleep

_SCOPES = frozenset({"openid", "email", "profile", "offline_access"})


class Refused(Exception):
    """Ends a grant with one of ``refusals.REFUSALS``."""

    def __init__(self, name: str, **words: str) -> None:
        super().__init__(name)
        self.name = name
        self.words = words


class Identity:
    """One realm with one tenant. Accounts, sessions and ``not_before`` may be changed while it runs."""

    def __init__(self, config: SandboxConfig, ledger: Ledger, clock: Clock = time.time, sleep: Sleep = time.sleep) -> None:
        self.config = config
        self.accounts: dict[str, Account] = config.accounts()
        self.sessions = Sessions(config)
        self.failures = LoginFailures(config.brute_force)
        self.tokens = Tokens(config)
        self.not_before = 0
        """Tokens issued at or before this moment (epoch seconds) are dead."""
        self._ledger = ledger
        self._clock = clock
        self._sleep = sleep
        self._logging_in: set[str] = set()

    def now(self) -> float:
        """The servers' clock."""
        return self._clock() + self.config.clock_skew_s

    def change_account(self, login: str | None = None, **changes: Any) -> None:
        """As an administrator would: ``password=``, ``refused=``, ``sees=``; the first login if none is named."""
        key = (login or self.config.login).lower()
        self.accounts[key] = replace(self.accounts[key], **changes)

    def push_not_before(self) -> None:
        """An administrator's "not before now": every token issued until now is dead."""
        self.not_before = int(self.now()) + 1

    def answer(self, request: Request, realm: str, call: str) -> Answer:
        """What Keycloak answers to ``token``, ``logout`` or ``revoke``."""
        calls: dict[str, Callable[[Request, dict[str, str]], Answer]] = {
            "token": self._token,
            "logout": self._logout,
            "revoke": self._revoke,
        }
        try:
            if realm != self.config.realm:
                raise Refused("realm_unknown")
            if not self.config.realm_enabled:
                raise Refused("realm_disabled")
            if request.method != "POST":
                return json_answer(405, {"error": "HTTP 405 Method Not Allowed"}, Allow="POST")
            return calls[call](request, self._fields(request))
        except Refused as refused:
            return refusal(refused.name, self.config.keycloak, **refused.words)

    def holder_of(self, access_token: str) -> Account | None:
        """The account of an access token that is good at this moment, as the API side checks it."""
        claims = self.tokens.read(access_token)
        now = self.now()
        if claims is None or claims.get("typ") != "Bearer" or not claims.get("exp", 0) > now or claims["iat"] < self.not_before:
            return None
        if self.config.api_checks_session and not self.sessions.is_live(claims["sid"], now):
            return None
        return self.accounts.get(str(claims["preferred_username"]).lower())

    # token endpoint

    @staticmethod
    def _fields(request: Request) -> dict[str, str]:
        return {name: "\0".join(values) for name, values in request.form().items()}

    def _token(self, request: Request, fields: dict[str, str]) -> Answer:
        grant = fields.get("grant_type", "")
        try:
            if not grant:
                raise Refused("no_grant_type")
            if "\0" in "".join(fields.values()):
                raise Refused("duplicated_parameter")
            if grant not in {"password", "refresh_token"}:
                raise Refused("unsupported_grant")
            self._check_client(fields)
            session = self._log_in(fields) if grant == "password" else self._redeem(request, fields)
        except Refused:
            self._count(grant, ok=False)
            raise
        self._count(grant, ok=True)
        return self._granted(session, _issuer(request, self.config))

    def _count(self, grant: str, *, ok: bool) -> None:
        if grant == "password":
            self._ledger.login(ok=ok, at=self._clock())
        elif grant == "refresh_token":
            self._ledger.count("refreshes_ok" if ok else "refreshes_refused")

    def _check_client(self, fields: dict[str, str]) -> None:
        if fields.get("client_id") != self.config.customer_id:
            raise Refused("unknown_client")
        if self.config.confidential_client:
            raise Refused("confidential_client")

    def _granted(self, session: Session, issuer: str) -> Answer:
        now = max(self.now(), float(self.not_before))
        with self.sessions.lock:
            refresh_token, jti = self.tokens.refresh(session, issuer, now)
            session.issued[jti] = len(session.issued)
            session.refreshed_at = now
        content = {
            "access_token": self.tokens.access(session, issuer, now),
            "expires_in": self.config.access_lifetime_s,
            "refresh_expires_in": self.config.refresh_lifetime_s or 0,
            "refresh_token": refresh_token,
            "token_type": "Bearer",
            "not-before-policy": self.not_before,
            "session_state": session.id,
            "scope": SCOPE if session.offline else "email profile",
        }
        return json_answer(200, content, **NO_STORE)

    # password grant

    def _log_in(self, fields: dict[str, str]) -> Session:
        if not self.config.direct_grants:
            raise Refused("direct_grants_off")
        if self.config.consent_required:
            raise Refused("consent_required")
        if strange := set(fields.get("scope", "").split()) - _SCOPES:
            raise Refused("bad_scope", scope=" ".join(sorted(strange)))
        if not fields.get("username"):
            raise Refused("no_username")
        login = fields["username"].strip().lower()
        self._enter(login)
        try:
            if self.config.login_takes_s:
                self._sleep(self.config.login_takes_s)
            with self.sessions.lock:
                account = self._authenticated(login, fields)
        finally:
            self._logging_in.discard(login)
        if not self.config.offline_allowed:
            raise Refused("offline_not_allowed")
        return self.sessions.start(account.login, self.config.customer_id, self.now(), offline=self.config.offline)

    def _enter(self, login: str) -> None:
        guarded = self.config.login_guard if self.config.login_guard is not None else self.config.brute_force is not None
        with self.sessions.lock:
            if guarded and login in self._logging_in:
                raise Refused("wrong_password")
            self._logging_in.add(login)

    def _authenticated(self, login: str, fields: dict[str, str]) -> Account:
        now = self.now()
        account = self.accounts.get(login)
        if account is None or account.refused == "service_account":
            raise Refused("wrong_password")
        if self.failures.is_locked(login, now):
            raise Refused("locked_for_ever" if self.failures.is_locked_for_ever(login) else "wrong_password")
        if account.refused == "disabled":
            raise Refused("account_disabled")
        if fields.get("password") != account.password or (account.refused == "otp" and not fields.get("totp")):
            self.failures.failed(login, now)
            raise Refused("wrong_password")
        self.failures.succeeded(login)
        if account.refused == "not_set_up":
            raise Refused("not_set_up")
        return account

    # refresh grant

    def _redeem(self, request: Request, fields: dict[str, str]) -> Session:
        if not fields.get("refresh_token"):
            raise Refused("no_refresh_token_sent")
        claims = self._refresh_claims(fields["refresh_token"])
        issuer = _issuer(request, self.config)
        if claims["iss"] != issuer:
            raise Refused("issuer_changed", expected=issuer, was=claims["iss"])
        if claims.get("exp", self.now() + 1) <= self.now():
            raise Refused("refresh_expired")
        if claims["azp"] != fields["client_id"]:
            raise Refused("refresh_of_other_client")
        if claims["iat"] < self.not_before:
            raise Refused("stale_token")
        with self.sessions.lock:
            session = self._session_of(claims)
            self._rotate(session, claims["jti"], count=not self.config.rotation_race)
        if self.config.refresh_takes_s:
            self._sleep(self.config.refresh_takes_s)
        if self.config.rotation_race:
            with self.sessions.lock:
                self._count_late(session, claims["jti"])
        return session

    def _refresh_claims(self, token: str) -> dict[str, Any]:
        claims = self.tokens.read(token)
        if claims is None or claims.get("typ") not in {"Refresh", "Offline"}:
            raise Refused("refresh_garbage")
        return claims

    def _session_of(self, claims: dict[str, Any]) -> Session:
        session = self.sessions.find(claims["sid"])
        gone = "session_gone" if claims["typ"] == "Offline" else "online_session_ended"
        if session is None:
            raise Refused(gone)
        self.sessions.age(session, self.now())
        account = self.accounts.get(session.login.lower())
        if account is None:
            raise Refused("refresh_garbage")
        if session.state == "expired" and not session.told_expired:
            session.told_expired = True
            raise Refused("session_expired" if session.offline else "online_session_ended")
        if session.state in {"expired", "ended"}:
            raise Refused(gone)
        if account.refused == "disabled":
            raise Refused("user_disabled")
        if session.state == "detached":
            raise Refused("session_detached")
        if claims["iat"] < int(session.started_at):
            raise Refused("before_session")
        return session

    def _rotate(self, session: Session, jti: str, *, count: bool) -> None:
        if not self.config.rotation:
            return
        reason = self.sessions.refuse_reuse(session, jti, count=count)
        if reason:
            raise Refused("stale_token" if reason == "Stale token" else "reuse_exceeded")

    def _count_late(self, session: Session, jti: str) -> None:
        """The late half of a refresh in the old race: counted, whoever else was first."""
        if self.config.rotation and session.in_use == jti:
            session.uses += 1

    # ends of sessions

    def _logout(self, _request: Request, fields: dict[str, str]) -> Answer:
        self._check_client(fields)
        if not fields.get("refresh_token"):
            raise Refused("no_refresh_token_sent")
        claims = self._refresh_claims(fields["refresh_token"])
        if claims["azp"] != fields["client_id"]:
            raise Refused("refresh_of_other_client")
        with self.sessions.lock:
            session = self.sessions.find(claims["sid"])
            if session and session.state == "live":
                session.state = "ended"
        self._ledger.count("logouts")
        return Answer(204, b"", tuple((name.replace("_", "-"), value) for name, value in NO_STORE.items()))

    def _revoke(self, _request: Request, fields: dict[str, str]) -> Answer:
        """Before 26.1 one revocation ended all sessions of the user with this client."""
        self._check_client(fields)
        if not fields.get("token"):
            raise Refused("no_token_sent")
        claims = self.tokens.read(fields["token"])
        session = self.sessions.find(claims["sid"]) if claims else None
        if claims is None or session is None:
            raise Refused("revoke_unknown_token")
        if claims["azp"] != fields["client_id"]:
            raise Refused("unmatching_clients")
        if self.config.keycloak < (26, 1):
            self.sessions.end_all(login=session.login, client_id=session.client_id)
        elif session.state == "live":
            session.state = "ended"
        self._ledger.count("revocations")
        return Answer(200)


def _issuer(request: Request, config: SandboxConfig) -> str:
    return f"{request.scheme}://{request.headers.get('host', 'localhost')}/realms/{config.realm}"
