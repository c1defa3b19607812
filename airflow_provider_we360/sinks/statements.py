"""Statements of a load, built from a table, its dialect and predicates.

Every function takes the session and executes one statement. Tables and columns are quoted
identifiers; values are parameters, except in comments. ``stage`` is the staging table as FROM
takes it; no statement names it twice, because some databases read it as a stream.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import error_messages
from airflow_provider_we360.sinks.base import (
    LOADED_AT,
    RUN_ID,
    WINDOW_END,
    WINDOW_START,
    LoadPlan,
    WriteMode,
)
from airflow_provider_we360.sinks.dialect import Dialect, literal
from airflow_provider_we360.sinks.predicates import EVERYTHING, Predicate, Predicates
from airflow_provider_we360.sinks.session import DbSession
from airflow_provider_we360.sinks.table_schema import LoadTable
from airflow_provider_we360.sinks.target import TableRef
from airflow_provider_we360.types import Day, Window

# Schema


def create_table(session: DbSession, ref: TableRef, plan: LoadPlan) -> None:
    """Create the table of a load, with its key and its comments."""
    dialect = session.dialect
    parts = []
    for column in plan.all_columns:
        # Any other column can be NULL one day: the API sends "-" for what it does not know.
        required = " NOT NULL" if column.name in plan.table_key else ""
        parts.append(f"{dialect.quote(column.name)} {dialect.types[column.kind]}{required}")
    parts += primary_key(dialect, plan)
    session.execute(f"CREATE TABLE {ref.sql} ({', '.join(parts)})")
    if dialect.has_comments:
        session.execute(f"COMMENT ON TABLE {ref.sql} IS {literal(plan.about)}")
    _comment_columns(session, ref, plan.all_columns)


def primary_key(dialect: Dialect, plan: LoadPlan) -> list[str]:
    """Return the PRIMARY KEY clause, or nothing if rows of one key may be appended twice."""
    if plan.write_mode is WriteMode.APPEND:
        return []
    return [f"PRIMARY KEY ({', '.join(map(dialect.quote, plan.table_key))})"]


def add_columns(
    session: DbSession,
    ref: TableRef,
    plan: LoadPlan,  # noqa: ARG001 - other warehouses need it
    columns: Sequence[Column],
) -> None:
    """Add columns. All take NULL, because the table may hold rows."""
    dialect = session.dialect
    for column in columns:
        declared = f"{dialect.quote(column.name)} {dialect.types[column.kind]}"
        session.execute(f"ALTER TABLE {ref.sql} ADD COLUMN {declared}")
    _comment_columns(session, ref, columns)


def _comment_columns(session: DbSession, ref: TableRef, columns: Iterable[Column]) -> None:
    for column in columns:
        if session.dialect.has_comments and column.description:
            name = f"{ref.sql}.{session.dialect.quote(column.name)}"
            session.execute(f"COMMENT ON COLUMN {name} IS {literal(column.description)}")


def create_staging(session: DbSession, name: str, table: LoadTable) -> None:
    """Create a temporary staging table.

    :param name: its quoted name.
    """
    columns = ", ".join(
        f"{table.quote(column.name)} {session.dialect.types[column.kind]}"
        for column in table.plan.staged_columns
    )
    session.execute(f"CREATE TEMPORARY TABLE {name} ({columns})")


# Reading


def count_rows(session: DbSession, source: str, predicate: Predicate = EVERYTHING) -> int:
    """Return the number of rows within the predicate."""
    sql = f"SELECT count(*) FROM {source} WHERE {predicate.sql}"
    return int(session.fetch_one(sql, predicate.parameters)[0])


def count_rows_per_day(
    session: DbSession, table: LoadTable, source: str, predicate: Predicate = EVERYTHING
) -> dict[Day, int]:
    """Return the rows within the predicate, by day; in ``summary`` by the window's first day."""
    day_column = table.plan.day_column
    if day_column is None:
        count = count_rows(session, source, predicate)
        return {table.plan.window[0]: count} if count else {}
    day = table.quote(day_column)
    found = session.fetch(
        f"SELECT {day}, count(*) FROM {source} WHERE {predicate.sql} GROUP BY {day}",
        predicate.parameters,
    )
    # Rows without a day would be in no scope: never replaced, and counted by every later load.
    if any(value is None for value, _ in found):
        raise error_messages.missing_value(table.ref, day_column)
    return {to_day(value): int(count) for value, count in found}


@dataclass(frozen=True, slots=True)
class HeldDay:
    """What the table holds of a day.

    :param newest: when the newest of its rows were requested; None if no row has that moment.
    """

    rows: int
    newest: dt.datetime | None


