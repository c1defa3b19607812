"""Load every day at noon, and send an e-mail that says what to do if the load has failed for good.

The mail has the error, its remedy, and the address of its documentation. Airflow calls the callback
after the last try, so a fault that passes by itself sends nothing. To post to Slack instead, send
the same text with ``airflow.providers.slack.hooks.slack_webhook.SlackWebhookHook``.

It needs the Connections ``we360_default``, ``duckdb_default`` and ``smtp_default`` (type SMTP).
"""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.links import documentation_of
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

TO = "data-team@your-company.example"
FROM = "airflow@your-company.example"


def mail_failure(context: dict[str, Any]) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    ti, error = context["ti"], context.get("exception")
    lines = [
        f"{ti.dag_id}.{ti.task_id}, run {ti.run_id}, has failed.",
        f"Error: {error}",
        f"What to do: {getattr(error, 'remedy', 'see the log of the task')}.",
        documentation_of(error),
    ]
    with SmtpHook() as hook:
        hook.send_email_smtp(
            to=TO,
            from_email=FROM,
            subject=f"We360: {ti.task_id} has failed",
            html_content="<br>".join(html.escape(line) for line in lines),
        )


with DAG(
    dag_id="we360_failure_mail",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
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
        on_failure_callback=mail_failure,
    )
