"""Load several years once, month by month, into a DuckDB file. Run it by hand.

A task lists the months, and one load is mapped over them. Each month is a task with its own log
and retries. Two months run at the same time, and the pool ``we360`` limits the tasks of all Dags
together. If months fail, clear those tasks: each load replaces its own days, so nothing is lost or
duplicated, however often it runs.

``airflow pools set we360 4 "Loads from We360"``, then ``airflow dags trigger we360_history --conf
'{"first_day": "2021-04-01", "last_day": "2026-03-31"}'``

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host).
"""

from __future__ import annotations

import datetime as dt

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_history",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    max_active_runs=1,
    params={
        "first_day": Param("2025-04-01", type="string", format="date", description="First day"),
        "last_day": Param(
            "2026-03-31", type="string", format="date", description="Last day, inclusive"
        ),
    },
    doc_md=__doc__,
    tags=["we360"],
) as dag:

    @task
    def months() -> list[dict[str, str]]:
        """Return windows that cover all days, each within one month."""
        params = get_current_context()["params"]
        begin, last = (dt.date.fromisoformat(params[name]) for name in ("first_day", "last_day"))
        windows = []
        while begin <= last:
            next_month = (begin.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
            end = min(last, next_month - dt.timedelta(days=1))
            windows.append({"window_start": begin.isoformat(), "window_end": end.isoformat()})
            begin = next_month
        return windows

    We360ToSqlOperator.partial(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        load_log_table="we360_load_log",
        pool="we360",
        max_active_tis_per_dag=2,
        retries=3,
        retry_delay=dt.timedelta(minutes=5),
        map_index_template="{{ task.window_start }}",
    ).expand_kwargs(months())
