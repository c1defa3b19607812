"""The real Keycloak with the interface of ``server``; the administrator uses the REST API."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from keycloak import realm
from keycloak.jvm import Running
from keycloak.server import CUSTOMER, OTHER_CUSTOMER, REALM, ROBOT, Server


class Keycloak(Server):
    """One running Keycloak. The first call of ``clear`` creates the realm."""

    name = "keycloak"

    def __init__(self, running: Running, http: httpx.Client) -> None:
        self.base_url, self.realm, self.http = running.url, REALM, http
        self._running = running
        self._token = "none yet"
        self._ids: dict[str, str] = {}
        """Of clients and of client scopes, by name."""
        self._settings: dict[str, Any] = {}

    # the administrator

    def clear(self) -> None:
        self.realm = REALM
        if not self._ids:
            self._make_realm()
        self._set_realm()
        self.set_client()
        self.set_offline(True)
        self.delete_user()
        self._in_realm("DELETE", "attack-detection/brute-force/users")
        self._in_realm("POST", "users", realm.user(self.user, self.password))

    def _make_realm(self) -> None:
        self._admin("POST", "/admin/realms", realm.REALM_SETTINGS)
        for made in (realm.client(CUSTOMER), realm.client(OTHER_CUSTOMER), realm.robot(ROBOT)):
            self._in_realm("POST", "clients", made)
        self._ids = {client["clientId"]: client["id"] for client in self._ask("clients")}
        self._ids |= {scope["name"]: scope["id"] for scope in self._ask("client-scopes")}

    def set_rotation(self, *, max_reuse: int = 0) -> None:
        self._set_realm(revokeRefreshToken=True, refreshTokenMaxReuse=max_reuse)

    def set_brute_force(
        self,
        *,
        failure_factor: int = 30,
        wait_s: int = 60,
        quick_ms: int = 0,
        permanent: bool = False,
    ) -> None:
        self._set_realm(
            bruteForceProtected=True,
            failureFactor=failure_factor,
            waitIncrementSeconds=wait_s,
            quickLoginCheckMilliSeconds=quick_ms,
            permanentLockout=permanent,
        )

    def set_lifespans(
        self, *, access_s: int | None = None, max_s: int | None = None, idle_s: int | None = None
    ) -> None:
        changes = {
            "accessTokenLifespan": access_s,
            "offlineSessionIdleTimeout": idle_s,
            "offlineSessionMaxLifespan": max_s,
        }
        limited = {"offlineSessionMaxLifespanEnabled": True} if max_s is not None else {}
        self._set_realm(
            **{name: value for name, value in changes.items() if value is not None}, **limited
        )

    def set_offline(self, on: bool) -> None:
        kinds = ("optional-client-scopes", "default-client-scopes")
        at = f"clients/{self._ids[CUSTOMER]}/{{}}/{self._ids['offline_access']}"
        self._in_realm("DELETE", at.format(kinds[not on]))
        self._in_realm("PUT", at.format(kinds[on]))

    def set_client(self, **changes: bool) -> None:
        names = {
            "direct_grants": "directAccessGrantsEnabled",
            "consent_required": "consentRequired",
            "enabled": "enabled",
        }
        settings = realm.client(CUSTOMER)
        settings |= {names[name]: value for name, value in changes.items() if name in names}
        settings["publicClient"] = not changes.get("confidential", False)
        self._in_realm("PUT", f"clients/{self._ids[CUSTOMER]}", settings)

    def set_realm_enabled(self, on: bool) -> None:
        self._set_realm(enabled=on)

    def set_offline_allowed(self, on: bool) -> None:
        roles = f"users/{self._user()}/role-mappings/realm"
        if not on:
            self._in_realm("DELETE", roles, self._ask(roles))

    def disable_user(self) -> None:
        self._set_user(enabled=False)

    def delete_user(self) -> None:
        for user in self._users():
            self._in_realm("DELETE", f"users/{user['id']}")

    def require_action(self) -> None:
        self._set_user(requiredActions=["UPDATE_PASSWORD"])

    def set_up_otp(self) -> None:
        self._set_user(credentials=[realm.OTP])

    def change_password(self, password: str) -> None:
        self._in_realm("PUT", f"users/{self._user()}/reset-password", realm.password(password))

    def push_not_before(self) -> None:
        self._set_realm(notBefore=int(time.time()))

    def end_sessions(self) -> None:
        for session in self._offline():
            self._in_realm("DELETE", f"sessions/{session['id']}?isOffline=true")
        self._in_realm("POST", f"users/{self._user()}/logout")

    def sessions(self) -> int:
        online = [
            one
            for one in self._ask(f"users/{self._user()}/sessions")
            if self._ids[CUSTOMER] in one["clients"]
        ]
        return len(self._offline()) + len(online)

    def _offline(self) -> list[dict[str, Any]]:
        return list(self._ask(f"users/{self._user()}/offline-sessions/{self._ids[CUSTOMER]}"))

    def fail_login(self) -> httpx.Response:
        """Wait: Keycloak counts a failure after its answer; until then the login is in flight."""
        before, until = self._failures(), time.monotonic() + 5
        answer = super().fail_login()
        while self._failures() == before and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.05)
        return answer

    def _failures(self) -> int:
        return int(self._ask(f"attack-detection/brute-force/users/{self._user()}")["numFailures"])

    def slow_logins(self) -> None:
        self._set_realm(passwordPolicy=realm.SLOW_HASH)
        self.change_password(self.password)

    def now(self) -> float:
        return time.time()

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    # requests

    def _set_realm(self, **changes: Any) -> None:
        self._settings = (
            copy.deepcopy(realm.REALM_SETTINGS) if not changes else self._settings | changes
        )
        self._in_realm("PUT", "", self._settings)

    def _users(self) -> list[dict[str, Any]]:
        return list(self._ask(f"users?exact=true&username={quote(self.user)}"))

    def _user(self) -> str:
        return str(self._users()[0]["id"])

    def _set_user(self, **changes: Any) -> None:
        self._in_realm("PUT", f"users/{self._user()}", self._users()[0] | changes)

    def _ask(self, path: str) -> Any:
        return self._in_realm("GET", path).json()

    def _in_realm(self, method: str, path: str, content: Any = None) -> httpx.Response:
        return self._admin(method, f"/admin/realms/{REALM}/{path}".rstrip("/"), content)

    def _admin(self, method: str, path: str, content: Any = None) -> httpx.Response:
        for _ in range(2):
            answer = self.http.request(
                method,
                self.base_url + path,
                json=content,
                headers={"Authorization": f"Bearer {self._token}"},
            )
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                break
            self._token = self._log_in()
        assert answer.is_success, f"{method} {path}: HTTP {answer.status_code} {answer.text}"
        return answer

    def _log_in(self) -> str:
        form = {"grant_type": "password", "client_id": "admin-cli"}
        form |= {"username": self._running.admin, "password": self._running.password}
        return str(
            self.http.post(
                f"{self.base_url}/realms/master/protocol/openid-connect/token", data=form
            ).json()["access_token"]
        )


@contextlib.contextmanager
def connected(running: Running) -> Iterator[Keycloak]:
    """Yield the server with its own HTTP client."""
    with httpx.Client(trust_env=False, timeout=30) as http:
        yield Keycloak(running, http)
