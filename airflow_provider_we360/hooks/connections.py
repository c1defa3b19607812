"""Read an Airflow Connection, and say what is wrong if that fails."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_we360.errors import ConnectionUnreadable, We360ConfigError


def get_connection(
    conn_id: str,
    argument: str,
    expected: str,
    *,
    conn_type: str | None = None,
    find: Callable[[str], Any] = BaseHook.get_connection,
    hint: str = "",
) -> Any:
    """Return the Connection with that ID, its password and extra readable.

    :param argument: the argument that names it, for messages.
    :param expected: the kind it must be, for messages, e.g. ``one of type we360``.
    :param conn_type: the type it must have; None: any.
    :param find: how this process reads Connections.
    :param hint: what else to try if there is none.
    :raises We360ConfigError: it does not exist, or is of another type.
    :raises ConnectionUnreadable: it cannot be read from this process.
    """
    try:
        connection = find(conn_id)
        _ = connection.password, connection.extra  # decrypts them
    except AirflowNotFoundException:
        missing = "; ".join(filter(None, (_explain_missing(conn_id, expected), hint)))
        raise We360ConfigError(f"{argument}: {missing}") from None
    except Exception as error:  # noqa: BLE001 - each secrets backend raises errors of its own
        # Not as the cause: a parse error of a URI quotes parts of the password.
        raise ConnectionUnreadable(
            f"{argument}: Connection {conn_id!r} cannot be read ({type(error).__name__}); check "
            "that this process may read it, that the secrets backend answers, and that [core] "
            "fernet_key is the one it was saved with"
        ) from None
    found = connection.conn_type
    # An empty type passes: some secrets backends return Connections without one.
    if conn_type and found and found != conn_type:
        raise We360ConfigError(
            f"{argument}: Connection {conn_id!r} is of type {found}, not {conn_type}; "
            "change its type, or name another"
        )
    return connection


def _explain_missing(conn_id: str, expected: str) -> str:
    """Say why Airflow finds no such Connection. It reports all of its reasons as "not found"."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if variable in os.environ:
        return (
            f"environment variable {variable} is set, but Airflow cannot read a Connection from "
            f'it; write {expected} as JSON such as {{"conn_type": "we360", ...}}, or as a URI'
        )
    of_a_team = re.compile(rf"AIRFLOW_CONN__(.+?)___{re.escape(conn_id.upper())}")
    if teams := [match[1].lower() for name in os.environ if (match := of_a_team.fullmatch(name))]:
        return (
            f"Connection {conn_id!r} is set in the environment, but only for team "
            f"{', '.join(sorted(teams))}; create {expected} for this team, or name another"
        )
    return f"there is no Connection {conn_id!r}; create {expected}, or name another"
