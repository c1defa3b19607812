"""Load yesterday and the week before it into an Iceberg table every day at noon, and log each load.

All days of a run become visible in one commit: readers see the table before or after it, never in
between. The table is partitioned by account and day, and is created by the first run. Spark,
Trino, Snowflake, BigQuery, Athena and DuckDB read it through the same catalog.

It needs two Connections: ``we360_default`` (type We360) and ``iceberg_default`` (type Iceberg, with
the catalog's URI as Host and its properties as Extra), and ``pip install
"airflow-provider-we360[iceberg]"``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator

with DAG(
    dag_id="we360_to_iceberg",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToLakehouseOperator(
        task_id="load",
        table="hr.we360_days",
        lakehouse_conn_id="iceberg_default",
        lookback_days=7,
        load_log_table="hr.we360_load_log",
        retries=3,
    )
