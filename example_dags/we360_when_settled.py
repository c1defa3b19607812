"""Load each day as soon as it has settled, without a fixed hour. Needs Airflow 3.

The triggerer watches the report and creates an event of the asset for each day that has settled
and holds rows. The event names the day, and the load takes its window from there; the lookback
loads the week before it again. A manual run loads yesterday.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host). The Customer ID in the asset's URI is the one of ``we360_default``.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from airflow_provider_we360.triggers.day import We360DayTrigger

settled_days = Asset(
    uri="we360://acme-demo/dynamic_report",
    watchers=[AssetWatcher(name="we360_settled_days", trigger=We360DayTrigger())],
)

with DAG(
    dag_id="we360_when_settled",
    schedule=[settled_days],
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        lookback_days=7,
        load_log_table="we360_load_log",
    )
