"""One load of each kind, a task that reads by the hook alone, and one that fails."""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

ARGUMENTS: dict[str, Any] = {"window_start": "2026-06-01", "window_end": "{{ '2026-06-03' }}"}

with DAG(
    "lineage",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
) as dag:

    @task
    def read() -> int:
        import datetime as dt

        from airflow_provider_we360.hooks.we360 import We360Hook

        window = (dt.date(2026, 6, 1), dt.date(2026, 6, 3))
        return sum(len(batch) for batch in We360Hook().iter_batches(window=window))

    sql = We360ToSqlOperator(task_id="sql", sql_conn_id="duckdb_default", table="days", **ARGUMENTS)
    masked = We360ToSqlOperator(
        task_id="masked",
        sql_conn_id="sqlite_default",
        table="masked_days",
        columns=["email", "first_name", "online_duration"],
        pseudonymize={"email": "conn:we360_pseudonyms"},
        **ARGUMENTS,
    )
    files = We360ToObjectStorageOperator(
        task_id="files", path=os.environ["LINEAGE_FILES"], **ARGUMENTS
    )
    refused = We360ToSqlOperator(
        task_id="refused",
        sql_conn_id="duckdb_default",
        table="days",
        columns=["shoe_size"],
        **ARGUMENTS,
    )
    read() >> sql >> masked >> [files, refused]
