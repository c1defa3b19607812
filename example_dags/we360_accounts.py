"""Every day at noon: several companies, each with a We360 account of its own, from We360 into one table in PostgreSQL.

Each company has a Connection and a task. Its rows carry its Customer ID in ``_we360_tenant``, which is part of the key: a load
replaces rows of its own company alone, even where two load the same day at once. A company whose account is refused fails its
own task; the others load. Each has a pool as well, as what one may ask of We360 is no other's business:
``airflow pools set we360_north 2 "We360, North"``.

To add a company: a Connection ``we360_<name>``, a pool of that name, and the name in the list. Two accounts of *one* company
see the same people or fewer, and would replace each other's rows: load one table with one of them.

It needs the Connections ``we360_north``, ``we360_south`` (type We360) and ``postgres_default`` (type Postgres), the two pools,
and the schema, once: ``CREATE SCHEMA hr``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

COMPANIES = ("north", "south")

with DAG(
    dag_id="we360_accounts",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:
    for company in COMPANIES:
        We360ToSqlOperator(
            task_id=f"load_{company}",
            we360_conn_id=f"we360_{company}",
            pool=f"we360_{company}",
            sql_conn_id="postgres_default",
            table="hr.we360_companies",
            lookback_days=7,
            retries=3,
        )
