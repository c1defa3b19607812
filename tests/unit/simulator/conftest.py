from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import SimulatorServer, serve

TODAY = dt.date(2026, 4, 15)
OPENID = "/realms/ind-prod/protocol/openid-connect"
REPORT = "/query/external/reports/dynamic_report"


@dataclass
class Clock:
    """A clock that goes only when told, and a sleep that moves it."""

    now: float = 1_776_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Caller:
    """A hand-written client of the API: knows nothing of the provider's own."""

    sandbox: Simulator
    http: httpx.Client

    def post(self, call: str, **form: Any) -> httpx.Response:
        return self.http.post(f"{OPENID}/{call}", data={"client_id": "acme-demo", **form})

    def login(self, **form: Any) -> httpx.Response:
        config = self.sandbox.config
        return self.post(
            "token",
            **{
                "grant_type": "password",
                "username": config.login,
                "password": config.password,
                **form,
            },
        )

    def refresh(self, refresh_token: str, **form: Any) -> httpx.Response:
        return self.post("token", grant_type="refresh_token", refresh_token=refresh_token, **form)

    def logout(self, refresh_token: str) -> httpx.Response:
        return self.post("logout", refresh_token=refresh_token)

    def tokens(self) -> dict[str, Any]:
        answer = self.login()
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def report(
        self, access_token: str | None = None, *, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        asked = {
            "start_date": "2026-04-06T00:00:00",
            "end_date": "2026-04-06T23:59:59",
            "mode": "detailed",
            "columns": ["attendance_date", "identity_id", "active_duration"],
            "page": 1,
            "limit": 0,
            **body,
        }
        token = access_token or self.tokens()["access_token"]
        sent = {"Authorization": f"Bearer {token}", "X-Tenant-Id": "acme-demo"} | (headers or {})
        return self.http.post(
            REPORT,
            json={name: value for name, value in asked.items() if value is not None},
            headers=sent,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox_with(clock: Clock) -> Callable[..., Caller]:
    """Makes a sandbox with these switches, and a client that calls it in process."""

    def make(*, sleep: Callable[[float], None] = clock.sleep, **switches: Any) -> Caller:
        sandbox = Simulator(
            SimulatorConfig(**{"today": TODAY, **switches}), clock=clock, sleep=sleep
        )
        http = httpx.Client(
            transport=httpx.WSGITransport(sandbox), base_url="https://sandbox.example.com"
        )
        return Caller(sandbox, http)

    return make


@pytest.fixture
def caller(sandbox_with: Callable[..., Caller]) -> Caller:
    return sandbox_with()


@pytest.fixture
def served() -> Iterator[tuple[Caller, SimulatorServer]]:
    """A sandbox behind a real socket."""
    sandbox = Simulator(SimulatorConfig(today=TODAY))
    with (
        serve(sandbox) as server,
        httpx.Client(base_url=server.url, timeout=5, trust_env=False) as http,
    ):
        yield Caller(sandbox, http), server
