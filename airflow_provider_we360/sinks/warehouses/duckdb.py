"""DuckDB: one file, one writing process. The file is open only while rows move into it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import error_messages
from airflow_provider_we360.sinks.dialect import Dialect, round_trip, to_naive_utc
from airflow_provider_we360.sinks.error_map import DriverFacts, ErrorKind, ErrorMap, Failure
from airflow_provider_we360.sinks.session import (
    DbSession,
    DriverFailure,
    LoadStep,
    at,
    driver_calls,
)
from airflow_provider_we360.sinks.spool import Spool
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

_INTEGERS = frozenset({"bigint", "integer", "hugeint", "smallint", "ubigint", "uinteger"})
# A lock for each file that this process loads into: DuckDB's own keeps out other processes only.
_FILES: dict[str, threading.Lock] = {}


def _is_uuid(kind: Kind, type_name: str) -> bool:
    return kind is Kind.TEXT and type_name.lower() == "uuid"


DIALECT = Dialect(
    types={
        Kind.TEXT: "VARCHAR",
        Kind.DURATION: "BIGINT",
        Kind.BIGINT: "BIGINT",
        Kind.DOUBLE: "DOUBLE",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.DATE: "DATE",
        # Holds UTC: reading TIMESTAMPTZ needs pytz, which DuckDB does not install.
        Kind.INSTANT: "TIMESTAMP",
    },
    holding_types={
        Kind.TEXT: frozenset({"varchar", "uuid"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double"}),
        Kind.TIMESTAMP: frozenset({"timestamp"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp", "timestamp with time zone"}),
    },
    adapt=to_naive_utc,
    read_instant="CAST({} AS VARCHAR)",
    utc_now="make_timestamp(epoch_us(now()))",
    differs="{0} IS DISTINCT FROM {1}",
    # A uuid is shown in lower case.
    find_loss=lambda kind, name: round_trip("VARCHAR", name) if _is_uuid(kind, name) else "",
    cast_types=frozenset({"uuid"}),
)


class DuckDBSession(DbSession):
    """A session whose staging table is a stream of Arrow batches."""

    staging = ""
    spool: Spool

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute a statement and return the number of changed rows."""
        changed = self.fetch(sql, parameters)
        return int(changed[0][0]) if changed and isinstance(changed[0][0], int) else 0

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Execute a query and return all its rows."""
        with driver_calls(self.errors, sql.partition(" ")[0]):
            if self.staging and self.staging in sql:
                # A stream can be read once, so each statement gets a new one.
                self.connection.register(self.staging, self.spool.open_stream())
            rows: list[tuple[Any, ...]] = self.connection.execute(sql, list(parameters)).fetchall()
            return rows

    def resolve(self, name: TableName) -> TableRef:
        """Return the table in the connected file."""
        error_messages.require_database(name, self.target.conn_id, self.database)
        return self.table_ref(name, (self.database, name.schema or self.schema, name.table))


def _file(target: Target) -> str:
    return str(target.hook.get_database())


def check(target: Target) -> None:
    """Refuse databases in memory, MotherDuck and read-only Connections."""
    database = str(target.hook.get_database() or ":memory:")
    if database.startswith(":memory:"):
        raise error_messages.in_memory("DuckDB", target)
    if database.startswith(("md:", "motherduck:")):
        raise We360ConfigError(
            f"sql_conn_id: {target.conn_id!r} is MotherDuck. Two loads are kept apart by the lock "
            "of the file, which it does not have; load into files or a Delta table, which it reads"
        )
    if target.hook.read_only:
        raise We360ConfigError(
            f"sql_conn_id: the extra of {target.conn_id!r} says read_only; remove it"
        )


@contextmanager
def connect(target: Target) -> Iterator[DuckDBSession]:
    """Open the file, waiting while another thread or process has it open."""
    lock = _FILES.setdefault(os.path.realpath(_file(target)), threading.Lock())
    target.wait_for(lambda: lock.acquire(blocking=False) or None, what=_file(target))
    try:
        with closing(target.wait_for(lambda: _open(target), what=_file(target))) as connection:
            session = DuckDBSession(target, connection, connection, DIALECT, ERRORS.classes)
            with at(LoadStep.PREPARE):
                # Instants are compared and converted in UTC, whatever zone the worker has.
                session.execute("SET TimeZone = 'UTC'")
                session.database, session.schema = session.fetch_one(
                    "SELECT current_database(), current_schema()"
                )
            yield session
    finally:
        lock.release()


def _open(target: Target) -> Any:
    try:
        with driver_calls(ERRORS.classes):
            return target.hook.get_conn()
    except DriverFailure as failure:
        if "Could not set lock" in str(failure.error):
            return None
        raise


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table from the catalogue."""
    found = session.fetch(
        "SELECT column_name, data_type, NOT is_nullable, column_default IS NOT NULL"
        " FROM duckdb_columns() WHERE database_name = ? AND lower(schema_name) = lower(?)"
        " AND lower(table_name) = lower(?)",
        ref.parts,
    )
    columns = {str(column[0]).lower(): ColumnSchema(*column) for column in found}
    return TableSchema(ref, columns) if columns else None


