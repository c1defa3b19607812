"""Error texts that all targets share: what happened, the consequence, what to do. Never a value."""

from __future__ import annotations

import tempfile

from airflow_provider_we360.errors import SinkError, We360ConfigError
from airflow_provider_we360.sinks.base import LoadPlan, WriteMode
from airflow_provider_we360.sinks.target import TableName, Target
from airflow_provider_we360.types import Day


def count_rows(count: int) -> str:
    """Return the number with its noun, such as ``1 row`` or ``2,569 rows``."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def columns_changed() -> SinkError:
    """Return the error for batches of one load that differ in their columns."""
    return SinkError(
        "the columns of the answer changed between two requests; nothing was changed. Run the task "
        "again"
    )


def duplicate_keys(plan: LoadPlan, count: int) -> SinkError:
    """Return the error for rows that share their key with another row of the load."""
    key = ", ".join(plan.key)
    pseudonyms = [name for name in plan.key if name in plan.pseudonyms]
    remedy = "Run the task again; if it fails again, open an issue"
    if pseudonyms:
        remedy = (
            f"Pseudonyms of {', '.join(pseudonyms)} ignore case, width and surrounding blanks: "
            "correct the duplicate person in We360, or leave the column out of pseudonymize"
        )
    have = "has" if count == 1 else "have"
    return SinkError(
        f"{count_rows(count)} of the load {have} the same key ({key}) as another row; nothing was "
        f"changed. {remedy}"
    )


def day_outside(plan: LoadPlan, day: Day) -> SinkError:
    """Return the error for rows of a day outside the window."""
    first, last = plan.window
    return SinkError(
        f"We360 returned rows of {day}, outside of {first} to {last}; nothing was changed. Report "
        "it to We360 support"
    )


def unrequested_people(plan: LoadPlan, count: int) -> SinkError:
    """Return the error for rows of people who are not in ``user_ids``."""
    return SinkError(
        f"{count_rows(count)} belong to people who are not in user_ids; nothing was changed. Check "
        f"that user_ids holds values of {plan.person_column}; if it does, report to We360 support "
        "that the filter is ignored"
    )


def mixed_identities(plan: LoadPlan, table: object, count: int) -> We360ConfigError:
    """Return the error for a window that holds clear IDs, pseudonyms, or two keys of them."""
    person = plan.person_column
    ours = "IDs in clear"
    if person in plan.pseudonyms:
        ours = f"pseudonyms {plan.pseudonyms[person]}..."
    return We360ConfigError(
        f"pseudonymize: this load has {ours} in {person}, and {count_rows(count)} of {table} in "
        "its window identify people in another way: each person would be there twice. Nothing was "
        "changed. Load the window once with write_mode='replace_window' and without user_ids, or "
        "name another table"
    )


def missing_value(table: object, column: str | None) -> SinkError:
    """Return the error for a NULL in a column that takes none."""
    return SinkError(
        f"table: a row has no value for column {column} of {table}, which takes no NULL; nothing "
        "was changed"
    )


def connection_lost(table: object, database: str, *, at_commit: bool) -> SinkError:
    """Return the error for a connection that broke.

    :param at_commit: True if COMMIT was in flight, so that the outcome is unknown.
    """
    if at_commit:
        return SinkError(
            f"the connection to {database} was lost while the load was committed: {table} now "
            "holds all of its rows, or none. Run the task again: each day ends up right either way"
        )
    return SinkError(
        f"the connection to {database} was lost before {table} was changed; run the task again"
    )


def disk_full(error: OSError) -> SinkError:
    """Return the error for a worker's disk without room for the rows."""
    reason = error.strerror or "write failed"
    return SinkError(
        f"no room for the rows in {tempfile.gettempdir()} ({reason}); free some, or set TMPDIR to "
        "another folder"
    )


def key_taken(table: object, write_mode: WriteMode) -> SinkError:
    """Return the error for a second row of one key."""
    if write_mode is WriteMode.APPEND:
        return SinkError(
            f"write_mode: rows of this window are already in {table}, and its key admits each row "
            "once; nothing was changed. Use write_mode='replace_window' or 'merge'"
        )
    return constraint_failed(table)


def constraint_failed(table: object, name: str | None = None) -> SinkError:
    """Return the error for a constraint of the table that refuses the rows."""
    constraint = f"constraint {name!r}" if name else "a constraint"
    return SinkError(
        f"table: {constraint} of {table} refuses the rows; nothing was changed. Check its keys, "
        "references and conditions"
    )


def rows_missing(table: object, expected: int, found: int) -> SinkError:
    """Return the error for a target that does not hold the rows that were inserted."""
    return SinkError(
        f"table: {table} holds {count_rows(found)} after {count_rows(expected)} were written, so a "
        "trigger, rule or policy of the table drops, moves or adds rows; the load was rolled back. "
        "Exempt the loader's role from it, or name another table"
    )


def inexact_column(table: object, column: str, type_name: str, count: int) -> We360ConfigError:
    """Return the error for values that a column's type would change silently."""
    return We360ConfigError(
        f"table: column {column!r} of {table} is of type {type_name}, which changes "
        f"the value of {count_rows(count)} (it rounds, cuts off or folds case); nothing was changed. Alter the column's type, or leave "
        "the column out of columns"
    )


def require_database(name: TableName, conn_id: str, opened: str) -> None:
    """Check that a three-part name means the connected database.

    :raises We360ConfigError: if it names another one.
    """
    if name.database is not None and name.database.lower() != opened.lower():
        raise We360ConfigError(
            f"table: {name} names database {name.database!r}, but Connection {conn_id!r} opens "
            f"{opened!r}; write schema.table"
        )


def in_memory(database: str, target: Target) -> We360ConfigError:
    """Return the error for a database that ends with the task."""
    return We360ConfigError(
        f"sql_conn_id: {database} Connection {target.conn_id!r} is missing or points to memory, so "
        "the rows would be lost with the task; set its Host to the path of a file"
    )
