"""Load every day at noon, then check the rows with Airflow's SQL checks. A failed check fails the
run.

The load itself rejects days that vanish, duplicate rows, and values that do not fit. These checks
cover what only you can know: which columns must be filled, which values are too large, and when
too few people have a row.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host).
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLColumnCheckOperator, SQLTableCheckOperator

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

LAST_WEEK = "attendance_date >= current_date - 9"

with DAG(
    dag_id="we360_quality",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    load = We360ToSqlOperator(
        task_id="load", sql_conn_id="duckdb_default", table="we360_days", lookback_days=7
    )
    columns = SQLColumnCheckOperator(
        task_id="columns",
        conn_id="duckdb_default",
        table="we360_days",
        partition_clause=LAST_WEEK,
        column_mapping={
            "identity_id": {"null_check": {"equal_to": 0}},
            "employee_id": {"null_check": {"equal_to": 0}},
            "online_duration": {"min": {"geq_to": 0}, "max": {"leq_to": 24 * 3600}},
        },
    )
    table = SQLTableCheckOperator(
        task_id="table",
        conn_id="duckdb_default",
        table="we360_days",
        partition_clause=LAST_WEEK,
        checks={
            "one_row_per_person_and_day": {
                "check_statement": "count(*) = "
                "count(DISTINCT (_we360_tenant, attendance_date, identity_id))"
            },
            "somebody_worked": {"check_statement": "count(*) > 0"},
            "active_within_online": {
                "check_statement": "sum(active_duration) <= sum(online_duration)"
            },
        },
    )
    load >> [columns, table]
