"""The same Dags in the bundle of each team: loads with the right password, and with a wrong one."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_we360.hooks.we360 import We360Hook

TEAM = Path(__file__).parent.name
DAY = dt.date(2026, 4, 1)


@task
def read(we360_conn_id: str, number: int) -> int:
    with closing(We360Hook(we360_conn_id)) as hook:
        return sum(len(batch.rows) for batch in hook.iter_batches(window=(DAY, DAY)))


for conn_id in ("we360_right", "we360_wrong"):
    with DAG(f"{conn_id}_{TEAM}", schedule=None, max_active_tasks=2):
        read.partial(we360_conn_id=conn_id).expand(number=[1, 2, 3, 4])
