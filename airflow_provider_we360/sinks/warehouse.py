"""Warehouse: one load on one target, as the steps of which every load is made. A plug-in says how its target does them.

Whatever most SQL databases do alike has its text here and may be overridden; what no two do alike is abstract.
"""

from __future__ import annotations

import copy
import datetime as dt
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, ClassVar, Self

from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import place, refusals
from airflow_provider_we360.sinks.base import WINDOW_END, WINDOW_START, Load, WriteMode
from airflow_provider_we360.sinks.catalogue import StoredTable
from airflow_provider_we360.sinks.scope import Condition
from airflow_provider_we360.sinks.target import Target

VALUES_ROWS = 50
"""So many rows stand behind one VALUES: databases bound how many parameters a statement has, the smallest at 999."""


_PART = re.compile(r"[^.\"`\[\]]+|\"[^\"]+\"|`[^`]+`|\[[^\]]+\]")
"""A part of a name in SQL, quoted in whichever way or not."""


class Warehouse(ABC):
    """One load on one target. Lives from connect to close and is used by one thread."""

    type_names: ClassVar[Mapping[Kind, str]]
    """The type of a column that we create."""
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]]
    """Types, lower case and without length, that hold the values of a kind."""
    placeholder: ClassVar[str] = "?"
    has_comments: ClassVar[bool] = True
    ddl_commits: ClassVar[bool] = False
    """True where a statement that makes or widens a table ends the transaction it stands in, or may not stand in one."""
    is_committing = False
    """True from the word to commit until it is answered: who loses the line then cannot know what came of it."""

    def __init__(self, target: Target, load: Load) -> None:
        self.target = target
        self.load = load
        self.staging = self.quote(f"_we360_stg_{secrets.token_hex(6)}")

    # What no two databases do alike

    @classmethod  # noqa: B027 - most have nothing to look at
    def require_usable(cls, target: Target) -> None:
        """Look at the Connection before any row is pulled.

        :raises We360ConfigError: where rows could never be kept there.
        """

    @abstractmethod
    def opened(self, batches: Iterable[RowBatch]) -> AbstractContextManager[Iterable[RowBatch]]:
        """Connect; hand back the batches to stage. At exit close, which undoes what was not committed and drops the staging."""

    @property
    @abstractmethod
    def driver_error(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Root of the driver's exceptions, as ``except`` takes it."""

    @abstractmethod
    def explain(self, error: Exception) -> We360Error:
        """A driver's error in our words: what to do next, never a value."""

    @abstractmethod
    def is_already_there(self, error: Exception) -> bool:
        """Whether a sibling was first to create the table or the column."""

    def is_conflict(self, error: Exception) -> bool:  # noqa: ARG002 - most make the other one wait
        """Whether the target took the transaction back because another one changed the same: it may be tried again, whole."""
        return False

    @abstractmethod
    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute; answers how many rows changed."""

    @abstractmethod
    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows that a query answers; outside of ``begin`` and ``commit`` it stands for itself."""

    @abstractmethod
    def stored_table(self) -> StoredTable | None:
        """What the catalogue knows of the table; None where it is absent."""

    @abstractmethod
    def stage(self, batches: Iterable[RowBatch]) -> None:
        """Take all batches into the staging table, whose rows nobody else sees."""

    # What most do alike

    def begin(self) -> None:
        self.run("BEGIN")

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        self.run("ROLLBACK")

    def lock(self) -> None:  # noqa: B027 - most that lock the whole database have nothing to do
        """Keep other loads off the table until commit. Nothing to do where ``begin`` does."""

    def staged(self) -> str:
        """The staged rows, as FROM takes them. Asked for once in each statement."""
        return self.staging

    def quote(self, name: str) -> str:
        """The identifier in the case that the target folds to, quoted."""
        return f'"{name}"'

    def literal(self, text: str) -> str:
        """A text in SQL that is shown to people."""
        return literal(text)

    @property
    def table(self) -> str:
        """The target's name in SQL."""
        return ".".join(map(self.quote, self.target.table.parts))

    def full_name(self) -> tuple[str, ...]:
        """The table's name in the target's own spelling, outermost first, as lineage tools of this database write it."""
        return tuple(bare(part) for part in _PART.findall(self.table))

    def namespace(self) -> str:
        """The server, or the file, that the database is in, as lineage tools write it."""
        return place.database_namespace(self.target.hook, self.target.conn_id)

    def holds(self, kind: Kind, type_name: str) -> bool:
        return re.sub(r"\(.*?\)", "", type_name).strip().lower() in self.holding_types[kind]

    def adapt(self, value: object) -> object:
        """A constant as the driver takes it."""
        return value

    def as_day(self, value: object) -> dt.date:
        """A day as the driver hands it out."""
        if isinstance(value, dt.datetime):
            return value.date()
        return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])

    def typed_placeholder(self, kind: Kind) -> str:
        return f"CAST({self.placeholder} AS {self.type_names[kind]})"

    def beside(self, target: Target, load: Load) -> Self:
        """The same session, and so the same transaction, on another table. Nothing is staged there.

        :raises We360ConfigError: where the session does not reach that table.
        """
        other = copy.copy(self)
        other.target, other.load = target, load
        return other

    # Table and columns

    def create_table(self) -> None:
        keys = [self.quote(name) for name in self.load.table_key]
        parts = []
        for column in self.load.all_columns:
            required = " NOT NULL" if column.name in self.load.table_key else ""
            parts.append(f"{self.quote(column.name)} {self.type_names[column.kind]}{required}")
        if self.load.write_mode is not WriteMode.APPEND:
            parts.append(f"PRIMARY KEY ({', '.join(keys)})")
        self.run(f"CREATE TABLE {self.table} ({', '.join(parts)})")
        if self.has_comments:
            self.run(f"COMMENT ON TABLE {self.table} IS {literal(self.load.about)}")
        self._comment(self.load.all_columns)

    def add_columns(self, columns: Iterable[Column]) -> None:
        """Add columns, all of which take NULL: rows are there already."""
        for column in columns:
            self.run(
                f"ALTER TABLE {self.table} ADD COLUMN {self.quote(column.name)} {self.type_names[column.kind]}"
            )
        self._comment(columns)

    def _comment(self, columns: Iterable[Column]) -> None:
        for column in columns:
            if self.has_comments and column.description:
                name = f"{self.table}.{self.quote(column.name)}"
                self.run(f"COMMENT ON COLUMN {name} IS {literal(column.description)}")

    # Rows

    def held_per_day(self, scope: Condition) -> dict[dt.date, int]:
        """Rows that the table holds within the scope."""
        return self._per_day(self.table, scope)

    def staged_per_day(self) -> dict[dt.date, int]:
        """Rows that were staged."""
        return self._per_day(self.staged(), Condition("1 = 1"))

    def _per_day(self, source: str, condition: Condition) -> dict[dt.date, int]:
        if self.load.day_column is None:
            count = self.query(
                f"SELECT count(*) FROM {source} WHERE {condition.sql}", condition.parameters
            )[0][0]
            return {self.load.window[0]: count} if count else {}
        day = self.quote(self.load.day_column)
        found = self.query(
            f"SELECT {day}, count(*) FROM {source} WHERE {condition.sql} GROUP BY {day}",
            condition.parameters,
        )
        if any(value is None for value, _ in found):
            raise refusals.no_value(self.target, self.load.day_column)
        return {self.as_day(value): count for value, count in found}

    def delete(self, condition: Condition) -> int:
        return self.run(f"DELETE FROM {self.table} WHERE {condition.sql}", condition.parameters)

    def was_staged(self) -> str:
        """Whether a row of the table, which may be called held, has the key of a staged one; as WHERE takes it."""
        key = ", ".join(map(self.quote, self.load.key))
        return f"({key}) IN (SELECT {key} FROM {self.staged()})"

    def delete_staged_keys(self, condition: Condition) -> int:
        """Delete the rows within the condition whose key was staged."""
        return self.run(
            f"DELETE FROM {self.table} WHERE {condition.sql} AND {self.was_staged()}",
            condition.parameters,
        )

    def promises_key(self) -> bool:
        """Whether the table declares a primary key that the target does not enforce: then the load looks for itself."""
        return False

    def has_doubled_keys(self) -> bool:
        """Whether a key that was staged is in the table more than once."""
        key = ", ".join(map(self.quote, self.load.table_key))
        found = self.query(
            f"SELECT 1 FROM {self.table} AS held WHERE {self.was_staged()} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        )
        return bool(found)

    def insert(self, condition: Condition) -> int:
        """Insert the staged rows within the condition, with the constants of the load."""
        constants = self.load.constants
        names = ", ".join(self.quote(column.name) for column in self.load.all_columns)
        values = [self.typed_placeholder(column.kind) for column in constants]
        values += [self.quote(column.name) for column in self.load.columns]
        return self.run(
            f"INSERT INTO {self.table} ({names}) SELECT {', '.join(values)} FROM {self.staged()} WHERE {condition.sql}",
            [*map(self.adapt, constants.values()), *condition.parameters],
        )

    def insert_values(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> int:
        """Insert a few rows that are at hand as values, in the order of the columns; some tens to a statement."""
        names = ", ".join(self.quote(column.name) for column in columns)
        marks = f"({', '.join(self.typed_placeholder(column.kind) for column in columns)})"
        left, inserted = iter(rows), 0
        while chunk := list(islice(left, VALUES_ROWS)):
            values = [self.adapt(value) for row in chunk for value in row]
            self.run(
                f"INSERT INTO {self.table} ({names}) VALUES {', '.join([marks] * len(chunk))}",
                values,
            )
            inserted += len(chunk)
        return inserted

    def count(self, condition: Condition, *, staged: bool = False) -> int:
        source = self.staged() if staged else self.table
        return int(
            self.query(
                f"SELECT count(*) FROM {source} WHERE {condition.sql}", condition.parameters
            )[0][0]
        )

    def other_windows(self, scope: Condition) -> list[tuple[dt.date, dt.date]]:
        """Pairs of edges of the summed windows within the scope."""
        edges = f"{self.quote(WINDOW_START.name)}, {self.quote(WINDOW_END.name)}"
        found = self.query(
            f"SELECT DISTINCT {edges} FROM {self.table} WHERE {scope.sql} ORDER BY {edges}",
            scope.parameters,
        )
        return [(self.as_day(first), self.as_day(last)) for first, last in found]


def bare(identifier: str) -> str:
    """An identifier without its quotes."""
    return identifier.strip('"`[]')


def literal(text: str) -> str:
    """A text as an SQL literal, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
