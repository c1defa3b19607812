"""A Connection that changes while a task runs."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing

import httpx
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from cryptography.fernet import Fernet

from airflow_provider_we360 import _compat
from airflow_provider_we360.errors import AuthUnavailable
from airflow_provider_we360.hooks.encrypted_variable import variable_store
from airflow_provider_we360.hooks.encryption import TokenCipher
from airflow_provider_we360.hooks.we360 import We360Hook
from simulator.app import Simulator, SimulatorConfig
from support.mini_api import FakeTime
from support.variables import FakeVariables


class Deployment:
    """A simulator, Variables, and a Connection in the environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = SimulatorConfig(employees=12)
        self.time = FakeTime()
        self.server = Simulator(self.config, clock=self.time.clock, sleep=self.time.sleep)
        self.variables = FakeVariables()
        self._key = Fernet(Fernet.generate_key())
        self._monkeypatch = monkeypatch

    def set_connection(self, **changes: str) -> None:
        account = {
            "conn_type": "we360",
            "host": "https://api.x.test",
            "login": self.config.login,
            "password": self.config.password,
            "extra": {"customer_id": self.config.customer_id, "auth_url": "https://auth.x.test"},
        }
        self._monkeypatch.setenv("AIRFLOW_CONN_CHANGING", json.dumps(account | changes))

    def hook(self) -> We360Hook:
        return We360Hook(
            "changing",
            transport=httpx.WSGITransport(self.server),
            clock=self.time.clock,
            sleep=self.time.sleep,
            store=lambda settings: variable_store(
                settings, self.variables, TokenCipher(settings, self._key), clock=self.time.clock
            ),
        )

    def read(self, hook: We360Hook, day: int) -> int:
        window = (dt.date(2026, 4, day),) * 2
        return sum(len(batch) for batch in hook.iter_batches(window=window))


@pytest.fixture
def deployment(monkeypatch):
    deployment = Deployment(monkeypatch)
    deployment.set_connection()
    return deployment


@pytest.mark.parametrize("other_task_first", [True, False])
def test_a_running_task_uses_a_password_that_was_changed(deployment, other_task_first):
    with closing(deployment.hook()) as running:
        assert deployment.read(running, 1) > 0
        deployment.server.identity.change_account(password="the-new-one")
        deployment.server.identity.sessions.end_all("ended")
        deployment.set_connection(password="the-new-one")
        if other_task_first:
            with closing(deployment.hook()) as other:
                assert deployment.read(other, 1) > 0
        assert deployment.read(running, 2) > 0
    assert deployment.server.request_log.counts["logins_refused"] == 0


def test_a_connection_of_another_account_is_left_to_a_retry(deployment):
    with closing(deployment.hook()) as running:
        deployment.read(running, 1)
        deployment.server.identity.sessions.end_all("ended")
        deployment.set_connection(login="someone.else@acme-demo.example.com")
        with pytest.raises(AuthUnavailable, match="changed to another account") as caught:
            deployment.read(running, 2)
    assert not isinstance(caught.value, AirflowFailException)
    assert deployment.server.request_log.counts["logins_refused"] == 0


def test_no_task_has_no_team():
    assert _compat.current_team() is None
