"""One file, five kinds of run: interval, plain cron, manual, backfill, asset. Each loads into a table of its own."""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

FIRST = pendulum.parse(os.environ["FIVE_KINDS_FIRST_DAY"], tz="Asia/Kolkata")
DAYS = Asset(uri="duckdb://warehouse/we360_interval")


def load(table: str, **arguments: object) -> None:
    """The one task of each Dag."""
    We360ToSqlOperator(task_id="load", sql_conn_id="duckdb_default", table=table, **arguments)


with DAG(
    "interval",
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="Asia/Kolkata"),
    start_date=FIRST.add(hours=2),
    end_date=FIRST.add(days=1, hours=2),
    catchup=True,
):
    load("we360_interval", outlets=[DAYS])

with DAG(
    "plain_cron",
    schedule="0 12 * * *",
    start_date=FIRST.add(hours=12),
    end_date=FIRST.add(days=1, hours=12),
    catchup=True,
):
    load("we360_plain_cron")

with DAG("manual", schedule=None, start_date=FIRST):
    load("we360_manual")

with DAG(
    "backfilled", schedule="0 12 * * *", start_date=FIRST, catchup=False, end_date=FIRST.add(days=3)
):
    load("we360_backfilled")

with DAG("asset_triggered", schedule=[DAYS], start_date=FIRST):
    load("we360_asset")
