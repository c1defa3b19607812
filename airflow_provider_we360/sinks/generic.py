"""Any other database: staged ``executemany`` in standard SQL, over its official hook.

Nothing is known of the driver but PEP 249, and of the database only what SQLAlchemy knows of it.
There is no lock that all databases have: the primary key must keep rows unique.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from logging import getLogger
from typing import Any

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import error_messages, statements
from airflow_provider_we360.sinks.base import TENANT, LoadPlan, WriteMode
from airflow_provider_we360.sinks.dialect import Dialect, to_text
from airflow_provider_we360.sinks.error_map import DriverFacts, ErrorMap, Failure
from airflow_provider_we360.sinks.paramstyle import parameter_speller
from airflow_provider_we360.sinks.session import (
    DbSession,
    DriverFailure,
    LoadStep,
    at,
    driver_calls,
)
from airflow_provider_we360.sinks.sqlalchemy_schema import (
    build_dialect,
    open_engine,
    to_column_schema,
)
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

log = getLogger(__name__)

CHUNK_ROWS = 1000
"""Rows in one call of the driver."""
STALE_HOURS = 48
"""A staging table older than that belongs to a load that was killed."""

_STAGING = re.compile(r"_we360_stg_([0-9a-f]{6})[0-9a-f]{6}")
_ERROR_CODE = re.compile(r"(?=.*\d)[0-9A-Z]{5}|[A-Z]{3}-\d{4,5}")
_KEY_TYPE = "VARCHAR(255)"
_LOST = frozenset({"OperationalError", "InterfaceError"})


class GenericSession(DbSession):
    """A session over any PEP 249 driver, which begins transactions by itself.

    :param engine: SQLAlchemy's engine; None if it does not know the database.
    """

    def __init__(self, target: Target, connection: Any, cursor: Any, engine: Any) -> None:
        dialect = build_dialect(target.hook, engine)
        # The driver for JDBC takes numbers and texts only; its databases parse ISO 8601.
        self.sends_text = type(connection).__module__.partition(".")[0] == "jaydebeapi"
        if self.sends_text:
            dialect = replace(dialect, adapt=to_text)
        super().__init__(target, connection, cursor, dialect, ERRORS.classes)
        self.engine = engine
        self.spell = parameter_speller(connection, target.hook.placeholder)
        self.real_staging = ""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute a statement."""
        with driver_calls(self.errors, sql.partition(" ")[0]):
            self._run(sql, parameters)
            return int(self.cursor.rowcount)

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Execute a query and return all its rows."""
        with driver_calls(self.errors, "SELECT"):
            self._run(sql, parameters)
            return [tuple(row) for row in self.cursor.fetchall()]

    def _run(self, sql: str, parameters: Sequence[object]) -> None:
        spelled, values = self.spell(sql, tuple(parameters))
        self.cursor.execute(spelled, values) if parameters else self.cursor.execute(spelled)

    def begin(self) -> None:
        """Close the transaction that a look at the table has opened; the next one has begun."""
        self.rollback()

    def commit(self) -> None:
        """Commit the transaction."""
        with driver_calls(self.errors, "COMMIT"):
            self.connection.commit()

    def rollback(self) -> None:
        """Roll the transaction back."""
        with driver_calls(self.errors, "ROLLBACK"):
            self.connection.rollback()

    def resolve(self, name: TableName) -> TableRef:
        """Return the table as its name says, in lower case."""
        parts = tuple(part.lower() for part in name.parts)
        return TableRef(name, parts, ".".join(map(self.dialect.quote, parts)))


@contextmanager
def connect(target: Target) -> Iterator[GenericSession]:
    """Open a session; at its end drop the staging table that is not temporary."""
    hook, engine = target.hook, open_engine(target.hook)
    with driver_calls(ERRORS.classes, "connecting"):
        connection = hook.get_conn()
    session: GenericSession | None = None
    try:
        with at(LoadStep.PREPARE), driver_calls(ERRORS.classes, "opening a cursor"):
            if hook.supports_autocommit:
                hook.set_autocommit(connection, False)
            session = GenericSession(target, connection, connection.cursor(), engine)
        yield session
    finally:
        with suppress(Exception):
            if session is not None and session.real_staging:
                session.rollback()
                session.execute(f"DROP TABLE {session.real_staging}")
                session.commit()
        with suppress(Exception):
            connection.close()
        if engine is not None:
            engine.dispose()


_WITHOUT_TRANSACTIONS = {
    "clickhouse": ("ClickHouse", "files, and read them with its table function s3()"),
    "databricks": ("Databricks SQL", "a Delta table (We360ToLakehouseOperator)"),
    "hive_cli": ("Hive", "an Iceberg table (We360ToLakehouseOperator)"),
    "hiveserver2": ("Hive", "an Iceberg table (We360ToLakehouseOperator)"),
    "impala": ("Impala", "an Iceberg table (We360ToLakehouseOperator)"),
    "presto": ("Presto", "an Iceberg table (We360ToLakehouseOperator)"),
    "trino": ("Trino", "an Iceberg table (We360ToLakehouseOperator)"),
}
"""Databases that commit each statement, by connection type: their name, and where to load."""


def check(target: Target) -> None:
    """Refuse a database that is known to have no transactions, before any row is requested."""
    known = _WITHOUT_TRANSACTIONS.get(str(target.hook.conn_type))
    if known is not None:
        database, way_out = known
        raise We360ConfigError(
            f"sql_conn_id: {database} behind {target.conn_id!r} has no transactions over several "
            f"statements, so a failed load would leave half of its rows; load into {way_out}"
        )


# Staging


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Insert all batches into a staging table, which is temporary if the database has such."""
    assert isinstance(session, GenericSession)
    plan = table.plan
    name = _create_staging(session, table)
    _require_transactions(session, table, name)
    sql = (
        f"INSERT INTO {name} ({table.names(plan.all_columns)})"
        f" VALUES ({', '.join('?' for _ in plan.all_columns)})"
    )
    constants = [itertools.repeat(session.dialect.adapt(v)) for v in plan.constants.values()]
    sent = 0
    for batch in batches:
        arrow = batch.to_arrow()
        _check_keys(table, arrow)
        arrays = map(_to_text, arrow.columns) if session.sends_text else arrow.columns
        rows = zip(*constants, *(array.to_pylist() for array in arrays), strict=False)
        while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
            spelled = [session.spell(sql, row) for row in chunk]
            with driver_calls(session.errors, "INSERT into the staging table"):
                session.cursor.executemany(spelled[0][0], [values for _, values in spelled])
            sent += len(chunk)
        session.commit()  # no other session waits while the next rows are fetched
    if statements.count_rows(session, name) != sent:
        raise SinkError(
            f"table: the database lost rows of the staging table of {table.ref}; nothing was "
            "changed"
        )
    session.commit()
    return name


