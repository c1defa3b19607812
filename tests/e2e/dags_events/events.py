"""A Dag that the trigger of an asset watcher starts for each settled day."""

from __future__ import annotations

import os

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from airflow_provider_we360.triggers.day import We360DayTrigger

settled_days = Asset(
    uri="we360://acme-demo/dynamic_report",
    watchers=[
        AssetWatcher(
            name="settled_days",
            trigger=We360DayTrigger(
                settle_hours=float(os.environ["EVENTS_SETTLE_HOURS"]), poke_interval=2
            ),
        )
    ],
)

with DAG("watched", schedule=[settled_days]):
    We360ToSqlOperator(task_id="load", sql_conn_id="postgres_default", table="hr.watched")
