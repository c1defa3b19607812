"""Load yesterday and the week before it into Parquet files, one file per day, every day at noon.

The file of a day is in ``<path>/attendance_date=2026-04-01/``. Loading a day again overwrites it.
Set ``path`` to a bucket (``s3://my_connection@bucket/we360``, with ``pip install
"airflow-provider-we360[amazon]"``) or to a folder that all workers can access.

It needs the Connection ``we360_default`` (type We360) and, for a bucket, the bucket's Connection.
In DuckDB, read the files as one table: ``SELECT * FROM '/tmp/we360/*/*.parquet'``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator

with DAG(
    dag_id="we360_to_parquet",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={"path": Param("/tmp/we360", type="string", description="Folder or bucket")},
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    We360ToObjectStorageOperator(
        task_id="load",
        path="{{ params.path }}",
        file_format="parquet",
        lookback_days=7,
    )
