"""A load that has to wait: the login server asks for a pause."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.retry_policy import We360RetryPolicy
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

FIRST, LAST = os.environ["WAITING_WINDOW"].split()

with DAG("waiting", schedule=None):
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="warehouse",
        table="days",
        window_start=FIRST,
        window_end=LAST,
        retries=2,
        retry_delay=timedelta(hours=1),  # the policy must not use it
        retry_policy=We360RetryPolicy(),
    )