def _to_text(array: Any) -> Any:
    import pyarrow as pa

    is_time = pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)
    return array.cast(pa.string()) if is_time else array


def _create_staging(session: GenericSession, table: LoadTable) -> str:
    # The hour in its name says how old the table of a killed load is.
    hour = int(table.plan.loaded_at.timestamp() // 3600)
    name = f"_we360_stg_{hour:06x}{secrets.token_hex(3)}"
    columns = ", ".join(
        f"{table.quote(column.name)} {_type_of(session.dialect, table.plan, column)}"
        for column in table.plan.all_columns
    )
    quoted = session.dialect.quote(name)
    # By the standard a temporary table is emptied at commit without this clause, which some
    # databases do not know.
    for end in (" ON COMMIT PRESERVE ROWS", ""):
        try:
            session.execute(f"CREATE TEMPORARY TABLE {quoted} ({columns}){end}")
            session.commit()
        except DriverFailure:
            session.rollback()
        else:
            return quoted
    _sweep(session, hour)
    session.real_staging = _next_to_target(session, name)
    session.execute(f"CREATE TABLE {session.real_staging} ({columns})")
    session.commit()
    return session.real_staging


def _next_to_target(session: GenericSession, name: str) -> str:
    return ".".join(map(session.dialect.quote, [*session.target.table.parts[:-1], name]))


def _require_transactions(session: GenericSession, table: LoadTable, staging: str) -> None:
    """Refuse a database that cannot roll back: a failed load would leave half of its rows."""
    session.execute(
        f"INSERT INTO {staging} ({table.quote(TENANT.name)}) VALUES (?)", [table.plan.tenant]
    )
    session.rollback()
    stayed = statements.count_rows(session, staging)
    session.commit()
    if stayed:
        raise We360ConfigError(
            f"sql_conn_id: the database behind {session.target.conn_id!r} does not roll back (it "
            "has no transactions, or its hook commits each statement), so a failed load would "
            "leave half of its rows; load into files or a table of a lake instead"
        )


def _sweep(session: GenericSession, hour: int) -> None:
    """Drop the staging tables that killed loads have left next to the target."""
    with suppress(Exception):  # another load may drop them at the same time
        names = (
            []
            if session.engine is None
            else _inspect(session).get_table_names(schema=_schema_of(session.target.table))
        )
        for name in names:
            found = _STAGING.fullmatch(name.lower())
            if found and hour - int(found[1], 16) > STALE_HOURS:
                session.execute(f"DROP TABLE {_next_to_target(session, name)}")
                session.commit()
                log.info("Dropped %s, which a killed load had left", name)
    session.rollback()


def _check_keys(table: LoadTable, arrow: Any) -> None:
    """Check keys for NULL here, because an unknown driver does not name the column."""
    for number, column in enumerate(table.plan.staged_columns):
        is_key = column.name in table.plan.table_key
        if is_key and arrow.column(number).null_count:
            raise error_messages.missing_value(table.ref, column.name)


# Table and columns


def _type_of(dialect: Dialect, plan: LoadPlan, column: Column) -> str:
    if column.kind is Kind.TEXT and column.name in plan.table_key:
        return _KEY_TYPE  # few databases index texts without a length
    return dialect.types[column.kind]


def create_table(session: DbSession, ref: TableRef, plan: LoadPlan) -> None:
    """Create the table with its key."""
    parts = []
    for column in plan.all_columns:
        required = " NOT NULL" if column.name in plan.table_key else ""
        kind = _type_of(session.dialect, plan, column)
        parts.append(f"{session.dialect.quote(column.name.lower())} {kind}{required}")
    parts += statements.primary_key(session.dialect, plan)
    session.execute(f"CREATE TABLE {ref.sql} ({', '.join(parts)})")


def add_columns(
    session: DbSession, ref: TableRef, plan: LoadPlan, columns: Sequence[Column]
) -> None:
    """Add columns, with the keyword that most databases share."""
    for column in columns:
        name = session.dialect.quote(column.name.lower())
        kind = _type_of(session.dialect, plan, column)
        session.execute(f"ALTER TABLE {ref.sql} ADD {name} {kind}")


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table through SQLAlchemy, or its names alone from an empty query."""
    assert isinstance(session, GenericSession)
    with driver_calls(session.errors, "looking at the table"):
        found = _reflect(session, ref) if session.engine is not None else _describe(session, ref)
    columns = {column.name.lower(): column for column in found}
    # If two names differ by case only, the one in lower case is meant.
    columns |= {column.name: column for column in found if column.name.islower()}
    return TableSchema(ref, columns) if columns else None


def _inspect(session: GenericSession) -> Any:
    import sqlalchemy as sa

    return sa.inspect(session.engine)  # a new one each time: it remembers what it has seen


def _schema_of(name: TableName) -> str | None:
    return ".".join(name.parts[:-1]).lower() or None


def _reflect(session: GenericSession, ref: TableRef) -> list[ColumnSchema]:
    inspector, name, schema = _inspect(session), ref.parts[-1], _schema_of(ref.name)
    if not inspector.has_table(name, schema=schema):
        return []
    return [
        to_column_schema(column, session.engine.dialect)
        for column in inspector.get_columns(name, schema=schema)
    ]


def _describe(session: GenericSession, ref: TableRef) -> list[ColumnSchema]:
    try:
        session._run(f"SELECT * FROM {ref.sql} WHERE 1 = 0", ())  # noqa: SLF001
    except Exception:  # noqa: BLE001 - the table does not exist, or creating it will say why
        return []
    else:
        return [ColumnSchema(str(column[0]), "") for column in session.cursor.description]
    finally:
        session.rollback()


# Errors


def _read_error(error: Exception) -> DriverFacts:
    """Return class and code only: an unknown driver's text may quote a row."""
    first = error.args[0] if error.args else None
    found = [getattr(error, "sqlstate", None), getattr(error, "pgcode", None), first]
    found.append(getattr(first, "full_code", None))  # Oracle
    with suppress(Exception):
        found.append(str(first.getSQLState()))  # type: ignore[union-attr] # JDBC
    codes = (one for one in found if isinstance(one, str) and _ERROR_CODE.fullmatch(one))
    return DriverFacts(next(codes, ""), type(error).__name__)


def _explain_first(failure: Failure) -> We360Error:
    kinds = {kind.__name__ for kind in type(failure.error).__mro__}
    code, table = failure.facts.code, failure.table
    name = f"{type(failure.error).__name__}, {code}" if code else type(failure.error).__name__
    if failure.step is LoadStep.CONNECT:
        return SinkError(
            f"sql_conn_id: no connection through {failure.target.conn_id!r} ({name}); check its "
            "fields with its Test button, and that the driver of its provider is installed"
        )
    if "IntegrityError" in kinds:
        if failure.plan.write_mode is WriteMode.APPEND:
            return SinkError(
                f"write_mode: a constraint of {table} refuses the rows ({name}); nothing was "
                "changed. Use write_mode='replace_window' or 'merge' if the table has a key that "
                "admits each row once"
            )
        return SinkError(
            f"table: a constraint of {table} refuses the rows, or another load of the same rows "
            f"was first ({name}); nothing was changed. Run the task again; if it fails again, "
            "check the table's keys and conditions"
        )
    lost = " The connection may be lost: run the task again." if _LOST & kinds else ""
    return SinkError(
        f"table: the database refused the load into {table} at {failure.statement} ({name}); "
        f"nothing was changed.{lost} The error's text may hold values and is not shown: see the "
        "database's own log"
    )


ERRORS = ErrorMap(
    database="the database",
    classes=lambda: (Exception,),
    read=_read_error,
    # Nothing is known of the error: if the table has changed since the last look, another load
    # was first.
    is_already_there=lambda error: True,
    connect_hint="",
    explain_first=_explain_first,
    code_label="error",
)
WAREHOUSE = Warehouse(
    check=check,
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    create_table=create_table,
    add_columns=add_columns,
    spells_names=True,
)
