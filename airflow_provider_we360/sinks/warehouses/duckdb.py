"""DuckDB: one file, one writing process at a time. The file is open only while rows move from a spool into it."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_we360.errors import (
    SinkBusy,
    SinkError,
    We360ConfigError,
    We360Error,
    foreign_text,
)
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import Load
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.glue import glued
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

_INTEGERS = frozenset({"bigint", "integer", "hugeint"})
_FILES: dict[str, threading.Lock] = {}
"""A lock for each file that this process has loaded into: DuckDB's own lock keeps out other processes only."""

_VALUE_FREE = ("Binder", "Catalog", "Connection", "IO", "OutOfMemory", "Parser", "Permission")
"""Exceptions whose text is about names and files. All others may quote a row."""


class DuckDBWarehouse(Warehouse):
    """A load into a DuckDB file.

    Batches go to an unlinked temporary file first, so that the database is not held while We360 is asked.
    """

    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: "VARCHAR",
        Kind.DURATION: "BIGINT",
        Kind.BIGINT: "BIGINT",
        Kind.DOUBLE: "DOUBLE",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.DATE: "DATE",
        Kind.INSTANT: "TIMESTAMP",  # holds UTC: reading TIMESTAMPTZ would need pytz, which nothing here brings
    }
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"varchar"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double"}),
        Kind.TIMESTAMP: frozenset({"timestamp"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp", "timestamp with time zone"}),
    }

    _connection: Any
    _spool: IO[bytes]

    @classmethod
    def require_usable(cls, target: Target) -> None:
        database = str(target.hook.get_database() or ":memory:")
        if database.startswith(":memory:"):
            raise refusals.in_memory("DuckDB", target)
        if database.startswith(("md:", "motherduck:")):
            raise We360ConfigError(
                f"sql_conn_id: {target.conn_id!r} is MotherDuck; this provider loads into DuckDB files only"
            )
        if target.hook.read_only:
            raise We360ConfigError(
                f"sql_conn_id: the extra of {target.conn_id!r} says read_only; take that out"
            )

    @property
    def driver_error(self) -> type[Exception]:
        import duckdb

        return duckdb.Error

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        with tempfile.TemporaryFile(prefix="we360-") as self._spool:
            self._fill_spool(batches)
            with self._file_to_ourselves():
                self._connection = self.target.wait_for(self._connect, what=self._file)
                try:
                    self._require_own_database()
                    yield ()
                finally:
                    self._connection.close()

    def stage(self, batches: Iterable[RowBatch]) -> None:
        """Nothing to do: the spool is the staging."""

    def staged(self) -> str:
        import pyarrow as pa

        self._spool.seek(0)
        # A stream of Arrow batches can be read once, so each statement gets its own.
        self._connection.register(self.staging.strip('"'), pa.ipc.open_stream(self._spool))
        return self.staging

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        changed = self.query(sql, parameters)
        return int(changed[0][0]) if changed and isinstance(changed[0][0], int) else 0

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql, list(parameters)).fetchall()
        return rows

    def beside(self, target: Target, load: Load) -> Self:
        refusals.require_database(target, self._database)
        return super().beside(target, load)

    @property
    def table(self) -> str:
        name = self.target.table
        return ".".join(
            self.quote(part) for part in (self._database, name.schema or self._schema, name.table)
        )

    def namespace(self) -> str:
        return f"duckdb://{os.path.realpath(self._file)}"

    def adapt(self, value: object) -> object:
        import datetime as dt

        return (
            value.astimezone(dt.UTC).replace(tzinfo=None)
            if isinstance(value, dt.datetime)
            else value
        )

    def stored_table(self) -> StoredTable | None:
        found = self.query(
            "SELECT column_name, data_type, NOT is_nullable, column_default IS NOT NULL FROM duckdb_columns() "
            "WHERE database_name = ? AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)",
            (self._database, self.target.table.schema or self._schema, self.target.table.table),
        )
        columns = {str(column[0]).lower(): StoredColumn(*column) for column in found}
        return StoredTable(str(self.target), columns) if columns else None

    def is_already_there(self, error: Exception) -> bool:
        return type(error).__name__ == "CatalogException" and "already exists" in str(error)

    def explain(self, error: Exception) -> We360Error:
        kind, text = type(error).__name__.removesuffix("Exception"), str(error)
        if "constraint" in text:
            return self._constraint(text)
        if kind == "Transaction" and re.search("o space|write|flush", text):
            kind = "IO"  # the disk was full at COMMIT
        if kind == "Transaction":
            return SinkBusy(
                f"table: another connection of this process changed {self.target} meanwhile; run the task again"
            )
        if kind == "Catalog" and "chema" in text:
            return SinkError(
                f"table: the schema of {self.target} does not exist in {self._file}; CREATE SCHEMA first"
            )
        told = (
            foreign_text(text.splitlines()[0])
            if kind in _VALUE_FREE
            else "its text may hold values and is not shown"
        )
        advice = {
            "IO": "check that the path exists, is writable, and that the disk has room",
            "Connection": "another connection of this process has the file open with other settings; close it",
            "Conversion": "a value does not fit the type of its column; widen the column",
            "OutOfMemory": "raise memory_limit, or set temp_directory, in the Connection's extra",
            "OutOfRange": "a number does not fit the type of its column; widen the column",
        }.get(kind, "nothing was changed")
        return SinkError(f"DuckDB refused the load into {self.target} ({kind}: {told}): {advice}")

    def _constraint(self, text: str) -> SinkError:
        if column := re.search(r"NOT NULL constraint failed: \S*?([^.\s]+)$", text.splitlines()[0]):
            return refusals.no_value(self.target, column[1])
        if re.search(r"primary key|unique", text, re.IGNORECASE):
            return refusals.key_taken(self.target, self.load.write_mode)
        return refusals.constraint(self.target)

    @property
    def _file(self) -> str:
        return str(self.target.hook.get_database())

    def _fill_spool(self, batches: Iterable[RowBatch]) -> None:
        """The batches as an Arrow stream: its schema, then a message a batch.

        A stream writer of Arrow would call the file once a buffer, and each call would wait for the threads that fetch.
        """
        from airflow_provider_we360.rows.arrow import arrow_schema

        self._add_to_spool(arrow_schema(self.load.columns).serialize())
        for batch in glued(batches):
            self._add_to_spool(batch.serialize())
        with self._room():
            self._spool.flush()

    def _add_to_spool(self, message: pa.Buffer) -> None:
        with self._room():
            self._spool.write(message)

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            os.ftruncate(
                self._spool.fileno(), 0
            )  # what is buffered yet shall find room when the file is closed
            raise refusals.no_room(error) from None

    @contextmanager
    def _file_to_ourselves(self) -> Iterator[None]:
        lock = _FILES.setdefault(os.path.realpath(self._file), threading.Lock())
        self.target.wait_for(lambda: lock.acquire(blocking=False) or None, what=self._file)
        try:
            yield
        finally:
            lock.release()

    def _connect(self) -> Any:
        """The connection; None while another process has the file."""
        try:
            return self.target.hook.get_conn()
        except self.driver_error as error:
            if "Could not set lock" in str(error):
                return None
            raise

    def _require_own_database(self) -> None:
        self._database, self._schema = self.query("SELECT current_database(), current_schema()")[0]
        refusals.require_database(self.target, self._database)


WAREHOUSE = DuckDBWarehouse
