"""Load yesterday and the week before it into Parquet files on S3, one file per day, every day at
noon.

The bucket's credentials are in a separate Airflow Connection, never in the path. An upload becomes
visible only when it is complete, so readers see either the old or the new file of a day. No other
object in the bucket is changed.

It needs two Connections: ``we360_default`` (type We360) and ``aws_default`` (type Amazon Web
Services, with the right to list the bucket and write below the path), and ``pip install
"airflow-provider-we360[amazon]"``. In DuckDB, read the files as one table: ``SELECT * FROM
's3://company-data/we360/*/*.parquet'``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator

with DAG(
    dag_id="we360_to_s3",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={
        "path": Param("s3://company-data/we360", type="string", description="Bucket and folder")
    },
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToObjectStorageOperator(
        task_id="load",
        path="{{ params.path }}",
        object_storage_conn_id="aws_default",
        file_format="parquet",
        lookback_days=7,
        retries=3,
    )
