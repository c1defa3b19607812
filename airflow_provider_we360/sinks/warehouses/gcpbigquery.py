"""Google BigQuery: Parquet by a load job into a staging table, then one transaction in a session.

BigQuery enforces no key and has no lock, but of two transactions that change one table it aborts
one. So every load updates the one row of a small table next to the target, and the aborted load is
retried.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import TENANT, LoadPlan, WriteMode
from airflow_provider_we360.sinks.batching import split_by_bytes
from airflow_provider_we360.sinks.bigquery_errors import ERRORS
from airflow_provider_we360.sinks.bigquery_session import BigQuerySession, find_dataset
from airflow_provider_we360.sinks.dialect import Dialect, quote_with
from airflow_provider_we360.sinks.session import (
    DbSession,
    DriverFailure,
    LoadStep,
    at,
    driver_calls,
)
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

STAGING_HOURS = 6
"""After that BigQuery drops the staging table of a load that was killed."""
GROUP_BYTES = 64 * 2**20
"""Bytes of Arrow in one row group: bounded memory."""

_INTEGERS = frozenset({"integer", "int64", "numeric", "bignumeric"})


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\r", "\\r").replace("\n", "\\n") + "'"


DIALECT = Dialect(
    types={
        Kind.TEXT: "STRING",
        Kind.DURATION: "INT64",
        Kind.BIGINT: "INT64",
        Kind.DOUBLE: "FLOAT64",
        Kind.TIMESTAMP: "DATETIME",
        Kind.DATE: "DATE",
        Kind.INSTANT: "TIMESTAMP",
    },
    # The catalogue still uses the type names of legacy SQL.
    holding_types={
        Kind.TEXT: frozenset({"string"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"float", "float64"}),
        Kind.TIMESTAMP: frozenset({"datetime"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp"}),
    },
    quote=quote_with("`"),
    literal=_literal,
    ddl_commits=True,
    instant="TIMESTAMP({}, 'UTC')",
    utc_now="CURRENT_TIMESTAMP()",
    key_join="exists",
)


def check(target: Target) -> None:
    """Refuse a missing client, and a table without a dataset."""
    try:
        import google.cloud.bigquery  # noqa: F401 - whether it is installed
    except ImportError:
        raise We360ConfigError(
            'sql_conn_id: BigQuery needs its client: pip install "airflow-provider-we360[google]"'
        ) from None
    find_dataset(target, target.table, "")


@contextmanager
def connect(target: Target) -> Iterator[BigQuerySession]:
    """Open a session where the dataset is."""
    from google.cloud import bigquery

    hook = target.hook
    with driver_calls(ERRORS.classes):
        client = hook.get_client(project_id=hook.project_id, location=hook.location or None)
    try:
        dataset = bigquery.DatasetReference(*find_dataset(target, target.table, client.project))
        # Jobs run where the data is. This also finds a missing dataset before a missing table.
        with driver_calls(ERRORS.classes):
            location = client.get_dataset(dataset).location
        session = BigQuerySession(
            target, client, dataset, location=location, dialect=DIALECT, errors=ERRORS.classes
        )
        try:
            with at(LoadStep.PREPARE):
                session.open()
            yield session
        finally:
            session.close()
    finally:
        with suppress(Exception):
            client.close()


def _reference(ref: TableRef) -> Any:
    from google.cloud import bigquery

    project, dataset, table = ref.parts
    return bigquery.DatasetReference(project, dataset).table(table)


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table through the API."""
    from google.api_core.exceptions import NotFound

    with driver_calls(session.errors, "get_table"):
        try:
            found = session.connection.get_table(_reference(ref))
        except NotFound:
            return None
    columns = {
        field.name.lower(): ColumnSchema(
            field.name,
            field.field_type,
            field.mode == "REQUIRED",
            field.default_value_expression is not None,
        )
        for field in found.schema
    }
    return TableSchema(ref, columns)


def create_table(session: DbSession, ref: TableRef, plan: LoadPlan) -> None:
    """Create the table, partitioned by day, so that a replaced window reads its own days only."""
    from google.cloud import bigquery
    from google.cloud.bigquery.table import PrimaryKey, TableConstraints

    table = bigquery.Table(_reference(ref), _fields(plan.all_columns, plan.table_key))
    table.description = plan.about
    if plan.day_column:
        table.time_partitioning = bigquery.TimePartitioning(field=plan.day_column)
    # Every statement filters by tenant; user_ids and merges filter by person.
    table.clustering_fields = [TENANT.name, plan.person_column]
    if plan.write_mode is not WriteMode.APPEND:
        table.table_constraints = TableConstraints(PrimaryKey(list(plan.table_key)), None)
    with driver_calls(session.errors, "create_table"):
        session.connection.create_table(table)


