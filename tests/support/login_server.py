"""A login server in this process that answers whatever a test says, and counts the grants."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx
from cryptography.fernet import Fernet

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.encrypted_variable import variable_store
from airflow_provider_we360.hooks.encryption import TokenCipher
from support.mini_api import FakeTime
from support.variables import FakeVariables

PASSWORD = "right-Passw0rd"
KEY = Fernet(Fernet.generate_key())
Answer = httpx.Response | Exception


def answer(status: int, body: object = None, **headers: str) -> httpx.Response:
    """Return an answer; a body that is neither text nor bytes is sent as JSON."""
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return httpx.Response(status, content=content, headers=headers)


@dataclass
class LoginServer:
    """Knows one password, unless ``answers`` replaces what it says.

    :param answers: called for each password grant; None: Keycloak's own answer.
    :param takes_s: how long a login takes.
    """

    time: FakeTime = field(default_factory=FakeTime)
    variables: FakeVariables = field(default_factory=FakeVariables)
    answers: Callable[[], Answer | None] = lambda: None
    takes_s: float = 0.1
    rotates: bool = False
    lifetime_s: float = 36_000
    grants: list[float] = field(default_factory=list)
    sessions: dict[str, set[str]] = field(default_factory=dict)
    refreshes: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count()

    def send(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.read().decode()))
        if request.url.path.endswith("/logout"):
            self.sessions = {
                name: tokens
                for name, tokens in self.sessions.items()
                if form["refresh_token"] not in tokens
            }
            return httpx.Response(204)
        if form["grant_type"] == "refresh_token":
            self.refreshes += 1
            return self._refresh(form["refresh_token"])
        self.grants.append(self.time.now)
        self.time.now += self.takes_s
        given = self.answers()
        if isinstance(given, Exception):
            raise given
        if given is not None:
            return given
        if form["password"] != PASSWORD:
            error = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
            return answer(401, error)
        name = f"session-{next(self._numbers)}"
        self.sessions[name] = set()
        return self._tokens(name)

    def _refresh(self, token: str) -> httpx.Response:
        for name, tokens in self.sessions.items():
            if token in tokens:
                return self._tokens(name)
        error = {"error": "invalid_grant", "error_description": "Offline user session not found"}
        return answer(400, error)

    def _tokens(self, session: str) -> httpx.Response:
        number = next(self._numbers)
        self.sessions[session].add(f"refresh-{number}")
        return answer(
            200,
            {
                "access_token": f"access-{number}",
                "refresh_token": f"refresh-{number}",
                "expires_in": self.lifetime_s,
                "token_type": "Bearer",
                "session_state": session,
            },
        )

    def settings(self, **changes: object) -> We360Settings:
        fields: dict[str, object] = {
            "conn_id": "we360_default",
            "customer_id": "acme",
            "login": "etl@acme.example",
            "password": PASSWORD,
            "api_url": httpx.URL("https://api.example/"),
            "auth_url": httpx.URL("https://auth.example/"),
        }
        return We360Settings(**(fields | changes))  # type: ignore[arg-type]

    def store(self, settings: We360Settings, key: Fernet = KEY) -> TokenStore:
        cipher = TokenCipher(settings, key)
        return variable_store(settings, self.variables, cipher, clock=self.time.clock)

    def manager(
        self, *, store: TokenStore | None = None, key: Fernet = KEY, **changes: object
    ) -> TokenManager:
        """Return the manager of a new task."""
        settings = self.settings(**changes)
        return TokenManager(
            settings,
            store or self.store(settings, key),
            self.send,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    def run_task(self, **how: object) -> TokenSet | Exception:
        """Return the token that a task got, or its error."""
        manager = self.manager(**how)  # type: ignore[arg-type]
        try:
            return manager.token()
        except Exception as error:
            return error
        finally:
            manager.close()
