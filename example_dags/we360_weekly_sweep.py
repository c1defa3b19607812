"""Load the last 35 days again every Sunday, a payroll month and a few days, into a DuckDB file.

The daily load looks back a week. Later changes, such as a corrected punch or leave approved at the
end of the month, arrive with this sweep. Loading a day again replaces it; a day without changes
stays the same.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host).
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_weekly_sweep",
    schedule="0 14 * * 0",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        # Yesterday and 34 days before it. In Airflow 2.11, a weekly cron has an interval of seven
        # days, and the 34 days come before these.
        lookback_days=34,
        load_log_table="we360_load_log",
    )
