"""What a login task keeps for a later attempt of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_we360.hooks.encrypted_variable import XCOM_KEY
from airflow_provider_we360.hooks.run_session import earlier_attempt

XCOMS: Any = SimpleNamespace(get={XCOM_KEY: "encrypted"}.get)


class StateStore(dict[str, str]):
    """A task's state store, as far as it is used."""

    def set(self, key: str, value: str) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        del self[key]


def context(store: StateStore) -> Any:
    return {"task_state_store": store}


def test_before_airflow_3_3_nothing_is_kept():
    assert earlier_attempt({}) is None


def test_a_later_attempt_reads_what_was_kept():
    store = StateStore()
    attempt = earlier_attempt(context(store))
    assert attempt.get(XCOM_KEY) is None
    attempt.keep(XCOMS)
    assert earlier_attempt(context(store)).get(XCOM_KEY) == "encrypted"
    attempt.delete(XCOM_KEY)
    assert attempt.get(XCOM_KEY) is None


@pytest.mark.parametrize("error", [RuntimeError("secret"), OSError("secret")])
def test_a_state_store_that_fails_costs_no_login(caplog, error):
    class Broken(StateStore):
        def set(self, key, value):
            raise error

    earlier_attempt(context(Broken())).keep(XCOMS)
    assert type(error).__name__ in caplog.text
    assert "secret" not in caplog.text
