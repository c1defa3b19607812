"""SQLite: rows go into a temporary table, then BEGIN IMMEDIATE keeps all other writers off the file."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error, foreign_text
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse

_SPELLED_OUT = frozenset({Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT})
"""Kinds that SQLite has no type for: they lie there as ISO text, which sorts and compares as time does."""
_NUMBERS = frozenset({"integer", "numeric", ""})
_ADVICE = {
    "SQLITE_FULL": "the disk is full; free some room",
    "SQLITE_READONLY": "the file or its folder is not writable for the worker",
    "SQLITE_CANTOPEN": "check that the folder exists and is writable for the worker",
    "SQLITE_NOTADB": "the Connection's Host is no SQLite database",
    "SQLITE_CORRUPT": "the file is damaged; run PRAGMA integrity_check",
}


class SqliteWarehouse(Warehouse):
    """A load into an SQLite file."""

    has_comments: ClassVar[bool] = False
    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: "TEXT",
        Kind.DURATION: "INTEGER",
        Kind.BIGINT: "INTEGER",
        Kind.DOUBLE: "REAL",
        Kind.TIMESTAMP: "TEXT",
        Kind.DATE: "TEXT",
        Kind.INSTANT: "TEXT",
    }
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"text", ""}),
        Kind.DURATION: _NUMBERS,
        Kind.BIGINT: _NUMBERS,
        Kind.DOUBLE: _NUMBERS | {"real"},
        Kind.TIMESTAMP: frozenset({"text", ""}),
        Kind.DATE: frozenset({"text", ""}),
        Kind.INSTANT: frozenset({"text", ""}),
    }

    _connection: sqlite3.Connection
    _file: str

    @classmethod
    def require_usable(cls, target: Target) -> None:
        name = target.table
        if name.database or (name.schema or "main").lower() != "main":
            raise We360ConfigError(
                f"table: {name} names a schema, and SQLite has only 'main'; write {name.table!r}"
            )

    @property
    def driver_error(self) -> type[Exception]:
        return sqlite3.Error

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        self._connection = self.target.hook.get_conn()
        try:
            self._connection.isolation_level = (
                None  # transactions are begun and ended in SQL, as everywhere
            )
            # Short, so that a task's time-out is heard; who waits longer asks again.
            self._connection.execute("PRAGMA busy_timeout = 200")
            self._file = self.query("SELECT file FROM pragma_database_list WHERE name = 'main'")[0][
                0
            ]
            if not self._file:
                raise refusals.in_memory("SQLite", self.target)
            yield batches
        finally:
            self._connection.close()

    def stage(self, batches: Iterable[RowBatch]) -> None:
        names = ", ".join(self.quote(column.name) for column in self.load.columns)
        marks = ", ".join(self.placeholder for _ in self.load.columns)
        columns = [f"{self.quote(c.name)} {self.type_names[c.kind]}" for c in self.load.columns]
        self.run(f"CREATE TEMPORARY TABLE {self.staging} ({', '.join(columns)})")
        self.run("BEGIN")  # touches the temporary database only: nobody waits for it
        for batch in batches:
            self._connection.executemany(
                f"INSERT INTO {self.staging} ({names}) VALUES ({marks})", _tuples(batch)
            )
        self.commit()

    def begin(self) -> None:
        self.run("BEGIN IMMEDIATE")

    def namespace(self) -> str:
        return f"sqlite://{os.path.realpath(self._file)}"

    @property
    def table(self) -> str:
        return f'"main".{self.quote(self.target.table.table)}'

    def holds(self, kind: Kind, type_name: str) -> bool:
        declared = type_name.upper()
        if kind in _SPELLED_OUT and declared.startswith(("DATE", "TIME")):
            return True
        return _affinity(declared) in self.holding_types[kind]

    def adapt(self, value: object) -> object:
        if isinstance(value, dt.datetime):
            return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ")
        return value.isoformat() if isinstance(value, dt.date) else value

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self._execute(sql, parameters).rowcount

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        # Rows are fetched where a locked file can still be asked again.
        return self.target.wait_for(
            lambda: self._unless_locked(sql, parameters, fetch=True), what=self._what
        )[1]

    def stored_table(self) -> StoredTable | None:
        found = self.query(
            'SELECT name, type, "notnull", dflt_value IS NOT NULL FROM pragma_table_info(?, ?)',
            [self.target.table.table, "main"],
        )
        columns = {
            str(name).lower(): StoredColumn(name, kind, bool(required), bool(filled))
            for name, kind, required, filled in found
        }
        return StoredTable(str(self.target), columns) if columns else None

    def is_already_there(self, error: Exception) -> bool:
        return "already exists" in str(error) or "duplicate column name" in str(error)

    def explain(self, error: Exception) -> We360Error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if name.startswith("SQLITE_CONSTRAINT_NOTNULL"):
            return refusals.no_value(self.target, str(error).rpartition(".")[2])
        if name.startswith(("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")):
            return refusals.key_taken(self.target, self.load.write_mode)
        if name.startswith("SQLITE_CONSTRAINT"):
            return refusals.constraint(self.target)
        advice = next(
            (advice for prefix, advice in _ADVICE.items() if name.startswith(prefix)),
            "nothing was changed",
        )
        return SinkError(
            f"SQLite refused the load into {self.target} ({name}: {foreign_text(error)}): {advice}"
        )

    @property
    def _what(self) -> str:
        return f"the SQLite file of Connection {self.target.conn_id!r}"

    def _execute(self, sql: str, parameters: Sequence[object]) -> sqlite3.Cursor:
        return self.target.wait_for(lambda: self._unless_locked(sql, parameters), what=self._what)[
            0
        ]

    def _unless_locked(
        self, sql: str, parameters: Sequence[object], *, fetch: bool = False
    ) -> tuple[sqlite3.Cursor, list[tuple[Any, ...]]] | None:
        try:
            cursor = self._connection.execute(sql, tuple(parameters))
            return cursor, cursor.fetchall() if fetch else []
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            ):
                return None
            raise


def _tuples(batch: RowBatch) -> Iterable[tuple[Any, ...]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = []
    for column, array in zip(batch.columns, batch.to_arrow().columns, strict=True):
        spelled = array.cast(pa.string()) if column.kind in _SPELLED_OUT else array
        arrays.append(
            pc.replace_substring_regex(spelled, r"\.0+$", "")
            if column.kind is Kind.TIMESTAMP
            else spelled
        )
    return zip(*(array.to_pylist() for array in arrays), strict=True)


def _affinity(declared: str) -> str:
    """What SQLite makes of values in a column declared so (https://sqlite.org/datatype3.html, section 3.1)."""
    if "INT" in declared:
        return "integer"
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not declared or "BLOB" in declared:
        return ""
    return "real" if any(word in declared for word in ("REAL", "FLOA", "DOUB")) else "numeric"


WAREHOUSE = SqliteWarehouse
