"""Load yesterday and the week before it into PostgreSQL, every day at noon.

A failed try is repeated up to five times within about three hours, for the same days. A failed try
leaves the table unchanged. A try that hangs ends after an hour. ``hr.we360_load_log`` has one row
for each load and day.

It needs two Connections: ``we360_default`` (type We360) and ``postgres_default`` (type Postgres),
and the schema: ``CREATE SCHEMA hr``. The first run creates both tables, with a comment on each
column (``\\d+ hr.we360_days``).
"""

from __future__ import annotations

import datetime as dt

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_to_postgres",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="postgres_default",
        table="hr.we360_days",
        lookback_days=7,
        load_log_table="hr.we360_load_log",
        retries=5,
        retry_delay=dt.timedelta(minutes=5),
        retry_exponential_backoff=True,
        max_retry_delay=dt.timedelta(hours=1),
        execution_timeout=dt.timedelta(hours=1),
    )
