"""Load yesterday and the week before it into a DuckDB file, every day at noon.

We360 imports HR data for the previous day at 11:00 in India, so the load runs after that. The
lookback is needed because past days change: agents upload late, administrators correct. Loading a
day again replaces it.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host). Other days: ``airflow dags trigger we360_to_duckdb --conf
'{"window_start": "2026-01-01", "window_end": "2026-03-31"}'``
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_to_duckdb",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={
        "window_start": Param(
            None, type=["null", "string"], format="date", description="First day; empty: yesterday"
        ),
        "window_end": Param(
            None, type=["null", "string"], format="date", description="Last day, inclusive"
        ),
    },
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        load_log_table="we360_load_log",
        window_start="{{ params.window_start or '' }}",
        window_end="{{ params.window_end or '' }}",
        lookback_days="{{ 0 if params.window_start else 7 }}",
        # Dags scheduled on this asset run after each load; see we360_downstream.py.
        outlets=[Asset(uri="duckdb://warehouse/we360_days")],
    )
