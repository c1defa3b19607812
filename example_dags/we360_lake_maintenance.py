"""Tidy up Iceberg and Delta tables every Sunday: join small files, and forget old versions.

Each load replaces the files of its days. The earlier files stay readable as older versions of the
table, until this Dag removes them after ``keep_days``. Loads with ``write_mode="merge"`` can leave
several files of one day; they are joined. Loads may run at the same time: if both change the same
day, one of the two commits fails and is tried again.

Delta files that no version needs are deleted. Iceberg files are released, but not deleted: run
``remove_orphan_files`` of Spark or Trino for that.

It needs the Connection ``iceberg_default`` (type Iceberg) if there are Iceberg tables.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task

with DAG(
    dag_id="we360_lake_maintenance",
    schedule="0 15 * * 0",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    params={
        "iceberg_tables": Param(["hr.we360_days", "hr.we360_load_log"], type="array"),
        "delta_tables": Param([], type="array", description="Paths of Delta tables"),
        "keep_days": Param(7, type="integer", minimum=7),
    },
    doc_md=__doc__,
    tags=["we360"],
) as dag:

    @task(retries=3)
    def iceberg(params: Any = None) -> None:
        from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook
        from pyiceberg.expressions import AlwaysTrue, And, EqualTo

        params = params or {}  # Airflow passes the run's params by this name
        if not params["iceberg_tables"]:
            return
        catalog = IcebergHook("iceberg_default").get_conn()
        oldest = dt.datetime.now(dt.UTC) - dt.timedelta(days=params["keep_days"])
        for name in params["iceberg_tables"]:
            table = catalog.load_table(name)
            for part in table.inspect.partitions().to_pylist():
                if part["file_count"] > 1:
                    values = part.get("partition") or {}
                    terms = [EqualTo(column, value) for column, value in values.items()]
                    where = And(*terms) if len(terms) > 1 else AlwaysTrue()
                    table.overwrite(table.scan(row_filter=where).to_arrow(), where)
            table.maintenance.expire_snapshots().older_than(oldest).commit()

    @task(retries=3)
    def delta(params: Any = None) -> None:
        from deltalake import DeltaTable

        params = params or {}
        for path in params["delta_tables"]:
            table = DeltaTable(path)
            table.optimize.compact()
            table.vacuum(retention_hours=24 * params["keep_days"], dry_run=False)

    iceberg()
    delta()