def stage(session: DbSession, table: LoadTable, batches: Spool) -> str:  # noqa: ARG001 - the spool has the columns
    """Use the spool itself as the staging table."""
    assert isinstance(session, DuckDBSession)
    session.spool = batches
    staging = session.new_staging()
    session.staging = staging.strip('"')
    return staging


def _read_error(error: Exception) -> DriverFacts:
    code, text = type(error).__name__.removesuffix("Exception"), str(error)
    if code == "Transaction" and re.search("o space|write|flush", text):
        code = "IO"  # the disk was full at COMMIT
    if "constraint" not in text:
        return DriverFacts(code, text.splitlines()[0] if text else "")
    column = re.search(r"NOT NULL constraint failed: \S*?([^.\s]+)$", text.splitlines()[0])
    if column:
        return DriverFacts("NotNull", column=column[1])
    is_key = re.search(r"primary key|unique", text, re.IGNORECASE)
    return DriverFacts("Key" if is_key else "Constraint")


def _explain_first(failure: Failure) -> We360Error | None:
    code, text, table = failure.facts.code, failure.facts.text, failure.table
    if code == "Transaction":
        return SinkBusy(
            f"table: another connection of this process changed {table} at the same time; run the "
            "task again"
        )
    if code == "Catalog" and "chema" in text:
        return SinkError(
            f"table: the schema of {table} does not exist in {_file(failure.target)}; run CREATE "
            "SCHEMA first"
        )
    return ERRORS.refused(failure) if failure.step is LoadStep.CONNECT else None


def _is_already_there(error: Exception) -> bool:
    return type(error).__name__ == "CatalogException" and "already exists" in str(error)


def _error_classes() -> tuple[type[Exception], ...]:
    import duckdb

    return (duckdb.Error,)


ERRORS = ErrorMap(
    database="DuckDB",
    classes=_error_classes,
    read=_read_error,
    is_already_there=_is_already_there,
    code_label="error",
    kinds={
        "NotNull": ErrorKind.NO_VALUE,
        "Key": ErrorKind.KEY_TAKEN,
        "Constraint": ErrorKind.CONSTRAINT,
    },
    hints={
        "IO": "check that the path exists, is writable, and that the disk has room",
        "Connection": "another connection of this process has the file open with other settings; "
        "close it",
        "Conversion": "a value does not fit the type of its column; widen the column",
        "OutOfMemory": "raise memory_limit, or set temp_directory, in the Connection's extra",
        "OutOfRange": "a number does not fit the type of its column; widen the column",
    },
    names_only=("Binder", "Catalog", "Connection", "IO", "OutOfMemory", "Parser", "Permission"),
    connect_hint="check the path",
    explain_first=_explain_first,
)
WAREHOUSE = Warehouse(
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    check=check,
    namespace=lambda session: f"duckdb://{os.path.realpath(_file(session.target))}",
    prefetch=True,
)
