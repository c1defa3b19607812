"""Lines that mypy must accept, and lines that it must reject.

This file is checked, never run. A line that must fail carries ``type: ignore`` with its error code;
if mypy accepted it, the unused ignore would be the error.
"""

from __future__ import annotations

import datetime as dt
from typing import assert_type

import httpx
from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.operators.session import We360LoginOperator, We360LogoutOperator
from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

load = We360ToSqlOperator(
    task_id="load",
    sql_conn_id="warehouse",
    table="hr.we360_days",
    report="dynamic_report",
    mode="detailed",
    columns=["email", "punch_in"],
    user_ids=("a", "b"),
    window_start=dt.date(2026, 4, 1),
    window_end="2026-04-30",
    timezone=dt.UTC,
    lookback_days=7,
    on_empty="keep",
    write_mode="merge",
    column_types={"employee_id": "bigint"},
    pseudonymize={"email": "conn:people"},
    load_log_table="hr.we360_load_log",
    sql_hook_params={"schema": "hr"},
    retries=5,
    retry_delay=dt.timedelta(minutes=5),
    execution_timeout=dt.timedelta(hours=1),
    pool="we360",
    outlets=[],
)
We360ToSqlOperator(
    task_id="xcoms", sql_conn_id="w", table="t", columns=XComArg(load), lookback_days=XComArg(load)
)
We360ToObjectStorageOperator(task_id="files", path="s3://bucket/we360", file_format="jsonl")
We360ToLakehouseOperator(
    task_id="lake", table="hr.we360_days", lakehouse_conn_id="catalog", write_mode="merge"
)
We360ToLakehouseOperator(task_id="x", table="hr.d", write_mode="upsert")  # type: ignore[arg-type]
We360ReportSensor(
    task_id="wait", deferrable=True, soft_fail=True, exponential_backoff=True, max_wait=3600.0
)
We360LoginOperator(task_id="login", we360_conn_id="we360_default", retries=2)
We360LogoutOperator(task_id="logout")

We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", lookback_dyas=7)  # type: ignore[call-arg]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", lookback_days="seven")  # type: ignore[arg-type]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", write_mode="upsert")  # type: ignore[arg-type]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", on_empty="ignore")  # type: ignore[arg-type]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", mode="monthly")  # type: ignore[arg-type]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", report="dynamic")  # type: ignore[arg-type]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", column_types={"a": "int"})  # type: ignore[dict-item]
We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", retrys=5)  # type: ignore[call-arg]
We360ToSqlOperator(task_id="x", sql_conn_id="w")  # type: ignore[call-arg]
We360ToSqlOperator(sql_conn_id="w", table="t")  # type: ignore[call-arg]
We360ToObjectStorageOperator(task_id="x", path="/data", file_format="xlsx")  # type: ignore[arg-type]
We360ToObjectStorageOperator(task_id="x", path="/data", tabel="t")  # type: ignore[call-arg]
We360ReportSensor(task_id="x", mode="deferred")  # type: ignore[arg-type]
We360ReportSensor(task_id="x", pok_interval=60)  # type: ignore[call-arg]
We360LoginOperator(task_id="x", conn_id="we360_default")  # type: ignore[call-arg]

hook = We360Hook()
assert_type(hook.get_conn(), httpx.Client)
assert_type(hook.logout(), bool)
assert_type(hook.test_connection(), tuple[bool, str])
for batch in hook.iter_batches(window=(dt.date(2026, 4, 1), dt.date(2026, 4, 30))):
    batch.to_arrow()
    batch.rows[0].get("email")
