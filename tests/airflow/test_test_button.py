"""*Test Connection*: what Airflow shows a person who has just entered a Connection, and how soon."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
from typing import Any

import pytest

from airflow_provider_we360.hooks.we360 import We360Hook
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve


def change(monkeypatch, **changes: Any) -> None:
    """Change the Connection of the sandbox."""
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    extra = connection.pop("extra") | changes.pop("extra", {})
    monkeypatch.setenv(
        "AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection | {"extra": extra} | changes)
    )


@pytest.fixture
def silent() -> str:
    """Host and port that nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture
def impatient():
    def refuse(seconds: float) -> None:
        raise AssertionError(f"a person waits, and would have to wait {seconds:g} s more")

    return We360Hook(sleep=refuse)


def test_a_good_connection_is_told_with_its_customer_id(sandbox):
    thursday = dt.datetime(2026, 4, 9, 12, tzinfo=dt.UTC)
    hook = We360Hook(clock=thursday.timestamp)
    assert hook.test_connection() == (
        True,
        "Logged in to acme-demo; the Dynamic Report has rows for this account.",
    )


def test_a_role_that_sees_nobody_passes_and_is_told(sandbox, monkeypatch):
    with serve(Simulator(SimulatorConfig(sees=()))) as server:
        change(monkeypatch, host=server.url, extra={"auth_url": server.url})
        passed, words = We360Hook().test_connection()
    assert passed
    assert "the account's role in We360 sees no one" in words


@pytest.mark.parametrize("which", ["host", "auth_url"])
def test_a_silent_host_names_both_hosts_for_the_firewall(
    sandbox, monkeypatch, silent, impatient, which
):
    there = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])["host"].removeprefix("http://")
    change(
        monkeypatch,
        **(
            {"host": f"http://{silent}"}
            if which == "host"
            else {"extra": {"auth_url": f"http://{silent}"}}
        ),
    )
    passed, words = impatient.test_connection()
    assert not passed
    assert f"http://{silent}: cannot connect" in words
    both = (silent, there) if which == "host" else (there, silent)
    assert f"your firewall allows {both[0]} and {both[1]}" in words
    assert sandbox.request_log.logins == 0


def test_a_missing_field_is_named_without_airflows_copy_id(sandbox, monkeypatch):
    change(monkeypatch, extra={"customer_id": ""})
    assert We360Hook().test_connection() == (
        False,
        "Customer ID (extra customer_id) is missing; the We360 portal shows it under the profile icon, top right",
    )
