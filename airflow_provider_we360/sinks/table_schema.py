"""Tables as the catalogue describes them, and whether a load may write to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import TENANT, WINDOW_START, LoadPlan
from airflow_provider_we360.sinks.dialect import Dialect, base_type
from airflow_provider_we360.sinks.target import TableRef


@dataclass(frozen=True, slots=True)
class ColumnSchema:
    """A column of an existing table.

    :param type_name: its type as the catalogue spells it.
    :param not_null: True if it takes no NULL.
    :param has_default: True if the target fills it when a row does not name it: default, identity,
        generated.
    """

    name: str
    type_name: str
    not_null: bool = False
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """An existing table.

    :param ref: the table as it was found.
    :param columns: its columns, by the lower case of the name by which a load reaches them.
    """

    ref: TableRef
    columns: Mapping[str, ColumnSchema]

    def column(self, name: str) -> ColumnSchema | None:
        """Return the column, or None if the table lacks it."""
        return self.columns.get(name.lower())


@dataclass(frozen=True, slots=True)
class LoadTable:
    """The table of a load, with what its statements need.

    :param spells_names: True if names are quoted as the catalogue spells them.
    """

    plan: LoadPlan
    schema: TableSchema
    dialect: Dialect
    spells_names: bool = False

    @property
    def ref(self) -> TableRef:
        """The table as it was found."""
        return self.schema.ref

    @property
    def sql(self) -> str:
        """The quoted name of the table."""
        return self.schema.ref.sql

    def stored_name(self, name: str) -> str:
        """Return a column's name as statements spell it."""
        found = self.schema.column(name) if self.spells_names else None
        if found is not None:
            return found.name
        # A column that will be created: in lower case, it needs no quotes in queries.
        return name.lower() if self.spells_names else name

    def cast_type(self, name: str) -> str:
        """Return the type to which staged text of a column is cast; empty if it needs none."""
        found = self.schema.column(name)
        is_cast = found is not None and base_type(found.type_name) in self.dialect.cast_types
        return found.type_name if found is not None and is_cast else ""

    def quote(self, name: str) -> str:
        """Return a column's name, quoted."""
        return self.dialect.quote(self.stored_name(name))

    def names(self, columns: Sequence[Column]) -> str:
        """Return the columns' names, quoted, with commas."""
        return ", ".join(self.quote(column.name) for column in columns)


def find_missing_columns(schema: TableSchema, plan: LoadPlan) -> list[Column]:
    """Return the columns of the load that the table lacks, the provider's own included."""
    return [column for column in plan.all_columns if schema.column(column.name) is None]


def check_schema(schema: TableSchema, plan: LoadPlan, dialect: Dialect) -> None:
    """Check that rows of this load may be stored in the table.

    :raises We360ConfigError: with the column and what to do.
    """
    _check_mode(schema, plan)
    for column in plan.all_columns:
        _check_type(schema, plan, column, dialect)
    brought = {column.name.lower() for column in plan.all_columns}
    demanded = [
        column.name
        for key, column in schema.columns.items()
        # Every INSERT would fail on such a column: better before the download than after it.
        if key not in brought and column.not_null and not column.has_default
    ]
    if demanded:
        raise We360ConfigError(
            f"table: {schema.ref} requires a value for {', '.join(demanded)}, which this load does "
            "not bring; add it to columns, allow NULL, or give it a default"
        )


def _check_mode(schema: TableSchema, plan: LoadPlan) -> None:
    has_windows = schema.column(WINDOW_START.name) is not None
    brings_windows = plan.day_column is None
    # A table of the user that lacks our columns gets them; it cannot be of the other mode.
    made_by_us = has_windows or schema.column(TENANT.name) is not None
    if not made_by_us or has_windows == brings_windows:
        return
    holds, brings = ("rows per window", "rows per day")
    if brings_windows:
        holds, brings = brings, holds
    raise We360ConfigError(
        f"table: {schema.ref} holds {holds} and mode={plan.mode!r} brings {brings}; one table "
        "holds one mode: name another table"
    )


def _check_type(schema: TableSchema, plan: LoadPlan, column: Column, dialect: Dialect) -> None:
    found = schema.column(column.name)
    if found is None or dialect.can_hold(column.kind, found.type_name):
        return
    remedy = "alter the column's type, or name another table"
    fitting = [
        kind.value
        for kind in Kind
        if kind is not Kind.INSTANT and dialect.can_hold(kind, found.type_name)
    ]
    # The types of the key and of instants are fixed, so column_types is no remedy for them.
    if fitting and column.name not in plan.table_key and column.kind is not Kind.INSTANT:
        remedy = f"set column_types={{{column.name!r}: {fitting[0]!r}}}, or {remedy}"
    raise We360ConfigError(
        f"table: column {column.name!r} of {schema.ref} is of type {found.type_name}, which does "
        f"not hold {column.kind.value}: {remedy}"
    )
