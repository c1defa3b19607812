"""A Connection that cannot be used is reported as what it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException
from cryptography.fernet import InvalidToken

from airflow_provider_we360.errors import ConnectionUnreadable, We360ConfigError
from airflow_provider_we360.hooks.connections import get_connection


def get(found, **changes):
    def find(_):
        if isinstance(found, Exception):
            raise found
        return found

    arguments = {"conn_type": "we360", "find": find} | changes
    return get_connection("crm", "we360_conn_id", "one of type we360", **arguments)


def connection(conn_type="we360"):
    return SimpleNamespace(conn_type=conn_type, password="p", extra="{}")


@pytest.mark.parametrize(("conn_type", "wanted"), [("we360", "we360"), ("", "we360"), ("x", None)])
def test_a_connection_of_the_right_type_is_returned(conn_type, wanted):
    found = connection(conn_type)
    assert get(found, conn_type=wanted) is found


def test_another_type_is_named():
    with pytest.raises(We360ConfigError, match="'crm' is of type postgres, not we360"):
        get(connection("postgres"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OTHER", "there is no Connection 'crm'; create one of type we360, or name another; hint"),
        ("AIRFLOW_CONN_CRM", "environment variable AIRFLOW_CONN_CRM is set, but Airflow cannot"),
        ("AIRFLOW_CONN__SALES___CRM", "'crm' is set in the environment, but only for team sales"),
    ],
)
def test_a_missing_connection_says_where_it_is(monkeypatch, name, words):
    monkeypatch.setenv(name, "{not: json")
    with pytest.raises(We360ConfigError, match=words) as caught:
        get(AirflowNotFoundException("x"), hint="hint")
    assert "not: json" not in str(caught.value)


def test_a_password_under_another_fernet_key_is_retried():
    class Sealed:
        conn_type, extra = "we360", "{}"

        @property
        def password(self):
            raise InvalidToken

    for found in (Sealed(), PermissionError("hunter2"), ValueError("port 'hunter2'")):
        with pytest.raises(ConnectionUnreadable, match=r"cannot be read \(\w+\); check") as caught:
            get(found)
        assert not isinstance(caught.value, AirflowFailException)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
