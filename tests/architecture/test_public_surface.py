"""The names that Dags may use. Adding one is a decision; removing one is a breaking change."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any, get_args

import pytest

import airflow_provider_we360
from airflow_provider_we360.arguments import signatures
from airflow_provider_we360.client import reports
from airflow_provider_we360.sinks.base import OnEmpty, WriteMode
from airflow_provider_we360.sinks.formats import FileFormat
from airflow_provider_we360.transfers.base import We360Transfer

PACKAGE = "airflow_provider_we360"
TRANSFER = {
    "we360_conn_id": "we360_default",
    "report": "dynamic_report",
    "mode": "detailed",
    "columns": None,
    "group_ids": (),
    "user_ids": (),
    "shift_ids": (),
    "report_params": None,
    "window_start": None,
    "window_end": None,
    "timezone": None,
    "lookback_days": 0,
    "on_empty": "fail",
    "column_types": None,
    "pseudonymize": None,
    "max_parallel_requests": 4,
    "partition_events": False,
}
REQUIRED = inspect.Parameter.empty
CONSTRUCTORS: dict[str, dict[str, Any]] = {
    "hooks.we360.We360Hook": {"we360_conn_id": "we360_default"},
    "operators.session.We360LoginOperator": {"we360_conn_id": "we360_default"},
    "operators.session.We360LogoutOperator": {"we360_conn_id": "we360_default"},
    "sensors.report.We360ReportSensor": {
        "we360_conn_id": "we360_default",
        "report": "dynamic_report",
        "group_ids": (),
        "user_ids": (),
        "shift_ids": (),
        "report_params": None,
        "window_start": None,
        "window_end": None,
        "timezone": None,
        "settle_hours": 11.5,
        "deferrable": False,
        "poke_interval": 600.0,
        "timeout": 43200.0,
    },
    "transfers.base.We360Transfer": TRANSFER,
    "transfers.we360_to_sql.We360ToSqlOperator": {
        "sql_conn_id": REQUIRED,
        "table": REQUIRED,
        "write_mode": "replace_window",
        "create_table": True,
        "evolve_schema": True,
        "load_log_table": None,
        "complete_since": None,
        "max_catch_up_days": 31,
        "settle_hours": 11.5,
        "sql_hook_params": None,
    },
    "transfers.we360_to_object_storage.We360ToObjectStorageOperator": {
        "path": REQUIRED,
        "object_storage_conn_id": None,
        "file_format": "parquet",
    },
    "transfers.we360_to_lakehouse.We360ToLakehouseOperator": {
        "table": REQUIRED,
        "lakehouse_conn_id": None,
        "write_mode": "replace_window",
        "create_table": True,
        "evolve_schema": True,
        "load_log_table": None,
        "complete_since": None,
        "max_catch_up_days": 31,
        "settle_hours": 11.5,
    },
}
"""Arguments of each public class with their defaults."""
TEST_ARGUMENTS = {"transport", "clock", "sleep", "store"}
"""Arguments of the hook that stand in for the outside world; their docs say "for tests"."""
HOOK_METHODS = {"get_conn", "iter_batches", "login", "logout", "close", "test_connection"}
PUBLIC_MODULES = {
    "assets",
    "errors",
    "hooks.we360",
    "links",
    "operators.session",
    "retry_policy",
    "sensors.report",
    "transfers.we360_to_lakehouse",
    "transfers.we360_to_object_storage",
    "transfers.we360_to_sql",
    "triggers.day",
    "triggers.report",
}


def load(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), attribute)


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_have_these_arguments(name):
    parameters = inspect.signature(inspect.unwrap(load(name).__init__)).parameters
    found = {
        one.name: one.default
        for one in parameters.values()
        if one.name != "self"
        and one.kind is not inspect.Parameter.VAR_KEYWORD
        and one.name not in TEST_ARGUMENTS
    }
    assert found == CONSTRUCTORS[name]


def test_package_names_its_public_modules():
    named = set(re.findall(r"``([a-z0-9_.]+)``", airflow_provider_we360.__doc__ or ""))
    assert named == PUBLIC_MODULES
    for module in PUBLIC_MODULES - {"retry_policy"}:  # needs Airflow 3.3
        importlib.import_module(f"{PACKAGE}.{module}")


def test_hook_keeps_its_public_methods():
    hook = load("hooks.we360.We360Hook")
    assert {name for name in HOOK_METHODS if callable(getattr(hook, name))} == HOOK_METHODS


@pytest.mark.parametrize(
    "name", [name for name in CONSTRUCTORS if not name.startswith(("hooks", "transfers.base"))]
)
def test_every_argument_is_documented(name):
    kind = load(name)
    documented = set(re.findall(r":param (\w+):", kind.__doc__ or ""))
    inherited = set(TRANSFER) if issubclass(kind, We360Transfer) else set()
    assert documented == set(CONSTRUCTORS[name]) | inherited


def test_types_of_shared_arguments_match_the_base_class():
    own = set(signatures.TransferArguments.__annotations__)
    assert own - set(signatures.OperatorArguments.__annotations__) == set(TRANSFER)


@pytest.mark.parametrize(
    ("literal", "choices"),
    [
        (signatures.OnEmptyChoice, set(OnEmpty)),
        (signatures.WriteModeChoice, set(WriteMode)),
        (signatures.FileFormatChoice, set(FileFormat)),
        (signatures.ReportName, set(reports.names())),
        (
            signatures.ReportMode,
            {mode for name in reports.names() for mode in reports.get(name).modes},
        ),
    ],
)
def test_literal_types_list_the_choices(literal, choices):
    assert set(get_args(literal)) == choices
