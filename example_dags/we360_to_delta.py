"""Load yesterday and the week before it into a Delta table every day at noon.

All days of a run become visible in one commit: readers see the table before or after it, never in
between. The table is a folder, on a disk that all workers can access or in a bucket, and is created
by the first run. Databricks, Spark, Fabric, Trino and DuckDB read it.

It needs the Connection ``we360_default`` (type We360) and ``pip install
"airflow-provider-we360[delta]"``. For a bucket, set ``path`` to its URL
(``s3://company-data/we360_days``) and name its Connection in ``lakehouse_conn_id``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator

with DAG(
    dag_id="we360_to_delta",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={"path": Param("/tmp/we360_days", type="string", description="Folder or URL")},
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToLakehouseOperator(task_id="load", table="{{ params.path }}", lookback_days=7, retries=3)
