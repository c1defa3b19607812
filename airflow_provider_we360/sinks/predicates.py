"""Predicates: which rows a load may read, replace or delete, as SQL conditions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from airflow_provider_we360.rows.pseudonyms import SHORTEST
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks.base import (
    RUN_ID,
    TENANT,
    WINDOW_END,
    WINDOW_START,
    LoadPlan,
    WriteMode,
)
from airflow_provider_we360.sinks.table_schema import LoadTable
from airflow_provider_we360.types import Day


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition for WHERE, with its parameters."""

    sql: str
    parameters: tuple[object, ...] = ()

    def __and__(self, other: Predicate) -> Predicate:
        return Predicate(f"{self.sql} AND {other.sql}", self.parameters + other.parameters)

    def __invert__(self) -> Predicate:
        return Predicate(f"NOT ({self.sql})", self.parameters)


EVERYTHING = Predicate("1 = 1")
NOTHING = Predicate("1 = 0")


@dataclass(frozen=True, slots=True)
class Predicates:
    """The predicates of one load on its table.

    :param alias: the table's alias in the statement; empty: names stand alone.
    """

    table: LoadTable
    alias: str = ""

    @property
    def plan(self) -> LoadPlan:
        """The plan of the load."""
        return self.table.plan

    def column(self, name: str) -> str:
        """Return the column's name, quoted and with the alias."""
        return f"{self.alias}.{self.table.quote(name)}" if self.alias else self.table.quote(name)

    def compare(self, column: str, operator: str, value: object) -> Predicate:
        """Return ``column operator value``."""
        dialect = self.table.dialect
        sql = f"{self.column(column)} {operator} {dialect.placeholder}"
        return Predicate(sql, (dialect.adapt(value),))

    @property
    def tenant(self) -> Predicate:
        """Rows of this tenant."""
        return self.compare(TENANT.name, "=", self.plan.tenant)

    @property
    def own_window(self) -> Predicate:
        """Rows of exactly this window (``summary``)."""
        first, last = self.plan.window
        return self.compare(WINDOW_START.name, "=", first) & self.compare(
            WINDOW_END.name, "=", last
        )

    @property
    def window(self) -> Predicate:
        """Rows of this tenant and window, of all people."""
        day = self.plan.day_column
        if day is None:
            return self.tenant & self.own_window
        first, last = self.plan.window
        return self.tenant & self.compare(day, ">=", first) & self.compare(day, "<=", last)

    @property
    def scope(self) -> Predicate:
        """Rows among which this load replaces, without regard to the staged keys.

        ``replace_window``: this tenant, these days, with ``user_ids`` only those people. ``merge``:
        this tenant, in summary this window. ``append``: rows that an earlier try of this run left.
        """
        if self.plan.write_mode is WriteMode.APPEND:
            # Retries of a run must not append twice; other runs may append the same days again.
            return self.compare(RUN_ID.name, "=", self.plan.run_id)
        if self.plan.write_mode is WriteMode.MERGE:
            return self.key_scope
        return self.window & self._people("IN") if self.plan.user_ids else self.window

    @property
    def key_scope(self) -> Predicate:
        """Rows that can have the key of a row of this load: the key columns that are not staged."""
        return self.window if self.plan.day_column is None else self.tenant

    @property
    def other_identities(self) -> Predicate:
        """Rows that identify people in another way: in clear, or by pseudonyms of another key."""
        person, mark = self._person_text, self.table.dialect.placeholder
        if prefix := self.plan.pseudonyms.get(self.plan.person_column):
            begin = self.table.dialect.prefix.format(person, len(prefix))
            return Predicate(f"{begin} <> {mark}", (prefix,))
        # A pattern of underscores, because not every database has a length().
        return Predicate(f"{person} LIKE {mark}", ("_" * SHORTEST + "%",))

    @property
    def overlapping_windows(self) -> Predicate:
        """Rows of this tenant whose window shares days with this one, but is another one."""
        first, last = self.plan.window
        starts = self.compare(WINDOW_START.name, "<=", last)
        ends = self.compare(WINDOW_END.name, ">=", first)
        return self.tenant & starts & ends & ~self.own_window

    @property
    def unrequested_people(self) -> Predicate:
        """Staged rows of people who are not in ``user_ids``."""
        return self._people("NOT IN")

    def without_days(self, days: Collection[Day]) -> Predicate:
        """Return all rows except those of these days; in ``summary`` none if its window is kept."""
        if not days:
            return EVERYTHING
        if self.plan.day_column is None:
            return NOTHING
        dialect = self.table.dialect
        marks = ", ".join([dialect.placeholder] * len(days))
        sql = f"{self.column(self.plan.day_column)} NOT IN ({marks})"
        return Predicate(sql, tuple(map(dialect.adapt, sorted(days))))

    def is_null(self, column: str) -> Predicate:
        """Return the rows without a value in the column."""
        return Predicate(f"{self.column(column)} IS NULL")

    def _people(self, operator: str) -> Predicate:
        # We360 writes UUIDs in lower case; people paste them in either.
        people = tuple(dict.fromkeys(user.lower() for user in self.plan.user_ids))
        marks = ", ".join([self.table.dialect.placeholder] * len(people))
        return Predicate(f"lower({self._person_text}) {operator} ({marks})", people)

    @property
    def _person_text(self) -> str:
        """The column of the person as text, also if the table has it as another type."""
        name = self.plan.person_column
        text = self.table.dialect.types[Kind.TEXT]
        person = self.column(name)
        return f"CAST({person} AS {text})" if self.table.cast_type(name) else person
