"""What all targets say alike when they refuse: what to do next, and never a value."""

from __future__ import annotations

import tempfile

from airflow_provider_we360.errors import SinkError, We360ConfigError
from airflow_provider_we360.sinks.base import Load, WriteMode
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.types import Day


def other_columns() -> SinkError:
    """Two answers of one load differ in shape."""
    return SinkError(
        "the columns of the answer changed while it was read; nothing was changed, run the task again"
    )


def stray_day(load: Load, day: Day) -> SinkError:
    """Rows came of a day that nobody asked for."""
    first, last = load.window
    return SinkError(
        f"We360 sent rows of {day}, outside of {first} to {last}; nothing was changed. Tell We360 support"
    )


def strangers(load: Load, count: int) -> SinkError:
    """Rows came of people whom nobody asked for."""
    return SinkError(
        f"{count} row(s) are of people whom user_ids does not name; nothing was changed. Check that user_ids holds "
        f"values of {load.person_column}; if it does, tell We360 support that the filter is ignored"
    )


def otherwise_named(load: Load, target: Target, count: int) -> We360ConfigError:
    """Rows of the window tell people in clear where this load brings pseudonyms, the other way round, or by another key."""
    person = load.person_column
    ours = (
        f"pseudonyms {load.pseudonyms[person]}..." if person in load.pseudonyms else "ids in clear"
    )
    return We360ConfigError(
        f"pseudonymize: this load brings {ours} in {person}, and {count} row(s) of {target} in its window tell people "
        "otherwise: each would be there twice. Nothing was changed. Load the window once with write_mode='replace_window' "
        "and without user_ids, or name another table"
    )


def no_value(target: Target, column: str | None) -> SinkError:
    """A column that takes no NULL got one."""
    return SinkError(
        f"table: a row has no value for column {column} of {target}, which takes no NULL; nothing was changed"
    )


def lost(target: Target, server: str, *, at_commit: bool) -> SinkError:
    """The line to the server broke.

    :param server: the kind of database.
    :param at_commit: True where the word to commit was sent, and no answer came.
    """
    if at_commit:
        return SinkError(
            f"the connection to {server} was lost while the load was committed: {target} holds all of its rows by now, or "
            "none. Run the task again: each day ends up right either way"
        )
    return SinkError(
        f"the connection to {server} was lost before {target} was changed; run the task again"
    )


def no_room(error: OSError) -> SinkError:
    """The worker's disk takes no more of the rows on their way."""
    why = error.strerror or "write failed"
    return SinkError(
        f"no room for the rows in {tempfile.gettempdir()} ({why}); free some, or set TMPDIR to another folder"
    )


def key_taken(target: Target, write_mode: WriteMode) -> SinkError:
    """Two rows of one key met in a table that admits each once."""
    if write_mode is WriteMode.APPEND:
        return SinkError(
            f"write_mode: rows of this window are in {target} already, and its key admits each once; nothing was changed. "
            "Use write_mode='replace_window' or 'merge'"
        )
    return constraint(target)


def constraint(target: Target) -> SinkError:
    """Some other constraint, of the user's own."""
    return SinkError(
        f"table: a constraint of {target} refuses the rows; nothing was changed. Look at its keys and checks"
    )


def require_database(target: Target, opened: str) -> None:
    """A three-part name must mean the connected database.

    :raises We360ConfigError: where it names another.
    """
    named = target.table.database
    if named is not None and named.lower() != opened.lower():
        raise We360ConfigError(
            f"table: {target} names database {named!r}, but Connection {target.conn_id!r} opens {opened!r}; write schema.table"
        )


def in_memory(kind: str, target: Target) -> We360ConfigError:
    """The Connection points to a database that ends with the task."""
    return We360ConfigError(
        f"sql_conn_id: {kind} Connection {target.conn_id!r} is missing or points to memory, where the rows would be lost with "
        "the task; set its Host to the path of a file"
    )
