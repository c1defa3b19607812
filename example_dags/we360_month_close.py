"""On the fifth of each month: the month before, whole and for the last time, from We360 into a DuckDB file.

By then attendance has been corrected and leave approved: these are the figures that payroll and reports of the month stand
on. A task says which month it is, so that a scheduled, a manual and a repeated run agree on it.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, the file's path as Host).
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_month_close",
    schedule="0 14 5 * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:

    @task
    def month_before() -> dict[str, str]:
        """First and last day of the month before the run's, in India."""
        context = get_current_context()
        # A manual run of Airflow 3 has no interval, and Airflow 2.11 has no run_after.
        moment = context.get("data_interval_end") or context["dag_run"].run_after
        last_day = (
            pendulum.instance(moment).in_timezone("Asia/Kolkata").start_of("month").subtract(days=1)
        )
        return {
            "first": last_day.start_of("month").to_date_string(),
            "last": last_day.to_date_string(),
        }

    month_before() >> We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        window_start="{{ ti.xcom_pull('month_before')['first'] }}",
        window_end="{{ ti.xcom_pull('month_before')['last'] }}",
        load_log_table="we360_load_log",
    )
