"""Every day at noon: yesterday, and the week before it again, from We360 into Parquet files on S3, a file a day.

The keys of the bucket are in an Airflow Connection of its own, never in the path. An upload shows only when it is whole, so
whoever reads the bucket meanwhile sees a day as it was or as it is now. Nothing else in the bucket is touched.

It needs two Connections: ``we360_default`` (type We360) and ``aws_default`` (type Amazon Web Services; it may list the bucket
and write below the path), and ``pip install "airflow-provider-we360[amazon]"``. In DuckDB the files are one table:
``SELECT * FROM 's3://company-data/we360/*/*.parquet'``.
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
