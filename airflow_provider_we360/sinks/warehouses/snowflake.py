"""Snowflake: Parquet by PUT into a temporary stage, COPY into a temporary table, one transaction.

Snowflake enforces no key, and locks a table only for statements that change rows there. Two first
loads of one window would change none, and both would insert. So every load first updates the one
row of a small table in the same schema: that statement waits until an earlier load has committed,
and the following ones see its rows (the isolation level is READ COMMITTED).
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow_provider_we360.errors import We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import error_messages, statements
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.sinks.batching import split_by_bytes
from airflow_provider_we360.sinks.dialect import Dialect, literal, quote_with
from airflow_provider_we360.sinks.error_map import DriverFacts, ErrorKind, ErrorMap, Failure
from airflow_provider_we360.sinks.session import DbSession, LoadStep, at, driver_calls
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

PART_BYTES = 64 * 2**20
"""Bytes of Arrow in one file: bounded memory, and a warehouse reads several files in parallel."""
LOCK_TABLE = "_WE360_LOCK"
FOLDER_PREFIX = "we360-snowflake-"
STALE_S = 86400.0
"""A folder older than that belongs to a load that was killed."""

# Transactions are begun and ended in SQL. Days and instants pass through text, and an account or a
# user can set its form: a day and a month could change places.
SETTINGS = (
    "AUTOCOMMIT = TRUE TIMEZONE = 'UTC' DATE_INPUT_FORMAT = 'YYYY-MM-DD'"
    " TIMESTAMP_INPUT_FORMAT = 'AUTO'"
    " TIMESTAMP_NTZ_OUTPUT_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF9'"
)

_NUMBERS = frozenset({"number", "decimal", "numeric"})
_HELD = "625"
"""The statement waited too long for a lock, or more than twenty statements wait for it already."""


def _adapt(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value


DIALECT = Dialect(
    types={
        Kind.TEXT: "VARCHAR",
        Kind.DURATION: "NUMBER(38, 0)",
        Kind.BIGINT: "NUMBER(38, 0)",
        Kind.DOUBLE: "FLOAT",
        Kind.TIMESTAMP: "TIMESTAMP_NTZ",
        Kind.DATE: "DATE",
        Kind.INSTANT: "TIMESTAMP_TZ",
    },
    holding_types={
        Kind.TEXT: frozenset({"text", "varchar", "string"}),
        Kind.DURATION: _NUMBERS,
        Kind.BIGINT: _NUMBERS,
        Kind.DOUBLE: frozenset({"float", "double", "real"}),
        Kind.TIMESTAMP: frozenset({"timestamp_ntz"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp_tz", "timestamp_ltz"}),
    },
    placeholder="%s",
    quote=quote_with('"', str.upper),
    fold=str.upper,
    adapt=_adapt,
    ddl_commits=True,
    instant="CAST(CAST({} AS VARCHAR) || '+00:00' AS TIMESTAMP_TZ)",
    utc_now="SYSDATE()",
)


class SnowflakeSession(DbSession):
    """A session over the official connector."""

    def resolve(self, name: TableName) -> TableRef:
        """Return the table in the named database and schema, or those of the Connection."""
        database = name.database or self.connection.database
        schema = name.schema or self.connection.schema
        if not database or not schema:
            raise We360ConfigError(
                f"table: Connection {self.target.conn_id!r} opens no database or no schema; set "
                f"database in its extra and its Schema, or write database.schema.{name.table}"
            )
        return self.table_ref(name, (database, schema, name.table))

    def cancel(self) -> None:
        """Cancel the running query on the server."""
        with suppress(Exception):
            self.connection.cursor().abort_query(self.cursor.sfqid)


@contextmanager
def connect(target: Target) -> Iterator[SnowflakeSession]:
    """Open a session in the schema of the table."""
    with driver_calls(ERRORS.classes):
        connection = target.hook.get_conn()
    try:
        cursor = connection.cursor()
        session = SnowflakeSession(target, connection, cursor, DIALECT, ERRORS.classes)
        with at(LoadStep.PREPARE):
            database, schema, _ = session.resolve(target.table).parts
            session.execute(f"USE SCHEMA {DIALECT.quote(database)}.{DIALECT.quote(schema)}")
            session.execute(f"ALTER SESSION SET {SETTINGS} LOCK_TIMEOUT = {int(target.patience_s)}")
        yield session
    finally:
        with suppress(Exception):
            connection.close()  # ends the session, with the temporary table and stage


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table from the catalogue."""
    found = session.fetch(
        "SELECT column_name, data_type, is_nullable, column_default, is_identity"
        f" FROM {DIALECT.quote(ref.parts[0])}.information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s",
        ref.parts[1:],
    )
    columns = {}
    for name, kind, takes_null, default, identity in found:
        key, has_default = str(name).lower(), default is not None or identity == "YES"
        columns[key] = ColumnSchema(key, kind, takes_null == "NO", has_default)
    return TableSchema(ref, columns) if columns else None


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Copy all batches into a temporary table, through a temporary stage."""
    database, schema, _ = table.ref.parts
    name = f"{DIALECT.quote(database)}.{DIALECT.quote(schema)}.{session.new_staging()}"
    statements.create_staging(session, name, table)
    # A plain name in the session's schema, because PUT accepts little else.
    stage_name = f"_we360_stage_{secrets.token_hex(6)}"
    session.execute(f"CREATE TEMPORARY STAGE {stage_name}")
    files = 0
    with _folder(table.plan.loaded_at.timestamp()) as folder:
        for rows in split_by_bytes(batches, PART_BYTES):
            files += 1
            file = folder / f"{files:05}.parquet"
            _write(file, rows)
            session.execute(f"PUT 'file://{file}' @{stage_name} AUTO_COMPRESS = FALSE")
            file.unlink()
    if files:
        session.execute(
            f"COPY INTO {name} FROM @{stage_name}"
            " FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
            " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
        )
    return name


def _write(file: Path, rows: list[Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.write_table(pa.Table.from_batches(rows), file, compression="zstd")
    except OSError as error:
        raise error_messages.disk_full(error) from error


@contextmanager
def _folder(now: float) -> Iterator[Path]:
    """Create a folder that only this user can read.

    PUT requires a named file, so a killed load leaves one; a later load removes it.

    :param now: seconds since the epoch.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            if old.stat().st_uid == os.getuid() and old.stat().st_mtime < now - STALE_S:
                shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as made:
        yield Path(made)


