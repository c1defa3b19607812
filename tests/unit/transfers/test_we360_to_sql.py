"""What the SQL transfer passes to the hook of the warehouse, and to its sink when it is killed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers.openlineage import TrackedLoad
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator


@pytest.fixture
def sqlite(monkeypatch, tmp_path):
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE",
        json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "warehouse.db")}),
    )


def transfer(**arguments):
    return We360ToSqlOperator(task_id="x", sql_conn_id="warehouse", table="t", **arguments)


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("params", [{"schema": "hr"}, '{"schema": "hr"}'])
def test_hook_params_reach_the_hook(params):
    hook = transfer(sql_hook_params=params)._sql_hook("warehouse")
    assert (hook.conn_type, hook._DbApiHook__schema) == ("sqlite", "hr")


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("params", [None, {}, "None"])
def test_hook_params_are_optional(params):
    assert transfer(sql_hook_params=params)._sql_hook("warehouse").conn_type == "sqlite"


def test_hook_params_that_the_hook_refuses_are_named(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FILES", json.dumps({"conn_type": "fs"}))
    with pytest.raises(We360ConfigError, match=r"^sql_hook_params: .*'no_such_argument'"):
        transfer(sql_hook_params={"no_such_argument": 1})._sql_hook("files")


def test_kill_cancels_the_running_statement():
    operator = transfer()
    operator.on_kill()
    cancelled = []
    sink = SimpleNamespace(cancel=lambda: cancelled.append("cancelled"))
    operator._load = TrackedLoad(SimpleNamespace(), sink)
    operator.on_kill()
    assert cancelled == ["cancelled"]
