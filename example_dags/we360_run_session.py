"""Load every day at noon with a We360 session that lasts exactly as long as the Dag run.

A setup task logs in, the loads share its session, and a teardown task ends it on the server, even
if a load failed. Until then, the token is encrypted in the XCom of the task ``login``. The
Connection's Extra must contain ``"token_cache": "xcom"``.

Use this if a rule forbids sessions that outlive a run. Otherwise all Dags share one session
through an encrypted Airflow Variable, and a run needs no login.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, with
the path of the file as Host).
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_we360.operators.session import We360LoginOperator, We360LogoutOperator
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

with DAG(
    dag_id="we360_run_session",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={"archive": Param("/tmp/we360-archive", type="string", description="Folder or bucket")},
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    login = We360LoginOperator(task_id="login", retries=2)
    table = We360ToSqlOperator(
        task_id="table", sql_conn_id="duckdb_default", table="we360_days", lookback_days=7
    )
    archive = We360ToObjectStorageOperator(
        task_id="archive", path="{{ params.archive }}", lookback_days=7
    )
    logout = We360LogoutOperator(task_id="logout", retries=2)

    login >> [table, archive] >> logout
    login >> logout  # the teardown runs whenever its setup ran
