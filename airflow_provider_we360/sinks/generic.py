"""Any database without a file in ``warehouses/``: staged ``executemany``, in SQL that the standard has, over its official hook.

Nothing is known of the driver but PEP 249, and of the database but what SQLAlchemy knows of it, where it knows it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from logging import getLogger
from typing import Any, ClassVar, TypeVar

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import TENANT, Load, WriteMode
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.paramstyle import speller
from airflow_provider_we360.sinks.reflection import engine_of, stored_column
from airflow_provider_we360.sinks.scope import Condition
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse

log = getLogger(__name__)
T = TypeVar("T")

CHUNK_ROWS = 1000
"""So many rows go to the driver at once."""
STALE_HOURS = 48
"""A staging table older than that was left by a load that was killed."""

_STAGING = re.compile(r"_we360_stg_([0-9a-f]{6})[0-9a-f]{6}")
_INTEGERS = frozenset(
    {"bigint", "integer", "int", "int8", "int64", "numeric", "decimal", "number", "hugeint"}
)
_MOMENTS = frozenset(
    {"timestamp", "datetime", "datetime2", "timestamp without time zone", "timestamp_ntz"}
)
_TEXTS = frozenset(
    {
        "text",
        "varchar",
        "character varying",
        "string",
        "clob",
        "nvarchar",
        "nclob",
        "varchar2",
        "nvarchar2",
        "long varchar",
    }
    | {"tinytext", "mediumtext", "longtext", "ntext"}
)
_STANDARD = {
    Kind.TEXT: "VARCHAR(4000)",
    Kind.DURATION: "BIGINT",
    Kind.BIGINT: "BIGINT",
    Kind.DOUBLE: "DOUBLE PRECISION",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.DATE: "DATE",
    Kind.INSTANT: "TIMESTAMP",  # holds UTC
}
_STANDARD_KEY = "VARCHAR(255)"
_LOST = frozenset({"OperationalError", "InterfaceError"})


class _Refused(Exception):
    """Something that the driver raised, of which no more is told than its class: its text may quote a row."""

    def __init__(self, step: str, error: Exception) -> None:
        self.step = step
        self.kinds = tuple(kind.__name__ for kind in type(error).__mro__)
        super().__init__(f"{self.kinds[0]} at {step}")


class GenericWarehouse(Warehouse):
    """A load over any ``DbApiHook``. There is no lock that all databases know: the primary key must do."""

    has_comments: ClassVar[bool] = False  # no two say them alike
    type_names: ClassVar[Mapping[Kind, str]] = _STANDARD
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: _TEXTS,
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset(
            {
                "double precision",
                "double_precision",
                "double",
                "float",
                "float8",
                "float64",
                "binary_double",
            }
        ),
        Kind.TIMESTAMP: _MOMENTS,
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: _MOMENTS,
    }

    _connection: Any = None
    _cursor: Any = None
    _engine: Any = None
    _tells_counts = True
    _leaves_staging = False

    def __init__(self, target: Target, load: Load) -> None:
        self._names: dict[str, str] = {}
        self._seen: frozenset[str] = frozenset()
        self._hour = int(load.loaded_at.timestamp() // 3600)
        super().__init__(target, load)
        # Its age is in its name, for whoever comes after a load that was killed.
        self._staging_name = f"_we360_stg_{self._hour:06x}{secrets.token_hex(3)}"

    @property
    def driver_error(self) -> type[Exception]:
        return _Refused

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        hook = self.target.hook
        self._engine = engine_of(hook)
        self.staging = self.quote(self._staging_name)
        connection = self._told("connecting", hook.get_conn)
        try:
            if hook.supports_autocommit:
                self._told("SET AUTOCOMMIT", lambda: hook.set_autocommit(connection, False))
            self._cursor = self._told("opening a cursor", connection.cursor)
            self._connection = connection
            self._spell = speller(connection, hook.placeholder)
            yield batches
        finally:
            with suppress(Exception):
                self._drop_staging()
            with suppress(Exception):
                connection.close()
            if self._engine is not None:
                self._engine.dispose()

    # Staging

    def stage(self, batches: Iterable[RowBatch]) -> None:
        self._make_staging()
        self._require_transactions()
        names = ", ".join(self.quote(column.name) for column in self.load.all_columns)
        marks = ", ".join(self.placeholder for _ in self.load.all_columns)
        sql = f"INSERT INTO {self.staging} ({names}) VALUES ({marks})"
        sent = 0
        for batch in batches:
            self._require_keys(batch)
            rows = self._tuples(batch)
            while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
                self._insert_chunk(sql, chunk)
                sent += len(chunk)
            self.commit()  # nobody shall wait for us while We360 is asked
        if self.count(Condition("1 = 1"), staged=True) != sent:
            raise SinkError(
                f"table: the database lost rows between the staging table and {self.target}; nothing was changed"
            )
        self.commit()

    def _make_staging(self) -> None:
        columns = ", ".join(
            f"{self.quote(c.name)} {self._type_of(c)}" for c in self.load.all_columns
        )
        # By the standard a temporary table is emptied at commit, unless told; some know no such words.
        for end in (" ON COMMIT PRESERVE ROWS", ""):
            try:
                self.run(f"CREATE TEMPORARY TABLE {self.staging} ({columns}){end}")
                self.commit()
            except _Refused:
                self.rollback()
            else:
                return
        self._sweep()
        self.staging = ".".join(
            [*map(self.quote, self.target.table.parts[:-1]), self.quote(self._staging_name)]
        )
        self._leaves_staging = True
        self.run(f"CREATE TABLE {self.staging} ({columns})")
        self.commit()

    def _require_transactions(self) -> None:
        """A database that takes nothing back would be left with half a load."""
        self.run(
            f"INSERT INTO {self.staging} ({self.quote(TENANT.name)}) VALUES ({self.placeholder})",
            [self.load.tenant],
        )
        self.rollback()
        stayed = self.count(Condition("1 = 1"), staged=True)
        self.commit()
        if stayed:
            raise We360ConfigError(
                f"sql_conn_id: the database behind {self.target.conn_id!r} takes nothing back (no transactions, or its hook "
                "commits each statement), so that a broken load would leave half of its rows; load into files instead"
            )

    def _drop_staging(self) -> None:
        if self._leaves_staging:
            self.rollback()
            self.run(f"DROP TABLE {self.staging}")
            self.commit()

    def _sweep(self) -> None:
        """Drop what killed loads have left beside the target."""
        with suppress(Exception):  # another load may be at it, too
            for name in (
                self._inspector().get_table_names(schema=self._schema)
                if self._engine is not None
                else ()
            ):
                left = _STAGING.fullmatch(name.lower())
                if left and self._hour - int(left[1], 16) > STALE_HOURS:
                    self.run(
                        f"DROP TABLE {'.'.join([*map(self.quote, self.target.table.parts[:-1]), self.quote(name)])}"
                    )
                    self.commit()
                    log.info("Dropped %s, left by a load that was killed", name)
        self.rollback()

    def _insert_chunk(self, sql: str, chunk: Sequence[tuple[object, ...]]) -> None:
        spelled = [self._spell(sql, row) for row in chunk]
        self._told(
            "INSERT into the staging table",
            lambda: self._cursor.executemany(spelled[0][0], [row for _, row in spelled]),
        )
        self._tells_counts = self._tells_counts and self._cursor.rowcount >= 0

    def _require_keys(self, batch: RowBatch) -> None:
        """Unknown drivers do not tell which column took no NULL; of the keys we know."""
        if self._is_ours:
            arrow = batch.to_arrow()
            for number, column in enumerate(batch.columns):
                if column.name in self.load.table_key and arrow.column(number).null_count:
                    raise refusals.no_value(self.target, column.name)

    def _tuples(self, batch: RowBatch) -> Iterator[tuple[object, ...]]:
        ours = [itertools.repeat(self.adapt(value)) for value in self.load.constants.values()]
        return zip(*ours, *(array.to_pylist() for array in batch.to_arrow().columns), strict=False)

    # One transaction

    def begin(self) -> None:
        """It has begun: PEP 249 knows no other way. What a look at the table has opened is closed first."""
        self.rollback()

    def commit(self) -> None:
        self._told("COMMIT", self._connection.commit)

    def rollback(self) -> None:
        self._told("ROLLBACK", self._connection.rollback)

    def delete(self, condition: Condition) -> int:
        return self._counted(condition, lambda: super(GenericWarehouse, self).delete(condition))

    def delete_staged_keys(self, condition: Condition) -> int:
        held = self.quote(self.target.table.table)
        same = " AND ".join(
            f"come.{name} = {held}.{name}" for name in map(self.quote, self.load.key)
        )
        both = condition & Condition(f"EXISTS (SELECT 1 FROM {self.staging} come WHERE {same})")
        return self.delete(both)

    def insert(self, condition: Condition) -> int:
        names = ", ".join(self.quote(column.name) for column in self.load.all_columns)
        rows = self.count(condition, staged=True)
        self.run(
            f"INSERT INTO {self.table} ({names}) SELECT {names} FROM {self.staging} WHERE {condition.sql}",
            condition.parameters,
        )
        return rows

    def _counted(self, condition: Condition, change: Callable[[], int]) -> int:
        if self._tells_counts:
            return change()
        rows = self.count(condition)
        change()
        return rows

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self._told(sql.partition(" ")[0], lambda: self._execute(sql, parameters))
        return int(self._cursor.rowcount)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        def asked() -> list[tuple[Any, ...]]:
            self._execute(sql, parameters)
            return [tuple(row) for row in self._cursor.fetchall()]

        return self._told("SELECT", asked)

    def _execute(self, sql: str, parameters: Sequence[object]) -> None:
        spelled, values = self._spell(sql, tuple(parameters))
        self._cursor.execute(spelled, values) if parameters else self._cursor.execute(spelled)

    def _told(self, step: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises; a task's time-out is no Exception
            raise _Refused(step, error) from None

    # Names and types

    def quote(self, name: str) -> str:
        """As the database folds names that are not quoted; those that it would not take so are quoted."""
        real = self._names.get(name.lower(), name.lower())
        if self._engine is not None:
            return str(self._engine.dialect.identifier_preparer.quote(real))
        return str(self.target.hook.dialect.escape_word(real))

    def typed_placeholder(self, kind: Kind) -> str:  # noqa: ARG002 - a constant takes the type of the column it goes to
        return self.placeholder

    def adapt(self, value: object) -> object:
        return (
            value.astimezone(dt.UTC).replace(tzinfo=None)
            if isinstance(value, dt.datetime)
            else value
        )

    def holds(self, kind: Kind, type_name: str) -> bool:
        """Nothing is refused of which nothing is known."""
        if (
            type_name == "REAL"
            and self._engine is not None
            and self._engine.dialect.name == "sqlite"
        ):
            type_name = "DOUBLE"  # eight bytes there, four in most others
        return not type_name or super().holds(kind, type_name)

    def _type_of(self, column: Column) -> str:
        is_key = column.name in self.load.table_key
        if self._engine is None:
            return (
                _STANDARD_KEY
                if is_key and column.kind is Kind.TEXT
                else self.type_names[column.kind]
            )
        import sqlalchemy as sa

        kinds: dict[Kind, Any] = {
            Kind.TEXT: sa.Unicode(255) if is_key else sa.UnicodeText(),
            Kind.DURATION: sa.BigInteger(),
            Kind.BIGINT: sa.BigInteger(),
            Kind.TIMESTAMP: sa.DateTime(),
            Kind.DATE: sa.Date(),
            Kind.INSTANT: sa.DateTime(),
        }
        found = kinds.get(column.kind)
        return (
            self.type_names[column.kind]
            if found is None
            else str(found.compile(dialect=self._engine.dialect))
        )

    def create_table(self) -> None:
        parts = []
        for column in self.load.all_columns:
            required = " NOT NULL" if column.name in self.load.table_key else ""
            parts.append(f"{self.quote(column.name)} {self._type_of(column)}{required}")
        if self.load.write_mode is not WriteMode.APPEND:
            parts.append(f"PRIMARY KEY ({', '.join(map(self.quote, self.load.table_key))})")
        self.run(f"CREATE TABLE {self.table} ({', '.join(parts)})")

    def add_columns(self, columns: Iterable[Column]) -> None:
        for column in columns:
            self.run(
                f"ALTER TABLE {self.table} ADD {self.quote(column.name)} {self._type_of(column)}"
            )

    # The catalogue

    @property
    def _schema(self) -> str | None:
        return ".".join(self.target.table.parts[:-1]).lower() or None

    def _inspector(self) -> Any:
        import sqlalchemy as sa

        return sa.inspect(self._engine)  # a new one: each remembers what it has seen

    def stored_table(self) -> StoredTable | None:
        found = self._told(
            "looking at the table", self._reflected if self._engine is not None else self._described
        )
        columns = {column.name.lower(): column for column in found}
        columns |= {column.name: column for column in found if column.name.islower()}
        self._names = {key: column.name for key, column in columns.items()}
        self._seen = frozenset(columns)
        return StoredTable(str(self.target), columns) if columns else None

    def _reflected(self) -> list[StoredColumn]:
        inspector, name = self._inspector(), self.target.table.table.lower()
        if not inspector.has_table(name, schema=self._schema):
            return []
        return [
            stored_column(column, self._engine.dialect)
            for column in inspector.get_columns(name, schema=self._schema)
        ]

    def _described(self) -> list[StoredColumn]:
        """Names only: what an empty answer says of itself, in numbers that only the driver knows."""
        try:
            self._execute(f"SELECT * FROM {self.table} WHERE 1 = 0", ())
        except Exception:  # noqa: BLE001 - of which kind, only the driver knows: the table is created, or that fails
            return []
        else:
            return [StoredColumn(str(column[0]), "") for column in self._cursor.description]
        finally:
            self.rollback()

    def is_already_there(self, error: Exception) -> bool:  # noqa: ARG002 - it says nothing that we understand
        """Whether the table is another than when we looked last."""
        if self._connection is None:
            return False
        before = self._seen
        self.stored_table()
        return self._seen != before

    @property
    def _is_ours(self) -> bool:
        return TENANT.name in self._seen

    # Errors

    def explain(self, error: Exception) -> We360Error:
        assert isinstance(error, _Refused)
        kind = error.kinds[0]
        if self._connection is None:
            return SinkError(
                f"sql_conn_id: no connection through {self.target.conn_id!r} ({kind}); check its fields with its Test button, "
                "and that the driver of its provider is installed"
            )
        if "IntegrityError" in error.kinds:
            if self.load.write_mode is WriteMode.APPEND:
                return SinkError(
                    f"write_mode: a constraint of {self.target} refuses the rows; nothing was changed. "
                    "Use write_mode='replace_window' or 'merge' where the table has a key that admits each once"
                )
            return SinkError(
                f"table: a constraint of {self.target} refuses the rows, or another load of the same rows was first; nothing "
                "was changed. Run the task again; if it fails again, look at the table's keys and checks"
            )
        lost = (
            " The connection may be lost: run the task again." if _LOST & set(error.kinds) else ""
        )
        return SinkError(
            f"table: the database refused the load into {self.target} at {error.step} ({kind}); nothing was changed.{lost} "
            "Its text may hold values and is not shown: see the database's own log"
        )
