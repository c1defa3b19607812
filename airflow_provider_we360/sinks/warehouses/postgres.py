"""PostgreSQL: COPY into a temporary table, over ADBC if it is installed, then one transaction."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import adbc, error_messages, statements
from airflow_provider_we360.sinks.batching import rechunk
from airflow_provider_we360.sinks.dialect import Dialect, base_type, quote_with, round_trip
from airflow_provider_we360.sinks.error_map import DriverFacts, ErrorKind, ErrorMap, Failure
from airflow_provider_we360.sinks.session import DbSession, LoadStep, at, driver_calls
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

CHUNK_BYTES = 4 * 2**20
"""Bytes of CSV in one COPY: few round trips, bounded memory, and no statement is open while rows
are fetched."""

_INTEGERS = frozenset({"bigint", "integer", "smallint", "numeric"})
# ADBC's codes for: not implemented, invalid argument, invalid data; none comes from the server.
_MISUSE = frozenset({2, 5, 7})
_DRIVERS = ("psycopg", "psycopg2", "adbc_driver_manager")


def _holds(kind: Kind, type_name: str) -> bool:
    # numeric(5,2) and timestamp(0) are compared with the rows: see _find_loss.
    return base_type(type_name) in DIALECT.holding_types[kind]


def _find_loss(kind: Kind, type_name: str) -> str:
    """A scale and fewer digits of a second round, character(n) cuts blanks off, uuid folds case."""
    may_change = {
        Kind.TEXT: type_name == "uuid" or type_name.startswith("character("),
        Kind.DOUBLE: type_name.startswith("numeric"),
        Kind.TIMESTAMP: type_name.startswith("timestamp("),
        Kind.BIGINT: re.match(r"numeric\(\d+,-", type_name) is not None,
    }
    is_loss = may_change.get(Kind.BIGINT if kind is Kind.DURATION else kind, False)
    return round_trip(DIALECT.types[kind], type_name) if is_loss else ""


DIALECT = Dialect(
    types={
        Kind.TEXT: "text",
        Kind.DURATION: "bigint",
        Kind.BIGINT: "bigint",
        Kind.DOUBLE: "double precision",
        Kind.TIMESTAMP: "timestamp without time zone",
        Kind.DATE: "date",
        Kind.INSTANT: "timestamp with time zone",
    },
    holding_types={
        Kind.TEXT: frozenset({"text", "character varying", "character", "uuid"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double precision", "numeric"}),
        Kind.TIMESTAMP: frozenset({"timestamp without time zone"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp with time zone"}),
    },
    placeholder="%s",
    quote=quote_with('"', str.lower),
    fold=str.lower,
    find_loss=_find_loss,
    cast_types=frozenset({"uuid"}),
    instant="{} AT TIME ZONE 'UTC'",
    utc_now="clock_timestamp() AT TIME ZONE 'UTC'",
    differs="{0} IS DISTINCT FROM {1}",
    # A column of the user's own collation could not be compared with one of another.
    exact_text='{} COLLATE "C"',
    key_join="exists",
)


_PINNED = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    # A policy that hides rows would make them look absent: statements fail instead.
    "row_security": "off",
}
"""The settings that decide what values mean and which rows are seen."""


class PostgresSession(DbSession):
    """A session over psycopg 3, psycopg2 or ADBC.

    :ivar staging: the quoted name of the staging table; empty before there is one.
    """

    staging = ""

    def begin(self) -> None:
        """Begin a transaction with the pinned settings.

        A pooler may have given it another database session than the one that was prepared.
        """
        super().begin()
        self.pin(local=True)

    def pin(self, *, local: bool) -> None:
        """Pin the settings, until the end of the transaction or of the session."""
        pinned = [f"set_config('{k}', '{v}', {str(local).lower()})" for k, v in _PINNED.items()]
        self.fetch(f"SELECT {', '.join(pinned)}")

    def clean_up(self) -> None:
        """Leave nothing behind: a pooler gives the database session to its next client."""
        if self.staging:
            self.execute(f"DROP TABLE IF EXISTS {self.staging}")
        self.execute("RESET ALL")

    def resolve(self, name: TableName) -> TableRef:
        """Return the table, in its schema or the first of the search path that has it."""
        error_messages.require_database(name, self.target.conn_id, self.database)
        return self.table_ref(name, [part for part in (name.schema, name.table) if part])


@contextmanager
def connect(target: Target) -> Iterator[PostgresSession]:
    """Open a session with known settings."""
    with driver_calls(ERRORS.classes):
        connection = _open(target)
    try:
        session = PostgresSession(target, connection, _cursor(connection), DIALECT, ERRORS.classes)
        try:
            with at(LoadStep.PREPARE):
                _prepare(session)
            yield session
        finally:
            with suppress(Exception):
                session.clean_up()
    finally:
        with suppress(Exception):
            connection.close()


def _open(target: Target) -> Any:
    if adbc.is_usable(target.hook):
        return adbc.connect(target.hook)
    connection = target.hook.get_conn()
    connection.autocommit = True  # transactions are begun and ended in SQL
    if hasattr(connection, "set_client_encoding"):  # psycopg2 remembers the encoding itself
        connection.set_client_encoding("UTF8")
    return connection


def _is_psycopg3(connection: Any) -> bool:
    return hasattr(connection, "pgconn")


def _cursor(connection: Any) -> Any:
    """Return a cursor that returns tuples, whatever kind the Connection configures."""
    if isinstance(connection, adbc.AdbcConnection):
        return connection
    if _is_psycopg3(connection):
        from psycopg.rows import tuple_row

        return connection.cursor(row_factory=tuple_row)
    from psycopg2.extensions import cursor  # type: ignore[import-untyped, unused-ignore]

    return connection.cursor(cursor_factory=cursor)


def _prepare(session: PostgresSession) -> None:
    """Pin the settings, and refuse what cannot be pinned."""
    session.pin(local=False)
    # The session is idle while We360 is queried. The setting is new in PostgreSQL 14.
    session.fetch(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
    )
    database, user, encoding = session.fetch_one(
        "SELECT current_database(), current_user, current_setting('server_encoding')"
    )
    session.database, session.user = _text(database), _text(user)
    if _text(encoding) == "SQL_ASCII":
        raise We360ConfigError(
            f"sql_conn_id: database {session.database!r} of {session.target.conn_id!r} has the "
            "encoding SQL_ASCII, which stores bytes without their meaning; use a database with "
            "encoding UTF8"
        )
    # A bound of our own if the role has none: no load waits forever for a forgotten session.
    session.fetch(
        "SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') = '0'",
        [str(int(session.target.patience_s * 1000))],
    )


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table from the catalogue, with the schema that the search path has found."""
    found = session.fetch(
        "SELECT n.nspname, a.attname,"
        " format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid),"
        " CASE WHEN t.typbasetype = 0 THEN a.atttypmod ELSE t.typtypmod END),"
        " a.attnotnull, a.atthasdef OR a.attidentity <> ''"
        " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped",
        [ref.sql],
    )
    if not found:
        return None
    full = TableRef(ref.name, (session.database, found[0][0], ref.parts[-1]), ref.sql)
    return TableSchema(full, {row[1]: ColumnSchema(*row[1:]) for row in found})