def fetch_held_days(
    session: DbSession, table: LoadTable, predicate: Predicate
) -> dict[Day, HeldDay]:
    """Return what the table holds within the predicate, by day."""
    # Aggregated in the database: a day may hold 100,000 rows.
    newest = table.dialect.read_instant.format(f"max({table.quote(LOADED_AT.name)})")
    where = f"FROM {table.sql} WHERE {predicate.sql}"
    day_column = table.plan.day_column
    if day_column is None:
        found = session.fetch(f"SELECT count(*), {newest} {where}", predicate.parameters)
        rows = [(table.plan.window[0], *row) for row in found if row[0]]
    else:
        day = table.quote(day_column)
        rows = session.fetch(
            f"SELECT {day}, count(*), {newest} {where} GROUP BY {day}", predicate.parameters
        )
    return {
        to_day(day): HeldDay(int(count), None if stamp is None else to_instant(stamp))
        for day, count, stamp in rows
    }


def fetch_utc_now(session: DbSession) -> dt.datetime:
    """Return the database's own time, or the worker's if the database has no such function."""
    if not session.dialect.utc_now:
        return dt.datetime.fromtimestamp(session.target.now(), dt.UTC)
    return to_instant(session.fetch_one(f"SELECT {session.dialect.utc_now}")[0])


def fetch_windows(session: DbSession, table: LoadTable, predicate: Predicate) -> list[Window]:
    """Return the windows of the rows within the predicate (``summary``)."""
    edges = table.names((WINDOW_START, WINDOW_END))
    found = session.fetch(
        f"SELECT DISTINCT {edges} FROM {table.sql} WHERE {predicate.sql} ORDER BY {edges}",
        predicate.parameters,
    )
    return [(to_day(first), to_day(last)) for first, last in found]


def has_duplicate_keys(session: DbSession, table: LoadTable, stage: str) -> bool:
    """Return True if the table holds a staged key more than once."""
    key = ", ".join(map(table.quote, table.plan.table_key))
    matched = match_staged(table, stage)
    return bool(
        session.fetch(
            f"SELECT 1 FROM {table.sql} WHERE {matched.sql} GROUP BY {key} HAVING count(*) > 1"
            # One is enough to fail, and a table without a key has no index to count with.
            " LIMIT 1"
        )
    )


def count_duplicate_keys(
    session: DbSession, table: LoadTable, source: str, key: Sequence[str], predicate: Predicate
) -> int:
    """Return how many rows within the predicate share their key with an earlier one."""
    names = ", ".join(map(table.quote, key))
    found = session.fetch(
        f"SELECT count(*) FROM {source} WHERE {predicate.sql} GROUP BY {names} HAVING count(*) > 1",
        predicate.parameters,
    )
    return sum(int(count) - 1 for (count,) in found)


# Changing rows


def match_staged(table: LoadTable, stage: str) -> Predicate:
    """Return the predicate of rows of the table whose key is staged."""
    # Row values are the default; a database that compares them slowly, or not at all, has EXISTS.
    if table.dialect.key_join == "in":
        keys = [column for column in table.plan.columns if column.name in table.plan.key]
        staged = ", ".join(_value(table, column) for column in keys)
        return Predicate(f"({table.names(keys)}) IN (SELECT {staged} FROM {stage} come)")
    held = table.dialect.quote(table.ref.parts[-1])
    return Predicate(f"EXISTS (SELECT 1 FROM {stage} come WHERE {_same_key(table, held)})")


def _same_key(table: LoadTable, held: str) -> str:
    return " AND ".join(
        f"{_comparable(table, column)} = {held}.{table.quote(column.name)}"
        for column in table.plan.columns
        if column.name in table.plan.key
    )


def _value(table: LoadTable, column: Column) -> str:
    """Return a staged value as its column of the table takes it."""
    staged, cast = f"come.{table.quote(column.name)}", table.cast_type(column.name)
    return f"CAST({staged} AS {cast})" if cast else staged


def _comparable(table: LoadTable, column: Column) -> str:
    """Return a staged value for a comparison: text by its code points, not by a collation."""
    value, is_text = _value(table, column), column.kind is Kind.TEXT
    if not is_text or table.cast_type(column.name):
        return value
    return table.dialect.exact_text.format(value)


def delete_rows(session: DbSession, table: LoadTable, predicate: Predicate) -> int:
    """Delete rows and return their number."""
    return session.execute(f"DELETE FROM {table.sql} WHERE {predicate.sql}", predicate.parameters)


