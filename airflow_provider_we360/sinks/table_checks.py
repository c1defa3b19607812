"""Checks of a load against its table: rows that would be doubled, lost or rounded."""

from __future__ import annotations

from collections.abc import Iterable
from logging import getLogger

from airflow_provider_we360.errors import We360ConfigError, WindowOverlaps
from airflow_provider_we360.sinks import error_messages, statements
from airflow_provider_we360.sinks.base import TENANT, WINDOW_END, WINDOW_START, WriteMode
from airflow_provider_we360.sinks.batching import StagedRows
from airflow_provider_we360.sinks.predicates import EVERYTHING, Predicate, Predicates
from airflow_provider_we360.sinks.session import DbSession
from airflow_provider_we360.sinks.table_schema import LoadTable
from airflow_provider_we360.types import Day

log = getLogger(__name__)


def check_adopted(session: DbSession, table: LoadTable) -> None:
    """Check that all rows have their key: rows from before this provider would be doubled.

    :raises We360ConfigError: with the one statement that adopts them.
    """
    orphans: dict[str, int] = {}
    for name in table.plan.table_key:
        column = table.schema.column(name)
        # A NOT NULL column cannot lack values; this saves a scan of the whole table.
        if column is not None and not column.not_null:
            without_key = Predicates(table).is_null(name)
            if count := statements.count_rows(session, table.sql, without_key):
                orphans[name] = count
    own = [name for name in (TENANT.name, WINDOW_START.name, WINDOW_END.name) if name in orphans]
    if own:
        raise We360ConfigError(
            f"table: {error_messages.count_rows(max(orphans.values()))} of {table.ref} have no "
            f"{', '.join(own)}: they are from before this provider. Adopt them once: "
            f"{_adoption(table, own)}"
        )
    if orphans:
        name, count = next(iter(orphans.items()))
        raise We360ConfigError(
            f"table: {error_messages.count_rows(count)} of {table.ref} have no {name}, which is "
            f"part of the key. Fill it, or: DELETE FROM {table.sql} WHERE {table.quote(name)} IS "
            "NULL;"
        )


def _adoption(table: LoadTable, names: list[str]) -> str:
    values = {
        TENANT.name: table.dialect.literal(table.plan.tenant),
        WINDOW_START.name: "'<first day of their window>'",
        WINDOW_END.name: "'<last day of their window>'",
    }
    quoted = {name: table.quote(name) for name in names}
    sets = ", ".join(f"{quoted[name]} = coalesce({quoted[name]}, {values[name]})" for name in names)
    unmarked = " OR ".join(f"{quoted[name]} IS NULL" for name in names)
    return f"UPDATE {table.sql} SET {sets} WHERE {unmarked};"


def warn_of_personal_columns(table: LoadTable) -> None:
    """Log personal columns that an earlier load has filled and this one does not bring."""
    brought = {column.name.lower() for column in table.plan.columns}
    left = [
        name
        for name in sorted(table.plan.personal)
        if name.lower() not in brought and table.schema.column(name)
    ]
    if left:
        log.warning(
            "Table %s has personal columns that this task does not load: %s. Rows of earlier "
            "loads may still hold values; to remove them, drop the columns or set them to NULL",
            table.ref,
            ", ".join(left),
        )


def check_staged(session: DbSession, table: LoadTable, stage: str, rows: StagedRows) -> None:
    """Check the staged rows for duplicate keys and for values that the table would change."""
    if rows.has_split_days:
        # Batches were checked one by one, which does not find a key in two of them.
        key = table.plan.key
        if count := statements.count_duplicate_keys(session, table, stage, key, EVERYTHING):
            raise error_messages.duplicate_keys(table.plan, count)
    for column in table.plan.columns:
        stored, name = table.schema.column(column.name), table.quote(column.name)
        # A new column is created with the type of this load and changes nothing.
        loss = table.dialect.find_loss(column.kind, stored.type_name) if stored else ""
        if not stored or not loss:
            continue
        if count := statements.count_rows(session, stage, Predicate(loss.format(name))):
            raise error_messages.inexact_column(table.ref, column.name, stored.type_name, count)


def check_identities(session: DbSession, table: LoadTable) -> None:
    """Check that no row of the window identifies its person in another way than this load.

    :raises We360ConfigError: if such a row would stay, and its person would be there twice.
    """
    plan, predicates = table.plan, Predicates(table)
    # Then all rows of the days go, however they identify people.
    replaces_all = plan.write_mode is WriteMode.REPLACE_WINDOW and not plan.user_ids
    if replaces_all or plan.write_mode is WriteMode.APPEND:
        return
    others = predicates.window & predicates.other_identities
    if count := statements.count_rows(session, table.sql, others):
        raise error_messages.mixed_identities(plan, table.ref, count)


def check_in_scope(session: DbSession, table: LoadTable, stage: str, coming: Iterable[Day]) -> None:
    """Check that all staged rows lie in the scope: others would not be replaced by the next load.

    :raises SinkError: if a day or a person was not requested.
    :raises WindowOverlaps: if the table holds another window that shares days (``summary``).
    """
    plan, predicates = table.plan, Predicates(table)
    first, last = plan.window
    if outside := sorted(day for day in coming if not first <= day <= last):
        raise error_messages.day_outside(plan, outside[0])
    if plan.user_ids and (
        count := statements.count_rows(session, stage, predicates.unrequested_people)
    ):
        raise error_messages.unrequested_people(plan, count)
    if plan.day_column is not None:
        return
    # Sums over two windows that share a day would count that day twice.
    for held_first, held_last in statements.fetch_windows(
        session, table, predicates.overlapping_windows
    ):
        raise WindowOverlaps(
            f"window: {first} to {last} shares days with {held_first} to {held_last}, which "
            f"{table.ref} holds; nothing was changed. Load exactly that window, or delete its rows "
            "first"
        )
