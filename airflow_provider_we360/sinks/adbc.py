"""A PostgreSQL connection over ADBC, whose driver sends Arrow as binary COPY.

The whole load runs on it, not the staging alone: a temporary table is visible to its own session
only. It has as much of a psycopg connection and cursor as a load uses.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    import pyarrow as pa

DRIVER = "adbc_driver_postgresql"
_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")


class AdbcConnection:
    """One connection and its cursor; outside of BEGIN each statement commits. One thread uses it.

    :param uri: holds the password: never shown, never logged.
    """

    def __init__(self, uri: str) -> None:
        from adbc_driver_postgresql import dbapi

        self._connection: Any = dbapi.connect(uri, autocommit=True)
        self._cursor: Any = self._connection.cursor()

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        return int(self._cursor.rowcount)

    def execute(self, sql: str, parameters: Sequence[object] | None = None) -> None:
        """Execute a statement; parameters are written ``%s``."""
        if sql in _TRANSACTION:
            self._change_transaction(sql)
        elif parameters and not sql.startswith("SELECT"):
            # The driver binds parameters of statements without rows this way only.
            self._cursor.executemany(_number_parameters(sql), [tuple(parameters)])
        else:
            self._cursor.execute(_number_parameters(sql), parameters or None)

    def _change_transaction(self, sql: str) -> None:
        """Begin or end a transaction through the driver.

        The driver commits each statement with parameters unless it knows of the transaction.
        """
        driver = self._connection.adbc_connection
        if sql == "BEGIN":
            driver.set_autocommit(False)
            return
        if sql == "COMMIT":
            driver.commit()
        else:
            driver.rollback()
        driver.set_autocommit(True)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the last query."""
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    def ingest(self, table: str, rows: pa.RecordBatch) -> None:
        """Add the rows to a temporary table with exactly their columns and types."""
        self._cursor.adbc_ingest(table, rows, mode="append", temporary=True)

    def cancel(self) -> None:
        """Cancel the running statement."""
        self._cursor.adbc_cancel()

    def close(self) -> None:
        """Close cursor and connection."""
        self._cursor.close()
        self._connection.close()


def is_usable(hook: Any) -> bool:
    """Return True if the driver is installed and knows every setting of the hook.

    A subclass of the hook may connect in its own way, and libpq does not know every key of a
    Connection's extra: both stay with psycopg.
    """
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    return (
        importlib.util.find_spec(DRIVER) is not None
        and type(hook) is PostgresHook
        and set(_settings(hook)) <= _known_to_libpq()
    )


def connect(hook: Any) -> AdbcConnection:
    """Open a connection for the hook's Connection.

    :raises adbc_driver_manager.Error: if that fails.
    """
    connection = deepcopy(_connection(hook))
    if connection.extra_dejson.get("iam", False):
        connection.login, connection.password, connection.port = hook.get_iam_token(connection)
    settings = {
        "host": connection.host,
        "user": connection.login,
        "password": connection.password,
        "dbname": hook.database or connection.schema,
        "port": connection.port,
        **_settings(hook),
        # The driver sends UTF-8, whatever the environment or the role says.
        "client_encoding": "UTF8",
    }
    given = {name: str(value) for name, value in settings.items() if value not in (None, "")}
    return AdbcConnection(f"postgresql:///?{urlencode(given, quote_via=quote)}")


def _connection(hook: Any) -> Any:
    return getattr(hook, "connection", None) or hook.get_connection(hook.get_conn_id())


def _settings(hook: Any) -> dict[str, object]:
    """Return what the hook passes to its driver beyond host, login and database."""
    extra = _connection(hook).extra_dejson
    given = {name: value for name, value in extra.items() if name not in hook.ignored_extra_options}
    return {**({"options": hook.options} if hook.options else {}), **given}


def _known_to_libpq() -> set[str]:
    try:
        from psycopg.pq import Conninfo
    except ImportError:
        return set()
    return {option.keyword.decode() for option in Conninfo.get_defaults()}


def _number_parameters(sql: str) -> str:
    """Write ``%s`` as ``$1``, ``$2`` and so on, and ``%%`` as ``%``."""
    number = 0

    def replace(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] == "%%":
            return "%"
        number += 1
        return f"${number}"

    return re.sub(r"%[s%]", replace, sql)
