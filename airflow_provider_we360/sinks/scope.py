"""Scope: which rows of the table a load may touch, as SQL conditions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass

from airflow_provider_we360.rows.pseudonyms import SHORTEST
from airflow_provider_we360.sinks.base import RUN_ID, TENANT, WINDOW_END, WINDOW_START, Load


@dataclass(frozen=True, slots=True)
class Condition:
    """What stands behind WHERE, with its parameters."""

    sql: str
    parameters: tuple[object, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"{self.sql} AND {other.sql}", self.parameters + other.parameters)


@dataclass(frozen=True, slots=True)
class Scope:
    """The conditions of a load.

    :param quote: quotes an identifier as the target wants it.
    :param adapt: a value as the driver takes it.
    """

    load: Load
    quote: Callable[[str], str]
    adapt: Callable[[object], object]
    placeholder: str

    @property
    def everything(self) -> Condition:
        return Condition("1 = 1")

    @property
    def tenant(self) -> Condition:
        return self._compare(TENANT.name, "=", self.load.tenant)

    @property
    def run(self) -> Condition:
        """Rows that an earlier try of this run has left."""
        return self._compare(RUN_ID.name, "=", self.load.run_id)

    @property
    def replaced(self) -> Condition:
        """Rows that ``replace_window`` takes away: of this tenant, these days, and with ``user_ids`` only those people."""
        return self.days & self._people("IN") if self.load.user_ids else self.days

    @property
    def merged(self) -> Condition:
        """Rows among which ``merge`` looks for its keys."""
        return self.tenant & self._own_edges if self.load.day_column is None else self.tenant

    @property
    def days(self) -> Condition:
        """All rows of this tenant and window, whoever they are of."""
        return self.tenant & (
            self._own_edges if self.load.day_column is None else self._days(self.load.day_column)
        )

    @property
    def otherwise_named(self) -> Condition:
        """Rows whose person is told in another way than this load tells people: in clear, or by pseudonyms of another key."""
        person = self.quote(self.load.person_column)
        if prefix := self.load.pseudonyms.get(self.load.person_column):
            return Condition(f"substr({person}, 1, {len(prefix)}) <> {self.placeholder}", (prefix,))
        # Not every database has a length().
        return Condition(f"{person} LIKE {self.placeholder}", ("_" * SHORTEST + "%",))

    @property
    def overlapping(self) -> Condition:
        """Sums of this tenant over windows that share a day with this one, but are not this one."""
        first, last = self.load.window
        meets = self._compare(WINDOW_START.name, "<=", last) & self._compare(
            WINDOW_END.name, ">=", first
        )
        own = self._own_edges
        return self.tenant & meets & Condition(f"NOT ({own.sql})", own.parameters)

    @property
    def strangers(self) -> Condition:
        """Staged rows of people whom ``user_ids`` does not name."""
        return self._people("NOT IN")

    def without(self, days: Collection[dt.date]) -> Condition:
        """All rows but those of these days; where the window is one unit, none if it is kept."""
        if not days:
            return self.everything
        if self.load.day_column is None:
            return Condition("1 = 0")
        marks = ", ".join([self.placeholder] * len(days))
        return Condition(
            f"{self.quote(self.load.day_column)} NOT IN ({marks})", tuple(map(self.adapt, days))
        )

    def nothing_in(self, column: str) -> Condition:
        return Condition(f"{self.quote(column)} IS NULL")

    @property
    def _own_edges(self) -> Condition:
        first, last = self.load.window
        return self._compare(WINDOW_START.name, "=", first) & self._compare(
            WINDOW_END.name, "=", last
        )

    def _days(self, column: str) -> Condition:
        first, last = self.load.window
        return self._compare(column, ">=", first) & self._compare(column, "<=", last)

    def _people(self, operator: str) -> Condition:
        # We360 writes UUIDs in lower case, people paste them in either.
        people = tuple(dict.fromkeys(user.lower() for user in self.load.user_ids))
        marks = ", ".join([self.placeholder] * len(people))
        return Condition(
            f"lower({self.quote(self.load.person_column)}) {operator} ({marks})", people
        )

    def _compare(self, column: str, operator: str, value: object) -> Condition:
        return Condition(
            f"{self.quote(column)} {operator} {self.placeholder}", (self.adapt(value),)
        )
