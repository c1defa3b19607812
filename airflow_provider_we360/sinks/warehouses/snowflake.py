"""Snowflake: Parquet by PUT into a temporary stage, COPY into a temporary table, then one transaction behind a lock.

Snowflake enforces no key, and of its own it locks a table only for statements that change rows there. Two first loads of one
window would change none, and both would insert. So every load first changes the one row of a small table of ours in the same
schema: that statement waits until whoever did so before has committed, and what follows sees it (isolation is READ COMMITTED).
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from airflow_provider_we360.errors import (
    SinkBusy,
    SinkError,
    We360ConfigError,
    We360Error,
    foreign_text,
)
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import Load, WriteMode
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.glue import parts
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse, literal

PART_BYTES = 64 * 2**20
"""So much Arrow goes into one file: bounded memory, and a warehouse reads several side by side."""
LOCK_TABLE = "_we360_lock"
FOLDER_PREFIX = "we360-snowflake-"
STALE_S = 86400.0
"""A folder older than that was left by a load that was killed."""

_NUMBERS = frozenset({"number", "decimal", "numeric"})
_ALREADY_THERE = "already exists"
_HELD = 625
"""The statement waited too long for a lock, or too many others wait for it already: Snowflake takes twenty."""
_LOST = frozenset({250001, 250002, 250003, 390112, 390114, 390195})
_ADVICE = {
    606: "the Connection names no warehouse that runs statements; set warehouse in its extra, and GRANT USAGE ON WAREHOUSE",
    630: "the statement was cancelled by STATEMENT_TIMEOUT_IN_SECONDS; raise it for this user",
    604: "the statement was cancelled",
    3001: "a right is missing; see below",
}
_VALUE_FREE = ("02", "08", "0A", "3D", "42", "57", "P0")
"""Classes of SQLSTATE whose text is about names and rights. All others may quote a row."""


class SnowflakeWarehouse(Warehouse):
    """A load into Snowflake, over the official connector."""

    placeholder: ClassVar[str] = "%s"
    ddl_commits: ClassVar[bool] = True
    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: "VARCHAR",
        Kind.DURATION: "NUMBER(38, 0)",
        Kind.BIGINT: "NUMBER(38, 0)",
        Kind.DOUBLE: "FLOAT",
        Kind.TIMESTAMP: "TIMESTAMP_NTZ",
        Kind.DATE: "DATE",
        Kind.INSTANT: "TIMESTAMP_TZ",
    }
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"text", "varchar", "string"}),
        Kind.DURATION: _NUMBERS,
        Kind.BIGINT: _NUMBERS,
        Kind.DOUBLE: frozenset({"float", "double", "real"}),
        Kind.TIMESTAMP: frozenset({"timestamp_ntz"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp_tz", "timestamp_ltz"}),
    }

    _connection: Any = None
    _cursor: Any = None
    _is_locking = False

    @property
    def driver_error(self) -> tuple[type[Exception], ...]:
        driver = sys.modules.get("snowflake.connector.errors")
        return (driver.Error,) if driver else ()

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        connection = self.target.hook.get_conn()
        try:
            self._connection, self._cursor = connection, connection.cursor()
            self._settle_in()
            yield batches
        finally:
            with suppress(Exception):
                connection.close()  # ends the session, and with it the temporary table and stage

    def stage(self, batches: Iterable[RowBatch]) -> None:
        columns = [f"{self.quote(c.name)} {self.type_names[c.kind]}" for c in self.load.columns]
        self.run(f"CREATE TEMPORARY TABLE {self.staging} ({', '.join(columns)})")
        stage = f"_we360_stage_{secrets.token_hex(6)}"  # a plain name, in the session's schema: PUT is particular about names
        self.run(f"CREATE TEMPORARY STAGE {stage}")
        files = 0
        with _folder(self.load.loaded_at.timestamp()) as folder:
            for rows in parts(batches, PART_BYTES):
                files += 1
                file = folder / f"{files:05}.parquet"
                self._write(file, rows)
                self.run(f"PUT 'file://{file}' @{stage} AUTO_COMPRESS = FALSE")
                file.unlink()
        if files:
            self.run(
                f"COPY INTO {self.staging} FROM @{stage} FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
                " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT"
            )

    def lock(self) -> None:
        self._is_locking = True
        self.run(f"UPDATE {self._lock_table} SET {self.quote('loads')} = {self.quote('loads')} + 1")
        self._is_locking = False

    def create_table(self) -> None:
        """One statement, comments included: each costs a round trip to the cloud."""
        columns = ", ".join(self._declared(column) for column in self.load.all_columns)
        key = ", ".join(map(self.quote, self.load.table_key))
        promise = "" if self.load.write_mode is WriteMode.APPEND else f", PRIMARY KEY ({key})"
        self.run(
            f"CREATE TABLE {self.table} ({columns}{promise}) COMMENT = {literal(self.load.about)}"
        )

    def add_columns(self, columns: Iterable[Column]) -> None:
        for column in columns:
            self.run(
                f"ALTER TABLE {self.table} ADD COLUMN {self._declared(column, takes_null=True)}"
            )

    def _declared(self, column: Column, *, takes_null: bool = False) -> str:
        required = " NOT NULL" if column.name in self.load.table_key and not takes_null else ""
        comment = f" COMMENT {literal(column.description)}" if column.description else ""
        return f"{self.quote(column.name)} {self.type_names[column.kind]}{required}{comment}"

    def promises_key(self) -> bool:
        return bool(self.query(f"SHOW PRIMARY KEYS IN TABLE {self.table}"))

    def beside(self, target: Target, load: Load) -> Self:
        other = super().beside(target, load)
        other._settle_on_table()  # noqa: SLF001 - it is of our own kind
        return other

    def quote(self, name: str) -> str:
        return f'"{name.upper()}"'

    @property
    def table(self) -> str:
        return ".".join(map(self.quote, (self._database, self._schema, self.target.table.table)))

    def adapt(self, value: object) -> object:
        return value.isoformat() if isinstance(value, dt.date) else value

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self._cursor.execute(sql, tuple(parameters) or None)
        return int(self._cursor.rowcount or 0)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql, tuple(parameters) or None)
        return [tuple(row) for row in self._cursor.fetchall()]

    def stored_table(self) -> StoredTable | None:
        found = self.query(
            "SELECT column_name, data_type, is_nullable, column_default, is_identity"
            f" FROM {self.quote(self._database)}.information_schema.columns WHERE table_schema = %s AND table_name = %s",
            (self._schema.upper(), self.target.table.table.upper()),
        )
        columns = {
            str(name).lower(): StoredColumn(
                str(name).lower(),
                kind,
                takes_null == "NO",
                default is not None or identity == "YES",
            )
            for name, kind, takes_null, default, identity in (
                (str(one[0]).lower(), *one[1:]) for one in found
            )
        }
        return StoredTable(str(self.target), columns) if columns else None

    def is_already_there(self, error: Exception) -> bool:
        return _ALREADY_THERE in str(error)

    def is_conflict(self, error: Exception) -> bool:
        return getattr(error, "errno", None) == _HELD

    def explain(self, error: Exception) -> We360Error:
        number, state = (
            int(getattr(error, "errno", None) or 0),
            str(getattr(error, "sqlstate", None) or ""),
        )
        if self._connection is None:
            return SinkError(
                f"sql_conn_id: no connection to Snowflake through {self.target.conn_id!r} ({foreign_text(error)}); check "
                "account, warehouse, database and role in its extra, Login and Password or key"
            )
        if number in _LOST:
            return refusals.lost(self.target, "Snowflake", at_commit=self.is_committing)
        if number == _HELD or (self._is_locking and state.startswith("57")):
            return SinkBusy(
                f"table: another load held {self.target} for too long; nothing was changed. Run the task again"
            )
        if number == 100072 or "NULL result in a non-nullable column" in str(error):
            return refusals.no_value(self.target, None)
        if state == "42501" or number == 3001:
            return self._forbidden()
        if state.startswith("22") or number // 1000 == 100:
            return SinkError(
                f"table: a value does not fit the type of its column in {self.target} (Snowflake {number}); nothing was "
                "changed. Widen the column, or leave it out of columns"
            )
        told = (
            f": {foreign_text(str(error).splitlines()[-1])}"
            if state.startswith(_VALUE_FREE)
            else ""
        )
        advice = _ADVICE.get(
            number,
            "nothing was changed; check that database and schema exist and that the role may use them",
        )
        return SinkError(
            f"Snowflake refused the load into {self.target} ({number}{told}): {advice}"
        )

    def _forbidden(self) -> SinkError:
        schema = f"{self.quote(self._database)}.{self.quote(self._schema)}"
        role = f'"{self._connection.role or "the role"}"'
        return SinkError(
            f"table: {role} may not do what a load into {self.target} needs; nothing was changed. "
            f"GRANT SELECT, INSERT, DELETE ON TABLE {self.table} TO ROLE {role}; to stage rows and to lock: GRANT USAGE, "
            f"CREATE TABLE, CREATE STAGE ON SCHEMA {schema} TO ROLE {role}, and SELECT, INSERT, UPDATE ON TABLE "
            f"{self._lock_table} TO ROLE {role}; columns can be added by the table's owner only"
        )

    @property
    def _lock_table(self) -> str:
        return ".".join(map(self.quote, (self._database, self._schema, LOCK_TABLE)))

    def _settle_on_table(self) -> None:
        name, session = self.target.table, self._connection
        self._database, self._schema = (
            name.database or session.database or "",
            name.schema or session.schema or "",
        )
        if not self._database or not self._schema:
            raise We360ConfigError(
                f"table: Connection {self.target.conn_id!r} opens no database or no schema; set database in its extra and its "
                f"Schema, or write database.schema.{name.table}"
            )
        self._database, self._schema = self._database.upper(), self._schema.upper()

    def _settle_in(self) -> None:
        self._settle_on_table()
        scratch = f"{self.quote(self._database)}.{self.quote(self._schema)}"
        self.staging = f"{scratch}.{self.quote(self.staging.strip(chr(34)))}"
        self.run(f"USE SCHEMA {scratch}")
        self.run(
            "ALTER SESSION SET AUTOCOMMIT = TRUE"
        )  # transactions are begun and ended in SQL, as everywhere
        self.run(f"ALTER SESSION SET LOCK_TIMEOUT = {int(self.target.patience_s)}")
        self.run(
            f"CREATE TABLE IF NOT EXISTS {self._lock_table} ({self.quote('loads')} {self.type_names[Kind.BIGINT]})"
        )
        if not self.query(f"SELECT 1 FROM {self._lock_table} LIMIT 1"):
            self.run(
                f"INSERT INTO {self._lock_table} VALUES (0)"
            )  # two that do so leave two rows, and change both

    def _write(self, file: Path, rows: list[Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            pq.write_table(pa.Table.from_batches(rows), file, compression="zstd")
        except OSError as error:
            raise refusals.no_room(error) from None


@contextmanager
def _folder(now: float) -> Iterator[Path]:
    """A folder that only this user reads. PUT wants a name, so what a killed load leaves is swept by a later one.

    :param now: seconds since the epoch.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            if old.stat().st_uid == os.getuid() and old.stat().st_mtime < now - STALE_S:
                shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as made:
        yield Path(made)


WAREHOUSE = SnowflakeWarehouse
