"""Compute the hours of each team after each load of ``we360_days``, for the days that were loaded.

``we360_to_duckdb`` has the table as its outlet, and its load writes the window and the number of
rows into the event. If several loads trigger one run, it processes all their days. A manual run
has no event and processes yesterday and the week before.

It needs the Connection ``duckdb_default`` (type DuckDB, with the path of the file as Host).
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowSkipException,
    Asset,
    get_current_context,
    task,
)
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

TEAM_DAYS = """
CREATE TABLE IF NOT EXISTS we360_team_days (
    attendance_date DATE, group_name VARCHAR, people BIGINT, active_hours DOUBLE
);
BEGIN;
DELETE FROM we360_team_days
WHERE attendance_date BETWEEN DATE '{{ ti.xcom_pull("loaded_days")[0] }}'
    AND DATE '{{ ti.xcom_pull("loaded_days")[1] }}';
INSERT INTO we360_team_days
SELECT attendance_date, group_name, count(*), sum(active_duration) / 3600.0
FROM we360_days
WHERE attendance_date BETWEEN DATE '{{ ti.xcom_pull("loaded_days")[0] }}'
    AND DATE '{{ ti.xcom_pull("loaded_days")[1] }}'
GROUP BY attendance_date, group_name;
COMMIT;
"""

with DAG(
    dag_id="we360_downstream",
    schedule=[Asset(uri="duckdb://warehouse/we360_days")],
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:

    @task
    def loaded_days() -> list[str]:
        """Return the first and last day of all loads that triggered this run."""
        context = get_current_context()
        by_asset = (
            context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
        )
        loads = [event.extra for events in by_asset.values() for event in events]
        if not loads:
            today = pendulum.now("Asia/Kolkata").date()
            return [str(today.subtract(days=8)), str(today.subtract(days=1))]
        if not any(load["rows"] for load in loads):
            raise AirflowSkipException("the loads wrote no rows")
        return [min(load["window"][0] for load in loads), max(load["window"][1] for load in loads)]

    loaded_days() >> SQLExecuteQueryOperator(
        task_id="team_days",
        conn_id="duckdb_default",
        sql=TEAM_DAYS,
        split_statements=True,
        autocommit=True,
    )