def lock(session: DbSession, ref: TableRef) -> None:
    """Keep other writers off the table; readers do not wait."""
    session.execute(f"LOCK TABLE {ref.sql} IN SHARE ROW EXCLUSIVE MODE")


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Copy all batches into a temporary table."""
    assert isinstance(session, PostgresSession)
    session.staging = name = session.new_staging()
    statements.create_staging(session, name, table)
    if isinstance(session.connection, adbc.AdbcConnection):
        names = [column.name.lower() for column in table.plan.staged_columns]
        for rows in rechunk(batches):
            with driver_calls(session.errors, "COPY"):
                session.connection.ingest(name.strip('"'), rows.rename_columns(names))
        return name
    columns = ", ".join(table.quote(column.name) for column in table.plan.staged_columns)
    sql = f"COPY {name} ({columns}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    for chunk in _to_csv(batches):
        with driver_calls(session.errors, "COPY"):
            if _is_psycopg3(session.connection):
                with session.cursor.copy(sql) as copy:
                    copy.write(memoryview(chunk))
            else:
                session.cursor.copy_expert(sql, io.BytesIO(chunk))
    return name


def _to_csv(batches: Iterable[RowBatch]) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv

    # Text is always quoted, so that empty text ("") and NULL (nothing) differ.
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    chunk = pa.BufferOutputStream()
    for batch in batches:
        csv.write_csv(batch.to_arrow(), chunk, options)
        if chunk.tell() >= CHUNK_BYTES:
            yield chunk.getvalue()
            chunk = pa.BufferOutputStream()
    if chunk.tell():
        yield chunk.getvalue()


def _read_error(error: Exception) -> DriverFacts:
    code = str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
    details = getattr(error, "details", None)
    diagnosis = getattr(error, "diag", None)
    if isinstance(details, list):  # ADBC
        fields = {
            _text(name).removeprefix("PG_DIAG_").lower(): _text(value) for name, value in details
        }
        diagnosis = SimpleNamespace(**fields)
    # Without a server's answer the text is the driver's own: about the connection.
    text = getattr(diagnosis, "message_primary", None) or ("" if code else str(error))
    return DriverFacts(
        code,
        text,
        column=getattr(diagnosis, "column_name", None),
        constraint=getattr(diagnosis, "constraint_name", None),
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _is_already_there(error: Exception) -> bool:
    facts = _read_error(error)
    if facts.code == "23505":
        # Two loads that create one table at once meet in an index of the catalogue.
        return str(facts.constraint or "").startswith("pg_")
    return facts.code in ("42P07", "42701", "42710")


def _explain_first(failure: Failure) -> We360Error | None:
    misuse = getattr(failure.error, "status_code", None) in _MISUSE
    if failure.step is not LoadStep.CONNECT and not failure.facts.code and misuse:
        return SinkError(
            f"ADBC's driver cannot load into {failure.table}; nothing was changed. Uninstall "
            f"{adbc.DRIVER.replace('_', '-')}, and COPY is used instead"
        )
    if failure.facts.code == "42501" and "row-level security" in failure.facts.text:
        return SinkError(
            f"table: row-level security of {failure.table} hides rows from the loader, so that "
            "days could be doubled or emptied unnoticed; nothing was changed. Load as the table's "
            "owner (without FORCE), or ALTER ROLE ... BYPASSRLS"
        )
    return None


def _grants(failure: Failure) -> str:
    session, name = failure.session, failure.table
    if session is None:
        return ""
    role, table = f'"{session.user}"', session.resolve(name).sql
    return (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}; to stage rows: GRANT "
        "TEMPORARY "
        f'ON DATABASE "{session.database}" TO {role}; to create the table: GRANT USAGE, CREATE ON '
        f"SCHEMA {DIALECT.quote(name.schema or 'public')} TO {role}; columns can be added by the "
        "table's owner only"
    )


def _error_classes() -> tuple[type[Exception], ...]:
    """Return the errors of the drivers that are loaded; others cannot be raised."""
    return tuple(sys.modules[driver].Error for driver in _DRIVERS if driver in sys.modules)


ERRORS = ErrorMap(
    database="PostgreSQL",
    classes=_error_classes,
    read=_read_error,
    is_already_there=_is_already_there,
    grants=_grants,
    kinds={
        "": ErrorKind.LOST,
        "08": ErrorKind.LOST,
        "57P": ErrorKind.LOST,
        "40001": ErrorKind.BUSY,
        "40P01": ErrorKind.BUSY,
        "55P03": ErrorKind.BUSY,
        "42501": ErrorKind.DENIED,
        "23502": ErrorKind.NO_VALUE,
        "23505": ErrorKind.KEY_TAKEN,
        "23": ErrorKind.CONSTRAINT,
        "22": ErrorKind.DOES_NOT_FIT,
    },
    hints={
        "23514": "the table is partitioned: create the partition of these days first",
        "22P05": "the database's encoding has no such character; use a database with encoding UTF8",
        "25006": "the server takes no writes: if it is a replica, connect to the primary; "
        "otherwise turn default_transaction_read_only off for this role",
        "3F000": "create the schema first: CREATE SCHEMA",
        "42P01": "if a pooler is in between (PgBouncer in transaction mode), connect to the "
        "server: a load needs a session of its own",
        "53100": "the server's disk is full; free some room there",
        "53200": "the server is short of memory",
        "53300": "the server has no connection left; put the tasks into a pool",
        "57014": "the statement was cancelled, perhaps by statement_timeout of the role; raise it",
        "57P05": "the server ended the idle session; raise idle_session_timeout for this role",
    },
    # The classes whose messages name objects and settings only; others may quote a row.
    names_only=("0A", "25", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"),
    connect_hint="check Host, Port, Schema (the database), Login and Password",
    explain_first=_explain_first,
)
WAREHOUSE = Warehouse(connect=connect, reflect=reflect, stage=stage, errors=ERRORS, lock=lock)
