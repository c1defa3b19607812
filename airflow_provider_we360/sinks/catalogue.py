"""StoredTable: what a table looks like in the target, and whether a load may go into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import TENANT, WINDOW_START, Load


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of the table that is there.

    :param type_name: as the target's catalogue says it.
    :param not_null: True where it takes no NULL.
    :param filled: True where the target fills it when a row does not name it: default, identity, generated.
    """

    name: str
    type_name: str
    not_null: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True)
class StoredTable:
    """The table that is there.

    :param name: the table's name, for people.
    :param columns: its columns, under the lower case of the name by which we reach them.
    """

    name: str
    columns: Mapping[str, StoredColumn]

    def column(self, name: str) -> StoredColumn | None:
        return self.columns.get(name.lower())

    def lacks(self, load: Load) -> list[Column]:
        """Columns of the load, ours included, that the table does not have."""
        return [column for column in load.all_columns if self.column(column.name) is None]

    def require_takes(self, load: Load, holds: Callable[[Kind, str], bool]) -> None:
        """Whether rows of this load may lie in this table.

        :param holds: whether a type of the target holds values of a kind without loss.
        :raises We360ConfigError: names the column and says what to do.
        """
        self._require_same_mode(load)
        for column in load.all_columns:
            self._require_holds(column, holds, is_key=column.name in load.table_key)
        self._require_filled(load)

    def _require_same_mode(self, load: Load) -> None:
        sums_there, sums_come = self.column(WINDOW_START.name) is not None, load.day_column is None
        made_by_us = sums_there or self.column(TENANT.name) is not None
        if made_by_us and sums_there != sums_come:
            there, come = (
                ("sums over a window", "rows per day")
                if sums_there
                else ("rows per day", "sums over a window")
            )
            raise We360ConfigError(
                f"table: {self.name} holds {there} and mode={load.mode!r} brings {come}; one table holds one mode: "
                "name another table"
            )

    def _require_holds(
        self, column: Column, holds: Callable[[Kind, str], bool], *, is_key: bool
    ) -> None:
        there = self.column(column.name)
        if there is None or holds(column.kind, there.type_name):
            return
        advice = "alter the column's type, or name another table"
        fitting = [
            kind.value for kind in Kind if kind is not Kind.INSTANT and holds(kind, there.type_name)
        ]
        if fitting and not is_key and column.kind is not Kind.INSTANT:
            advice = f"set column_types={{{column.name!r}: {fitting[0]!r}}}, or {advice}"
        raise We360ConfigError(
            f"table: column {column.name!r} of {self.name} is of type {there.type_name}, which does not hold "
            f"{column.kind.value}: {advice}"
        )

    def _require_filled(self, load: Load) -> None:
        brought = {column.name.lower() for column in load.all_columns}
        demanded = [
            c.name
            for key, c in self.columns.items()
            if key not in brought and c.not_null and not c.filled
        ]
        if demanded:
            raise We360ConfigError(
                f"table: {self.name} demands a value for {', '.join(demanded)}, which this load does not bring; "
                "ask for it in columns, let it be NULL, or give it a default"
            )
