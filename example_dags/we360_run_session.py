"""Every day at noon: a session of We360 that lives as long as the Dag run, and not a minute longer.

A setup task logs in, the loads share its session, and a teardown task ends it on the server, whatever became of the loads. The
token lies sealed in the XCom of the task ``login`` until then. For this the Connection's Extra says ``"token_cache": "xcom"``.

Take it where a rule wants no session to outlive a run. Otherwise leave it out: all Dags then share one session, kept sealed in
an Airflow Variable, and a run costs no login.

It needs two Connections: ``we360_default`` (type We360) and ``duckdb_default`` (type DuckDB, the file's path as Host).
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
    login >> logout  # Airflow runs the teardown of a setup that ran, whatever happened between