def insert_staged(session: DbSession, table: LoadTable, stage: str, predicate: Predicate) -> int:
    """Insert the staged rows within the predicate, with the constants of the load.

    :param predicate: a condition on the staged rows, whose alias is ``come``.
    """
    plan, dialect = table.plan, table.dialect
    columns = table.names(plan.all_columns)
    parameters = list(predicate.parameters)
    # Staged from files, whose columns already include the constants.
    if dialect.stages_constants:
        values = columns
    else:
        marks = [dialect.parameter(column.kind) for column in plan.constants]
        stamp = dialect.instant.format(table.quote(LOADED_AT.name))
        values = ", ".join([*marks, stamp, *(_value(table, column) for column in plan.columns)])
        # Parameters follow the order of their marks: those of SELECT before those of WHERE.
        parameters = [*map(dialect.adapt, plan.constants.values()), *parameters]
    return session.execute(
        f"INSERT INTO {table.sql} ({columns}) SELECT {values} FROM {stage} come"
        f" WHERE {predicate.sql}",
        parameters,
    )


def insert_values(session: DbSession, table: LoadTable, rows: Iterable[Sequence[object]]) -> None:
    """Insert a few rows of values, in the order of the table's columns."""
    columns, dialect = table.plan.all_columns, table.dialect
    marks = f"({', '.join(dialect.parameter(column.kind) for column in columns)})"
    remaining = iter(rows)
    while chunk := list(islice(remaining, dialect.values_rows)):
        values = [dialect.adapt(value) for row in chunk for value in row]
        session.execute(
            f"INSERT INTO {table.sql} ({table.names(columns)}) VALUES"
            f" {', '.join([marks] * len(chunk))}",
            values,
        )


# Updating in place


def is_unmatched(table: LoadTable) -> Predicate:
    """Return the predicate of staged rows, ``come``, whose key the table does not hold."""
    scope = Predicates(table, "held").key_scope
    matched = f"SELECT 1 FROM {table.sql} held WHERE {_same_key(table, 'held')} AND {scope.sql}"
    return Predicate(f"NOT EXISTS ({matched})", scope.parameters)


def is_gone(table: LoadTable, stage: str) -> Predicate:
    """Return the predicate of rows of the table whose key is not staged."""
    held = table.dialect.quote(table.ref.parts[-1])
    matched = f"SELECT 1 FROM {stage} come WHERE {_same_key(table, held)}"
    return Predicate(f"NOT EXISTS ({matched})")


def update_changed(session: DbSession, table: LoadTable, stage: str, staged: Predicate) -> int:
    """Update the rows that differ from their staged row, and no others; return their number.

    :param staged: which staged rows count.
    """
    plan, dialect = table.plan, table.dialect
    held = dialect.quote(table.ref.parts[-1])
    # The key is equal by definition. Without other columns there is nothing to update.
    columns = [column for column in plan.columns if column.name not in plan.key]
    # Its value is from an earlier answer and does not belong to the new ones: it becomes NULL.
    refused = [table.quote(name) for name in plan.refused if table.schema.column(name)]
    if not columns and not refused:
        return 0
    differs = " OR ".join(
        [
            *(
                dialect.differs.format(
                    f"{held}.{table.quote(column.name)}", _comparable(table, column)
                )
                for column in columns
            ),
            *(f"{held}.{name} IS NOT NULL" for name in refused),
        ]
    )
    prefix = f"{held}." if dialect.update_from == "join" else ""
    stamp = table.quote(LOADED_AT.name)
    sets = ", ".join(
        [
            *(f"{prefix}{table.quote(c.name)} = {_value(table, c)}" for c in columns),
            *(f"{prefix}{name} = NULL" for name in refused),
            f"{prefix}{stamp} = {dialect.instant.format(f'come.{stamp}')}",
            f"{prefix}{table.quote(RUN_ID.name)} = {dialect.placeholder}",
        ]
    )
    # Filtered inside: a condition on the staged rows could be ambiguous next to the table.
    come = f"(SELECT {table.names(plan.staged_columns)} FROM {stage} WHERE {staged.sql}) come"
    scope = Predicates(table, held).key_scope
    where = f"{_same_key(table, held)} AND {scope.sql} AND ({differs})"
    if dialect.update_from == "join":
        sql = f"UPDATE {table.sql} JOIN {come} ON {where} SET {sets}"
        parameters = [*staged.parameters, *scope.parameters, plan.run_id]
    else:
        sql = f"UPDATE {table.sql} SET {sets} FROM {come} WHERE {where}"
        parameters = [plan.run_id, *staged.parameters, *scope.parameters]
    return session.execute(sql, parameters)


def to_day(value: object) -> Day:
    """Return a day as the driver returned it."""
    # SQLite and some drivers return text, others a datetime at midnight. A datetime is a date as
    # well, so it goes first.
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value)[:10])


def to_instant(value: object) -> dt.datetime:
    """Return an instant as the driver returned it; without a zone it is UTC."""
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
