"""Every day at noon: yesterday, and the week before it again, from We360 into PostgreSQL, to be left alone for years.

A try that fails is made again, five times within some three hours, each time for the same days: what a try left half done is
not there. A try that hangs is ended after an hour. What was loaded when stands in ``hr.we360_load_log``, a row a load and day.

It needs two Connections: ``we360_default`` (type We360) and ``postgres_default`` (type Postgres), and the schema, once:
``CREATE SCHEMA hr``. Both tables are made by the first run, each column explained by its comment (``\\d+ hr.we360_days``).
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
