"""SQLite: rows go into a temporary table, then BEGIN IMMEDIATE keeps all other writers away."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from airflow_provider_we360.errors import We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import error_messages, statements
from airflow_provider_we360.sinks.dialect import Dialect
from airflow_provider_we360.sinks.error_map import DriverFacts, ErrorKind, ErrorMap, Failure
from airflow_provider_we360.sinks.session import DbSession, LoadStep, at, driver_calls
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

T = TypeVar("T")

# SQLite has no type for these: they are stored as ISO text, which sorts and compares like time.
_AS_TEXT = frozenset({Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT})
_NUMBERS = frozenset({"integer", "numeric", ""})
_TEXTS = frozenset({"text", ""})
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _affinity(declared: str) -> str:
    """Return how SQLite stores values of a declared type.

    https://sqlite.org/datatype3.html, section 3.1
    """
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not declared or "BLOB" in declared:
        return ""
    return "real" if any(word in declared for word in ("REAL", "FLOA", "DOUB")) else "numeric"


def _holds(kind: Kind, type_name: str) -> bool:
    declared = type_name.upper()
    if kind in _AS_TEXT and declared.startswith(("DATE", "TIME")):
        return True
    return _affinity(declared) in _HOLDING_TYPES[kind]


def _adapt(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ")
    return value.isoformat() if isinstance(value, dt.date) else value


_HOLDING_TYPES = {
    Kind.TEXT: _TEXTS,
    Kind.DURATION: _NUMBERS,
    Kind.BIGINT: _NUMBERS,
    Kind.DOUBLE: _NUMBERS | {"real"},
    Kind.TIMESTAMP: _TEXTS,
    Kind.DATE: _TEXTS,
    Kind.INSTANT: _TEXTS,
}
DIALECT = Dialect(
    types={
        Kind.TEXT: "TEXT",
        Kind.DURATION: "INTEGER",
        Kind.BIGINT: "INTEGER",
        Kind.DOUBLE: "REAL",
        Kind.TIMESTAMP: "TEXT",
        Kind.DATE: "TEXT",
        Kind.INSTANT: "TEXT",
    },
    holding_types=dict.fromkeys(Kind, frozenset()),
    holds=_holds,
    adapt=_adapt,
    has_comments=False,
    utc_now="strftime('%Y-%m-%d %H:%M:%f', 'now')",
    differs="{1} IS NOT {0}",  # the first operand decides the collation
)


class SqliteSession(DbSession):
    """A session that waits while another process writes to the file."""

    file = ""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute a statement and return the number of changed rows."""
        return int(self._retry(lambda: self.connection.execute(sql, tuple(parameters)).rowcount))

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Execute a query and return all its rows; a locked file is retried for both."""
        return self._retry(lambda: self.connection.execute(sql, tuple(parameters)).fetchall())

    def begin(self) -> None:
        """Begin a transaction that no other writer can enter."""
        self.execute("BEGIN IMMEDIATE")

    def resolve(self, name: TableName) -> TableRef:
        """Return the table in the connected file."""
        return self.table_ref(name, ("main", name.table))

    def _retry(self, call: Callable[[], T]) -> T:
        def attempt() -> T | None:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                    return None
                raise

        with driver_calls(self.errors):
            return self.target.wait_for(
                attempt, what=f"the SQLite file of Connection {self.target.conn_id!r}"
            )


def check(target: Target) -> None:
    """Refuse schemas: SQLite has only ``main``."""
    name = target.table
    if name.database or (name.schema or "main").lower() != "main":
        raise We360ConfigError(
            f"table: {name} names a schema, and SQLite has only 'main'; write {name.table!r}"
        )


@contextmanager
def connect(target: Target) -> Iterator[SqliteSession]:
    """Open the file of the Connection."""
    with driver_calls(ERRORS.classes):
        connection = target.hook.get_conn()
    with closing(connection):
        connection.isolation_level = None  # transactions are begun and ended in SQL
        session = SqliteSession(target, connection, None, DIALECT, ERRORS.classes)
        with at(LoadStep.PREPARE):
            # A short wait lets Airflow's task timeout interrupt; the session itself waits longer.
            session.execute("PRAGMA busy_timeout = 200")
            files = session.fetch("SELECT file FROM pragma_database_list WHERE name = 'main'")
        session.file = files[0][0]
        if not session.file:
            raise error_messages.in_memory("SQLite", target)
        yield session


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table from the catalogue."""
    found = session.fetch(
        'SELECT name, type, "notnull", dflt_value IS NOT NULL OR hidden > 1 OR (pk = 1 AND'
        " upper(type) = 'INTEGER' AND (SELECT max(pk) FROM pragma_table_xinfo(?, ?)) = 1)"
        " FROM pragma_table_xinfo(?, ?)",
        [ref.parts[-1], "main"] * 2,
    )
    columns = {
        str(name).lower(): ColumnSchema(name, kind, bool(not_null), bool(has_default))
        for name, kind, not_null, has_default in found
    }
    return TableSchema(ref, columns) if columns else None


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Insert all batches into a temporary table."""
    name = session.new_staging()
    statements.create_staging(session, name, table)
    names = ", ".join(table.quote(column.name) for column in table.plan.staged_columns)
    marks = ", ".join("?" for _ in table.plan.staged_columns)
    sql = f"INSERT INTO {name} ({names}) VALUES ({marks})"
    # This transaction writes to the temporary database only, which no other session waits for.
    session.execute("BEGIN")
    for batch in batches:
        with driver_calls(session.errors, "INSERT"):
            session.connection.executemany(sql, _to_tuples(batch))
    session.commit()
    return name


def _to_tuples(batch: RowBatch) -> Iterable[tuple[Any, ...]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = []
    for column, array in zip(batch.columns, batch.to_arrow().columns, strict=True):
        values = array.cast(pa.string()) if column.kind in _AS_TEXT else array
        if column.kind is Kind.TIMESTAMP:
            values = pc.replace_substring_regex(values, r"\.0+$", "")
        arrays.append(values.to_pylist())
    return zip(*arrays, strict=True)


def _read_error(error: Exception) -> DriverFacts:
    code, text = getattr(error, "sqlite_errorname", "") or type(error).__name__, str(error)
    named = text.rpartition(": ")[2] if code == "SQLITE_CONSTRAINT_CHECK" else None
    return DriverFacts(code, text, column=text.rpartition(".")[2], constraint=named)


def _is_already_there(error: Exception) -> bool:
    return "already exists" in str(error) or "duplicate column name" in str(error)


def _explain_first(failure: Failure) -> We360Error | None:
    """Explain a file that cannot be opened like all other errors: there is no server."""
    return ERRORS.refused(failure) if failure.step is LoadStep.CONNECT else None


ERRORS = ErrorMap(
    database="SQLite",
    classes=lambda: (sqlite3.Error,),
    read=_read_error,
    is_already_there=_is_already_there,
    code_label="error",
    kinds={
        "SQLITE_CONSTRAINT": ErrorKind.CONSTRAINT,
        "SQLITE_CONSTRAINT_NOTNULL": ErrorKind.NO_VALUE,
        "SQLITE_CONSTRAINT_PRIMARYKEY": ErrorKind.KEY_TAKEN,
        "SQLITE_CONSTRAINT_UNIQUE": ErrorKind.KEY_TAKEN,
    },
    hints={
        "SQLITE_FULL": "the disk is full; free some room",
        "SQLITE_READONLY": "the file or its folder is not writable for the worker",
        "SQLITE_CANTOPEN": "check that the folder exists and is writable for the worker",
        "SQLITE_NOTADB": "the Connection's Host is no SQLite database",
        "SQLITE_CORRUPT": "the file is damaged; run PRAGMA integrity_check",
    },
    names_only=("SQLITE_",),
    connect_hint="check that the folder exists and is writable for the worker",
    explain_first=_explain_first,
)
WAREHOUSE = Warehouse(
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    check=check,
    namespace=lambda session: f"sqlite://{os.path.realpath(getattr(session, 'file', ''))}",
)
