"""Load the previous month once more, completely, on the fifth of each month, into a DuckDB file.

By then attendance has been corrected and leave approved, so payroll and monthly reports can rely
on these rows. A task computes the month, so scheduled, manual and repeated runs agree on it.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host).
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
        """Return the first and last day of the month before the run, in India."""
        context = get_current_context()
        # A manual run has no interval in Airflow 3, and no run_after in Airflow 2.11.
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