def _lock_table(ref: TableRef) -> str:
    return ".".join(map(DIALECT.quote, (*ref.parts[:2], LOCK_TABLE)))


def prepare_lock(session: DbSession, ref: TableRef) -> None:
    """Create the lock table of the schema, with its row."""
    lock_table = _lock_table(ref)
    session.execute(
        f"CREATE TABLE IF NOT EXISTS {lock_table}"
        f" ({DIALECT.quote('loads')} {DIALECT.types[Kind.BIGINT]})"
    )
    if not session.fetch(f"SELECT 1 FROM {lock_table} LIMIT 1"):
        # Two loads that do so leave two rows, and lock both.
        session.execute(f"INSERT INTO {lock_table} VALUES (0)")


def lock(session: DbSession, ref: TableRef) -> None:
    """Update the row of the lock table, which other loads then wait for."""
    loads = DIALECT.quote("loads")
    session.execute(f"UPDATE {_lock_table(ref)} SET {loads} = {loads} + 1")


def create_table(session: DbSession, ref: TableRef, plan: LoadPlan) -> None:
    """Create the table with its comments in one statement: each costs a round trip."""
    columns = [_declare(plan, column, required=True) for column in plan.all_columns]
    columns += statements.primary_key(DIALECT, plan)
    session.execute(
        f"CREATE TABLE {ref.sql} ({', '.join(columns)}) COMMENT = {literal(plan.about)}"
    )


def add_columns(
    session: DbSession, ref: TableRef, plan: LoadPlan, columns: Sequence[Column]
) -> None:
    """Add columns with their comments."""
    for column in columns:
        session.execute(f"ALTER TABLE {ref.sql} ADD COLUMN {_declare(plan, column)}")


