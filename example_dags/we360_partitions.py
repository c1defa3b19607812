"""Compute the hours of each team once for each day that was loaded, and once for each week.

Each loaded day becomes a partition of the asset. ``we360_team_days`` runs once for each of these
days, and ``we360_team_weeks`` once all seven days of a week have been loaded since it ran last.
Needs Airflow 3.3.

It needs two Connections: ``we360_default`` (type We360) and ``postgres_default`` (type Postgres),
and the schema: ``CREATE SCHEMA hr``.
"""

from __future__ import annotations

import datetime as dt

import pendulum
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import (
    DAG,
    Asset,
    PartitionedAssetTimetable,
    RollupMapper,
    StartOfWeekMapper,
    WeekWindow,
)

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

days = Asset(uri="postgres://warehouse:5432/airflow/hr/we360_days")

TEAM_DAYS = """
CREATE TABLE IF NOT EXISTS hr.we360_team_days (
    attendance_date DATE, group_name TEXT, people BIGINT, active_hours DOUBLE PRECISION
);
DELETE FROM hr.we360_team_days WHERE attendance_date = DATE '{{ dag_run.partition_key }}';
INSERT INTO hr.we360_team_days
SELECT attendance_date, group_name, count(*), sum(active_duration) / 3600.0
FROM hr.we360_days
WHERE attendance_date = DATE '{{ dag_run.partition_key }}'
GROUP BY attendance_date, group_name;
"""

TEAM_WEEKS = """
CREATE TABLE IF NOT EXISTS hr.we360_team_weeks (
    monday DATE, group_name TEXT, active_hours DOUBLE PRECISION
);
DELETE FROM hr.we360_team_weeks WHERE monday = DATE '{{ dag_run.partition_key }}';
INSERT INTO hr.we360_team_weeks
SELECT DATE '{{ dag_run.partition_key }}', group_name, sum(active_duration) / 3600.0
FROM hr.we360_days
WHERE attendance_date BETWEEN DATE '{{ dag_run.partition_key }}'
    AND DATE '{{ dag_run.partition_key }}' + 6
GROUP BY group_name;
"""

with DAG(
    dag_id="we360_partitions",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={"window_start": "", "window_end": ""},
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="postgres_default",
        table="hr.we360_days",
        window_start="{{ params.window_start }}",
        window_end="{{ params.window_end }}",
        lookback_days=7,
        outlets=[days],
        partition_events=True,
    )

with DAG(
    dag_id="we360_team_days",
    schedule=PartitionedAssetTimetable(assets=days),
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    max_active_runs=1,
    tags=["we360"],
) as team_days:
    SQLExecuteQueryOperator(
        task_id="replace_the_day",
        conn_id="postgres_default",
        sql=TEAM_DAYS,
        split_statements=True,
        retries=3,
        retry_delay=dt.timedelta(minutes=1),
    )

with DAG(
    dag_id="we360_team_weeks",
    schedule=PartitionedAssetTimetable(
        assets=days,
        default_partition_mapper=RollupMapper(
            upstream_mapper=StartOfWeekMapper(input_format="%Y-%m-%d", output_format="%Y-%m-%d"),
            window=WeekWindow(),
        ),
    ),
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    max_active_runs=1,
    tags=["we360"],
) as team_weeks:
    SQLExecuteQueryOperator(
        task_id="replace_the_week",
        conn_id="postgres_default",
        sql=TEAM_WEEKS,
        split_statements=True,
        retries=3,
        retry_delay=dt.timedelta(minutes=1),
    )