def add_columns(
    session: DbSession,
    ref: TableRef,
    plan: LoadPlan,  # noqa: ARG001 - the signature of all warehouses
    columns: Sequence[Column],
) -> None:
    """Add columns with their descriptions, in one statement."""
    added = []
    for column in columns:
        about = ""
        if column.description:
            about = f" OPTIONS (description = {_literal(column.description)})"
        name, kind = DIALECT.quote(column.name), DIALECT.types[column.kind]
        added.append(f"ADD COLUMN IF NOT EXISTS {name} {kind}{about}")
    session.execute(f"ALTER TABLE {ref.sql} {', '.join(added)}")


def _fields(columns: Iterable[Column], required: Sequence[str]) -> list[Any]:
    from google.cloud import bigquery

    return [
        bigquery.SchemaField(
            column.name,
            DIALECT.types[column.kind],
            mode="REQUIRED" if column.name in required else "NULLABLE",
            description=column.description or None,
        )
        for column in columns
    ]


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Load all batches into a staging table, as one Parquet file."""
    from google.cloud import bigquery

    assert isinstance(session, BigQuerySession)
    plan = table.plan
    staging = session.dataset.table(session.staging_name)
    name = ".".join(map(DIALECT.quote, (staging.project, staging.dataset_id, session.staging_name)))
    # The file has no name, so it ends with the process, however that ends.
    with tempfile.TemporaryFile() as file:
        rows = _write(plan, batches, file)
        columns = ", ".join(
            f"{DIALECT.quote(column.name)} {DIALECT.types[column.kind]}"
            for column in plan.staged_columns
        )
        # BigQuery's own clock decides when the table of a killed load expires.
        session.execute(
            f"CREATE TABLE {name} ({columns}) OPTIONS (description = 'Rows of a We360 load',"
            " expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL"
            f" {STAGING_HOURS} HOUR))"
        )
        if rows:
            config = bigquery.LoadJobConfig(
                source_format=bigquery.SourceFormat.PARQUET,
                schema=_fields(plan.staged_columns, ()),
                write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
                create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            )
            with driver_calls(session.errors, "load"):
                session.job = session.connection.load_table_from_file(
                    file, staging, rewind=True, job_config=config, location=session.location
                )
                session.job.result()
    return name


def _write(plan: LoadPlan, batches: Iterable[RowBatch], file: Any) -> int:
    """Write all rows as one Parquet file and return their number."""
    import pyarrow as pa
    from pyarrow import parquet

    from airflow_provider_we360.rows.arrow import arrow_schema

    count = 0
    with parquet.ParquetWriter(file, arrow_schema(plan.staged_columns)) as writer:
        for rows in split_by_bytes(batches, GROUP_BYTES):
            table = pa.Table.from_batches(rows)
            writer.write_table(table)
            count += table.num_rows
    return count


def _lock_ref(session: DbSession, ref: TableRef) -> TableRef:
    return session.table_ref(ref.name, (*ref.parts[:2], f"_we360_lock_{ref.parts[2]}"))


def prepare_lock(session: DbSession, ref: TableRef) -> None:
    """Create the lock table with its row: updating a table without rows locks nothing."""
    from google.api_core.exceptions import Conflict, NotFound

    lock_ref = _lock_ref(session, ref)
    with driver_calls(session.errors, "get_table"):
        try:
            session.connection.get_table(_reference(lock_ref))
        except NotFound:
            pass
        else:
            return
    try:
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {lock_ref.sql} OPTIONS (description ="
            " 'Keeps two loads of one table apart; made by airflow-provider-we360')"
            " AS SELECT CURRENT_TIMESTAMP() AS held_at"
        )
    except DriverFailure as failure:
        if not isinstance(failure.error, Conflict):  # another load created it first
            raise


def lock(session: DbSession, ref: TableRef) -> None:
    """Update the row of the lock table; of two transactions that do so one is aborted."""
    session.execute(
        f"UPDATE {_lock_ref(session, ref).sql} SET held_at = CURRENT_TIMESTAMP() WHERE TRUE"
    )


def has_unenforced_key(session: DbSession, table: LoadTable) -> bool:
    """Return True if the table declares a primary key, which BigQuery does not enforce."""
    with driver_calls(session.errors, "get_table"):
        constraints = session.connection.get_table(_reference(table.ref)).table_constraints
    return constraints is not None and constraints.primary_key is not None


def _open_hook(conn_id: str, **params: Any) -> Any:
    """Return BigQuery's hook for a Connection that is for all of Google Cloud."""
    from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook

    return BigQueryHook(gcp_conn_id=conn_id, **params)


WAREHOUSE = Warehouse(
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    check=check,
    prepare_lock=prepare_lock,
    lock=lock,
    create_table=create_table,
    add_columns=add_columns,
    has_unenforced_key=has_unenforced_key,
    conn_types=("google_cloud_platform",),
    open_hook=_open_hook,
    extra="google",
    experimental=True,
)