def _declare(plan: LoadPlan, column: Column, *, required: bool = False) -> str:
    null = " NOT NULL" if required and column.name in plan.table_key else ""
    comment = f" COMMENT {literal(column.description)}" if column.description else ""
    return f"{DIALECT.quote(column.name)} {DIALECT.types[column.kind]}{null}{comment}"


def has_unenforced_key(session: DbSession, table: LoadTable) -> bool:
    """Return True if the table declares a primary key, which Snowflake does not enforce."""
    return bool(session.fetch(f"SHOW PRIMARY KEYS IN TABLE {table.sql}"))


def _read_error(error: Exception) -> DriverFacts:
    number = int(getattr(error, "errno", None) or 0)
    text = str(error)
    if "NULL result in a non-nullable column" in text:
        number = 100072
    return DriverFacts(str(number), text.splitlines()[-1] if text else "")


def _explain_first(failure: Failure) -> We360Error | None:
    """Explain errors by their SQLSTATE if their number says nothing."""
    state = str(getattr(failure.error, "sqlstate", None) or "")
    if failure.step is LoadStep.CONNECT or failure.facts.code in ERRORS.kinds:
        return None
    if failure.step is LoadStep.LOCK and state.startswith("57"):
        return ERRORS.explain_kind(ErrorKind.BUSY, failure)
    if state == "42501":
        return ERRORS.explain_kind(ErrorKind.DENIED, failure)
    if state.startswith("22") or int(failure.facts.code) // 1000 == 100:
        return ERRORS.explain_kind(ErrorKind.DOES_NOT_FIT, failure)
    # The classes whose text names objects and privileges only; others may quote a row.
    names_only = state.startswith(("02", "08", "0A", "3D", "42", "57", "P0"))
    return ERRORS.refused(failure, shows_text=names_only)


def _grants(failure: Failure) -> str:
    session = failure.session
    if session is None:
        return ""
    ref = session.resolve(failure.table)
    schema = ".".join(map(DIALECT.quote, ref.parts[:2]))
    role = f'"{session.connection.role or "the role"}"'
    return (
        f"GRANT SELECT, INSERT, DELETE ON TABLE {ref.sql} TO ROLE {role}; to stage rows "
        f"and to lock: GRANT USAGE, CREATE TABLE, CREATE STAGE ON SCHEMA {schema} TO ROLE {role}, "
        f"and SELECT, INSERT, UPDATE ON TABLE {_lock_table(ref)} TO ROLE {role}; columns can be "
        "added by the table's owner only"
    )


def _error_classes() -> tuple[type[Exception], ...]:
    driver = sys.modules.get("snowflake.connector.errors")
    return (driver.Error,) if driver else ()


ERRORS = ErrorMap(
    database="Snowflake",
    classes=_error_classes,
    read=_read_error,
    is_already_there=lambda error: "already exists" in str(error),
    is_conflict=lambda error: _read_error(error).code == _HELD,
    grants=_grants,
    code_label="error",
    kinds={
        _HELD: ErrorKind.BUSY,
        "100072": ErrorKind.NO_VALUE,
        "3001": ErrorKind.DENIED,
        "250001": ErrorKind.LOST,
        "250002": ErrorKind.LOST,
        "250003": ErrorKind.LOST,
        "390112": ErrorKind.LOST,
        "390114": ErrorKind.LOST,
        "390195": ErrorKind.LOST,
    },
    hints={
        "606": "the Connection names no warehouse that runs statements; set warehouse in its "
        "extra, and GRANT USAGE ON WAREHOUSE",
        "630": "the statement was cancelled by STATEMENT_TIMEOUT_IN_SECONDS; raise it for this "
        "user",
        "604": "the statement was cancelled; run the task again",
        "2003": "check that database and schema exist and that the role may use them",
        "2043": "check that database and schema exist and that the role may use them",
    },
    connect_hint="check account, warehouse, database and role in its extra, Login and Password or "
    "key",
    explain_first=_explain_first,
)
WAREHOUSE = Warehouse(
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    prepare_lock=prepare_lock,
    lock=lock,
    create_table=create_table,
    add_columns=add_columns,
    has_unenforced_key=has_unenforced_key,
    experimental=True,
)
