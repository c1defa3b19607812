"""PostgreSQL: COPY into a temporary table, over ADBC if it is there; then one transaction under a lock on the table."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, ClassVar, Self

from airflow_provider_we360.errors import SinkBusy, SinkError, We360Error, foreign_text
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import adbc, refusals
from airflow_provider_we360.sinks.base import Load
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.glue import glued
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse

CHUNK_BYTES = 4 * 2**20
"""So much CSV goes into one COPY: few round trips, bounded memory, and no statement is open while We360 is asked."""

_INTEGERS = frozenset({"bigint", "integer", "smallint", "numeric"})

_ALREADY_THERE = frozenset({"42P07", "42701", "42710"})  # table, column, type of the table
_VALUE_FREE = ("0A", "25", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
"""Classes of SQLSTATE whose text is about names and the server. All others may quote a row, or a trigger's words."""

_ADVICE = {
    "25006": "the server takes no writes; point the Connection to the primary, not to a replica",
    "3F000": "create the schema first: CREATE SCHEMA",
    "42P01": "if a pooler stands between (PgBouncer in transaction mode), connect to the server: a load needs a session",
    "53100": "the server's disk is full; free some room there",
    "53200": "the server is short of memory",
    "53300": "the server has no connection left; put the tasks into a pool",
    "57014": "the statement was cancelled, perhaps by statement_timeout of the role; raise it",
}
_DRIVERS = ("psycopg", "psycopg2", "adbc_driver_manager")
_MISUSE = frozenset(
    {2, 5, 7}
)  # ADBC: not implemented, invalid argument, invalid data, and not from the server
_BUSY = frozenset({"40001", "40P01", "55P03"})  # could not serialise, deadlock, lock not available


