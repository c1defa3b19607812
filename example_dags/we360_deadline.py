"""Load every day at noon, and send an e-mail if yesterday is not in the warehouse by 13:00.

A failure callback says nothing about a load that hangs, waits for a slot, or is tried again and
again. The deadline counts from the run's logical date, noon, whatever the task is doing.

It needs Airflow 3.1 or later and the Connections ``we360_default``, ``duckdb_default`` and
``smtp_default`` (type SMTP). The triggerer sends the mail.
"""

from __future__ import annotations

import datetime as dt

import pendulum
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import (  # type: ignore[attr-defined]
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
)

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

late = AsyncCallback(
    SmtpNotifier,
    kwargs={
        "to": "data-team@your-company.example",
        "from_email": "airflow@your-company.example",
        "subject": "We360: yesterday is not in the warehouse",
        "html_content": "Dag we360_deadline has not finished by 13:00. Open its run in Airflow: the"
        " log of the task load says what it waits for. If no run started, check the scheduler.",
    },
)

with DAG(
    dag_id="we360_deadline",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=dt.timedelta(hours=1),
        callback=late,
    ),
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="we360_days",
        lookback_days=7,
        retries=5,
        retry_delay=dt.timedelta(minutes=5),
        retry_exponential_backoff=True,
        execution_timeout=dt.timedelta(hours=1),
    )
