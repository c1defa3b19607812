"""Load several companies, each with its own We360 account, into one PostgreSQL table, every day at
noon.

Each company has a Connection and a task. Its rows carry its Customer ID in ``_we360_tenant``,
which is part of the key: a load replaces only the rows of its own company, even if two companies
load the same day at the same time. If one account is rejected, only its task fails. Each company
also has its own pool, because the limit on parallel requests is per company: ``airflow pools set
we360_north 2 "We360, North"``.

To add a company, create a Connection ``we360_<name>`` and a pool with that name, and add the name
to the list. Do not load two accounts of the *same* company into one table: they see different
people and would replace each other's rows.

It needs the Connections ``we360_north``, ``we360_south`` (type We360) and ``postgres_default``
(type Postgres), the two pools, and the schema: ``CREATE SCHEMA hr``.
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
