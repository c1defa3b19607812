"""The simulator with the interface of ``server``; the administrator changes its fields."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import httpx

from keycloak.jvm import VERSION
from keycloak.server import CUSTOMER, OTHER_CUSTOMER, REALM, ROBOT, Server
from simulator.app import Account, BruteForce, Simulator, SimulatorConfig
from simulator.identity import Identity
from simulator.server import SimulatorServer, serve


class SimulatedServer(Server):
    """One simulator on a socket, new after each ``clear``. Tests can move its clock."""

    name = "simulator"

    def __init__(self, server: SimulatorServer, http: httpx.Client) -> None:
        self.base_url, self.realm, self.http = server.url, REALM, http
        self._server = server
        self._passed_s = 0.0

    @property
    def _identity(self) -> Identity:
        return self._server.sandbox.identity

    def clear(self) -> None:
        self.realm = REALM
        self._passed_s = 0.0
        robot = Account(f"service-account-{ROBOT}", "", refused="service_account")
        config = SimulatorConfig(
            kc_version=VERSION,
            customer_id=CUSTOMER,
            more_customers=(OTHER_CUSTOMER,),
            more_accounts=(robot,),
        )
        self._server.sandbox = Simulator(config, clock=self.now)

    def set_rotation(self, *, max_reuse: int = 0) -> None:
        self._identity.change_realm(rotation=True, max_reuse=max_reuse)

    def set_brute_force(
        self,
        *,
        failure_factor: int = 30,
        wait_s: int = 60,
        quick_ms: int = 0,
        permanent: bool = False,
    ) -> None:
        rules = BruteForce(
            failure_factor, wait_increment_s=wait_s, quick_ms=quick_ms, permanent=permanent
        )
        self._identity.change_realm(brute_force=rules)

    def set_lifespans(
        self, *, access_s: int | None = None, max_s: int | None = None, idle_s: int | None = None
    ) -> None:
        changes = {"access_lifetime_s": access_s, "session_max_s": max_s, "idle_s": idle_s}
        self._identity.change_realm(
            **{name: value for name, value in changes.items() if value is not None}
        )

    def set_offline(self, on: bool) -> None:
        online: dict[str, Any] = {} if on else {"idle_s": 1800, "session_max_s": 36000}
        self._identity.change_realm(offline=on, **online)

    def set_client(self, **changes: bool) -> None:
        if not changes.pop("enabled", True):
            self._identity.change_realm(customer_id="a-customer-unknown-to-all")
        names = {"confidential": "confidential_client"}
        self._identity.change_realm(
            **{names.get(name, name): value for name, value in changes.items()}
        )

    def set_realm_enabled(self, on: bool) -> None:
        self._identity.change_realm(realm_enabled=on)

    def set_offline_allowed(self, on: bool) -> None:
        self._identity.change_realm(offline_allowed=on)

    def disable_user(self) -> None:
        self._identity.change_account(refused="disabled")

    def delete_user(self) -> None:
        del self._identity.accounts[self.user]

    def require_action(self) -> None:
        self._identity.change_account(refused="not_set_up")

    def set_up_otp(self) -> None:
        self._identity.change_account(refused="otp")

    def change_password(self, password: str) -> None:
        self._identity.change_account(password=password)

    def push_not_before(self) -> None:
        self._identity.push_not_before()

    def end_sessions(self) -> None:
        self._identity.sessions.end_all()

    def sessions(self) -> int:
        return self._identity.sessions.live(self._identity.now()).get(self.user, 0)

    def slow_logins(self) -> None:
        self._identity.change_realm(login_takes_s=0.5)

    def now(self) -> float:
        return time.time() + self._passed_s

    def pass_time(self, seconds: float) -> None:
        self._passed_s += seconds


@contextlib.contextmanager
def served() -> Iterator[SimulatedServer]:
    """Serve the simulator, and yield it with its own HTTP client."""
    with (
        serve(Simulator()) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as http,
    ):
        yield SimulatedServer(server, http)
