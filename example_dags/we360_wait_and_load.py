"""Wait until yesterday's report is available and settled, then load it and the week before it.

The wait occupies no worker: the sensor is deferred to Airflow's triggerer and requests one row
every ten minutes. After six hours it gives up, and the tasks are skipped. On a day off no one
works, and the next run loads that day anyway. ``we360_load_log`` has one row for each load and
day.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host).
"""

from __future__ import annotations

import datetime as dt

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_wait_and_load",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    wait = We360ReportSensor(
        task_id="wait", deferrable=True, timeout=dt.timedelta(hours=6), soft_fail=True
    )
    load = We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        lookback_days=7,
        load_log_table="we360_load_log",
    )
    wait >> load
