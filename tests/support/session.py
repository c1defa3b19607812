"""A task of the real code against the sandbox, in one process, under a clock that only sleep moves."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import httpx

from airflow_provider_we360.auth.bearer import BearerAuth
from airflow_provider_we360.auth.keycloak import LARGEST_ANSWER_BYTES, longest_call_s
from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.auth.token_store import MemoryEntry, TokenStore
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.transport.client import build_http_client, send_bounded
from simulator.app import Simulator, SimulatorConfig
from support.mini_api import FakeTime

T = TypeVar("T")
URL = httpx.URL("http://127.0.0.1/")


class SharedMemory(MemoryEntry[T]):
    """An entry that all tasks of this process share."""

    is_shared = True


def shared_store() -> TokenStore:
    """Return the store of tasks that share this process."""
    return TokenStore(SharedMemory(), SharedMemory(), SharedMemory())


def settings_for(sandbox: Simulator, **changes: object) -> We360Settings:
    """Settings of the sandbox's first account."""
    fields: dict[str, object] = {
        "conn_id": "we360_default",
        "customer_id": sandbox.config.customer_id,
        "login": sandbox.config.login,
        "password": sandbox.config.password,
        "api_url": URL,
        "auth_url": URL,
        "trust_env": False,
    }
    return We360Settings(**(fields | changes))  # type: ignore[arg-type]


@dataclass
class World:
    """A sandbox, a clock, a store that tasks share."""

    config: SimulatorConfig = field(default_factory=SimulatorConfig)
    store: TokenStore = field(default_factory=shared_store)
    time: FakeTime = field(default_factory=FakeTime)

    def __post_init__(self) -> None:
        self.sandbox = Simulator(self.config, clock=self.time.clock, sleep=self.time.sleep)
        self.masked: list[str] = []

    @property
    def request_log(self):
        return self.sandbox.request_log

    @property
    def live_sessions(self) -> int:
        return sum(self.request_log.live_sessions().values())

    def task(self, *, spread: Callable[[], float] = random.random, **changes: object) -> Task:
        """A new task: empty memory, the shared store."""
        return Task(self, settings_for(self.sandbox, **changes), spread)


class Task:
    """One process with a client of its own."""

    def __init__(self, world: World, settings: We360Settings, spread: Callable[[], float]) -> None:
        self.http = build_http_client(settings, transport=httpx.WSGITransport(world.sandbox))
        self.manager = TokenManager(
            settings,
            world.store,
            partial(
                send_bounded,
                self.http,
                deadline_s=longest_call_s(settings),
                max_bytes=LARGEST_ANSWER_BYTES,
                clock=world.time.clock,
            ),
            clock=world.time.clock,
            sleep=world.time.sleep,
            spread=spread,
            on_token=lambda token: world.masked.extend(
                filter(None, (token.access_token, token.refresh_token))
            ),
        )
        self.http.auth = BearerAuth(
            self.manager, settings.api_url, settings.customer_id, world.time.sleep
        )

    def ask(self) -> httpx.Response:
        """One request for one row."""
        body = {
            "start_date": "2026-04-01T00:00:00",
            "end_date": "2026-04-01T23:59:59",
            "mode": "detailed",
            "columns": ["identity_id"],
            "page": 1,
            "limit": 1,
        }
        return self.http.post("/query/external/reports/dynamic_report", json=body)