class PostgresWarehouse(Warehouse):
    """A load into PostgreSQL, over ADBC, or else over psycopg 3 or psycopg2, whichever the hook uses."""

    placeholder: ClassVar[str] = "%s"
    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: "text",
        Kind.DURATION: "bigint",
        Kind.BIGINT: "bigint",
        Kind.DOUBLE: "double precision",
        Kind.TIMESTAMP: "timestamp without time zone",
        Kind.DATE: "date",
        Kind.INSTANT: "timestamp with time zone",
    }
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"text", "character varying"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double precision", "numeric"}),
        Kind.TIMESTAMP: frozenset({"timestamp without time zone"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp with time zone"}),
    }

    _connection: Any = None
    _cursor: Any = None
    _user = "the role"

    @property
    def driver_error(self) -> tuple[type[Exception], ...]:
        """Of whichever driver is loaded: an error of one that is not cannot come."""
        return tuple(sys.modules[driver].Error for driver in _DRIVERS if driver in sys.modules)

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        connection = self._connect()
        try:
            self._connection = connection
            self._cursor = self._plain_cursor()
            self._settle_in()
            yield batches
        finally:
            with suppress(Exception):
                connection.close()

    def _connect(self) -> Any:
        if adbc.is_usable(self.target.hook):
            return adbc.connect(self.target.hook)
        connection = self.target.hook.get_conn()
        connection.autocommit = True  # transactions are begun and ended in SQL, as everywhere
        return connection

    def stage(self, batches: Iterable[RowBatch]) -> None:
        columns = [f"{self.quote(c.name)} {self.type_names[c.kind]}" for c in self.load.columns]
        self.run(f"CREATE TEMPORARY TABLE {self.staging} ({', '.join(columns)})")
        if isinstance(self._connection, adbc.AdbcSession):
            names = [column.name.lower() for column in self.load.columns]
            for rows in glued(batches):
                self._connection.ingest(self.staging.strip('"'), rows.rename_columns(names))
        else:
            self._stage_as_csv(batches)

    def _stage_as_csv(self, batches: Iterable[RowBatch]) -> None:
        import pyarrow as pa
        from pyarrow import csv

        # Text is always quoted, so that empty text ("") and NULL (nothing) are told apart.
        options = csv.WriteOptions(include_header=False, quoting_style="needed")
        chunk = pa.BufferOutputStream()
        for batch in batches:
            csv.write_csv(batch.to_arrow(), chunk, options)
            if chunk.tell() >= CHUNK_BYTES:
                self._copy(chunk.getvalue())
                chunk = pa.BufferOutputStream()
        if chunk.tell():
            self._copy(chunk.getvalue())

    def _copy(self, csv: Any) -> None:
        names = ", ".join(self.quote(column.name) for column in self.load.columns)
        sql = f"COPY {self.staging} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
        if self._is_psycopg3:
            with self._cursor.copy(sql) as copy:
                copy.write(memoryview(csv))
        else:
            self._cursor.copy_expert(sql, io.BytesIO(csv))

    def lock(self) -> None:
        self.run(f"LOCK TABLE {self.table} IN SHARE ROW EXCLUSIVE MODE")

    def quote(self, name: str) -> str:
        return f'"{name.lower()}"'

    def full_name(self) -> tuple[str, ...]:
        found = self.query(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
            [self.table],
        )
        return (self._database, *(schema for (schema,) in found), self.target.table.table.lower())

    def beside(self, target: Target, load: Load) -> Self:
        refusals.require_database(target, self._database)
        return super().beside(target, load)

    @property
    def table(self) -> str:
        name = self.target.table
        return ".".join(self.quote(part) for part in (name.schema, name.table) if part)

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self._cursor.execute(sql, list(parameters) or None)
        return int(self._cursor.rowcount)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql, list(parameters) or None)
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    def stored_table(self) -> StoredTable | None:
        found = self.query(
            "SELECT a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL), a.attnotnull,"
            " a.atthasdef OR a.attidentity <> '' FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped",
            [self.table],
        )
        return (
            StoredTable(str(self.target), {column[0]: StoredColumn(*column) for column in found})
            if found
            else None
        )

    def is_already_there(self, error: Exception) -> bool:
        if (
            _sqlstate(error) == "23505"
        ):  # two who create one table at once meet in the catalogue's own index
            return str(getattr(_diagnosis(error), "schema_name", "")) == "pg_catalog"
        return _sqlstate(error) in _ALREADY_THERE

    def explain(self, error: Exception) -> We360Error:
        state = _sqlstate(error)
        if self._connection is None:
            return SinkError(
                f"sql_conn_id: no connection to PostgreSQL through {self.target.conn_id!r} ({foreign_text(error)}); "
                "check Host, Port, Schema (the database), Login and Password"
            )
        if not state and getattr(error, "status_code", None) in _MISUSE:
            return SinkError(
                f"ADBC's driver cannot load into {self.target}; nothing was changed. Uninstall it: COPY will do"
            )
        if not state or state.startswith(("08", "57P")):
            return refusals.lost(self.target, "PostgreSQL", at_commit=self.is_committing)
        if state in _BUSY:
            return SinkBusy(
                f"table: another load held {self.target} for too long ({state}); nothing was changed. Run the task again"
            )
        if state == "42501":
            return self._forbidden()
        if state.startswith("23"):
            return self._constraint(state, getattr(_diagnosis(error), "column_name", None))
        if state.startswith("22"):
            return SinkError(
                f"table: a value does not fit the type of its column in {self.target} (SQLSTATE {state}); nothing was changed. "
                "Widen the column, or leave it out of columns"
            )
        told = (
            getattr(_diagnosis(error), "message_primary", None)
            if state.startswith(_VALUE_FREE)
            else None
        )
        advice = next(
            (advice for prefix, advice in _ADVICE.items() if state.startswith(prefix)),
            "nothing was changed",
        )
        text = f": {foreign_text(told)}" if told else ""
        return SinkError(
            f"PostgreSQL refused the load into {self.target} (SQLSTATE {state}{text}): {advice}"
        )

    def _forbidden(self) -> SinkError:
        role = self.quote(self._user) if self._user.islower() else f'"{self._user}"'
        schema = f'"{(self.target.table.schema or "public").lower()}"'
        return SinkError(
            f"table: {role} may not do what a load into {self.target} needs; nothing was changed. "
            f"GRANT SELECT, INSERT, DELETE ON {self.table} TO {role}; to stage rows: GRANT TEMPORARY ON DATABASE "
            f'"{self._database}" TO {role}; to create the table: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; '
            "columns can be added by the table's owner only"
        )

    def _constraint(self, state: str, column: str | None) -> SinkError:
        if state == "23502":
            return refusals.no_value(self.target, column)
        if state == "23505":
            return refusals.key_taken(self.target, self.load.write_mode)
        return refusals.constraint(self.target)

    @property
    def _is_psycopg3(self) -> bool:
        return hasattr(self._connection, "pgconn")

    def _plain_cursor(self) -> Any:
        """A cursor that hands out tuples, whatever kind the Connection asks for."""
        if isinstance(self._connection, adbc.AdbcSession):
            return self._connection
        if self._is_psycopg3:
            from psycopg.rows import tuple_row

            return self._connection.cursor(row_factory=tuple_row)
        from psycopg2.extensions import cursor  # type: ignore[import-untyped, unused-ignore]

        return self._connection.cursor(cursor_factory=cursor)

    def _settle_in(self) -> None:
        self._database, self._user = self.query("SELECT current_database(), current_user")[0]
        refusals.require_database(self.target, self._database)
        # Without a bound of the role's own, ours: nobody shall wait for ever behind a forgotten session.
        self.query(
            "SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') = '0'",
            [str(int(self.target.patience_s * 1000))],
        )


def _sqlstate(error: Exception) -> str:
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")


def _diagnosis(error: Exception) -> Any:
    details = getattr(error, "details", None)
    if not isinstance(details, list):
        return getattr(error, "diag", None)
    fields = {_text(name).removeprefix("PG_DIAG_").lower(): _text(value) for name, value in details}
    return SimpleNamespace(**fields)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


WAREHOUSE = PostgresWarehouse
