"""Test Connection answers in words, whatever happens."""

from __future__ import annotations

import json

import httpx
import pytest

from airflow_provider_we360.errors import AuthUnavailable
from airflow_provider_we360.hooks import connection_test
from airflow_provider_we360.hooks.we360 import We360Hook

CONNECTION = {
    "conn_type": "we360",
    "login": "ops@acme.example",
    "password": "correct horse",
    "extra": {"customer_id": "acme"},
}


@pytest.fixture(autouse=True)
def connect(monkeypatch):
    def set_connection(**changes):
        monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(CONNECTION | changes))

    set_connection()
    return set_connection


def run_test(respond=lambda _: httpx.Response(200), conn_id="crm"):
    hook = We360Hook(conn_id, transport=httpx.MockTransport(respond), sleep=lambda _: None)
    return hook.test_connection()


@pytest.mark.parametrize(
    "error",
    [RuntimeError("correct horse broke"), KeyError("x"), UnicodeDecodeError("a", b"", 0, 1, "")],
)
@pytest.mark.parametrize("where", ["run_connection_test", "ConnectionTest", "send"])
def test_an_unexpected_exception_is_reported_without_secrets(monkeypatch, where, error):
    def fail(*_, **__):
        raise error

    if where != "send":
        monkeypatch.setattr(connection_test, where, fail)
    passed, words = run_test(fail)
    assert passed is False
    assert words.startswith(f"Unexpected {type(error).__name__}")
    assert "correct horse" not in words


def test_a_session_that_cannot_be_ended_is_reported(monkeypatch):
    def fail(_):
        raise AuthUnavailable("the login server does not answer")

    monkeypatch.setattr(connection_test.ConnectionTest, "close", fail)
    monkeypatch.setattr(connection_test, "run_connection_test", lambda _: "fine")
    assert run_test() == (False, "the login server does not answer")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conn_type": "http"}, "is of type http, not we360"),
        ({"password": "***"}, "Password holds asterisks"),
        ({"extra": {"customer_id": "acme", "proxy": "x"}}, "Proxy (extra proxy) must be"),
        (
            {"extra": {"customer_id": "acme", "ca_bundle": "/no/file"}},
            "CA bundle (extra ca_bundle)",
        ),
    ],
)
def test_a_wrong_field_is_reported(connect, changes, words):
    connect(**changes)
    passed, shown = run_test()
    assert (passed, words in shown) == (False, True), shown


def test_a_missing_connection_is_reported():
    passed, words = run_test(conn_id="nowhere")
    assert (passed, words.partition(";")[0]) == (
        False,
        "we360_conn_id: there is no Connection 'nowhere'",
    )
