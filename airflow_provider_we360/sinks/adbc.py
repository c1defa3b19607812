"""AdbcSession: a session of PostgreSQL over ADBC, whose driver sends Arrow as binary COPY without a Python object a value.

The whole load runs on it, not its staging alone: a temporary table is seen by its own session only. It looks like a
connection and cursor of psycopg as far as a load uses them.
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


class AdbcSession:
    """One session; statements stand for themselves unless BEGIN was executed. One thread uses it.

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
        """Execute; places of parameters are written ``%s``."""
        if sql in _TRANSACTION:
            self._end_or_begin(sql)
        elif parameters and not sql.startswith("SELECT"):
            self._cursor.executemany(
                _numbered(sql), [tuple(parameters)]
            )  # as the driver binds a statement without answer
        else:
            self._cursor.execute(_numbered(sql), parameters or None)

    def _end_or_begin(self, sql: str) -> None:
        """Told to the driver: a transaction that it does not know of it ends after each statement with values."""
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
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    def ingest(self, table: str, rows: pa.RecordBatch) -> None:
        """Add the rows to a temporary table that has their columns, of the very types."""
        self._cursor.adbc_ingest(table, rows, mode="append", temporary=True)

    def close(self) -> None:
        self._cursor.close()
        self._connection.close()


def is_usable(hook: Any) -> bool:
    """Whether the driver is installed, and can be told all that the hook would tell its own.

    Not where the hook is of a subclass, which may connect in a way of its own, and not where the Connection's extra holds
    what libpq does not know.
    """
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    return (
        importlib.util.find_spec(DRIVER) is not None
        and type(hook) is PostgresHook
        and set(_told(hook)) <= _known_to_libpq()
    )


def connect(hook: Any) -> AdbcSession:
    """A session for the hook's Connection.

    :raises adbc_driver_manager.Error: where there is none to be had.
    """
    connection = deepcopy(_connection(hook))
    if connection.extra_dejson.get("iam", False):
        connection.login, connection.password, connection.port = hook.get_iam_token(connection)
    told = {
        "host": connection.host,
        "user": connection.login,
        "password": connection.password,
        "dbname": hook.database or connection.schema,
        "port": connection.port,
        **_told(hook),
    }
    given = {name: str(value) for name, value in told.items() if value not in (None, "")}
    return AdbcSession(f"postgresql:///?{urlencode(given, quote_via=quote)}")


def _connection(hook: Any) -> Any:
    return getattr(hook, "connection", None) or hook.get_connection(hook.get_conn_id())


def _told(hook: Any) -> dict[str, object]:
    """What the hook tells its driver beyond host, login and database."""
    extra = _connection(hook).extra_dejson
    told = {name: value for name, value in extra.items() if name not in hook.ignored_extra_options}
    return {**({"options": hook.options} if hook.options else {}), **told}


def _known_to_libpq() -> set[str]:
    try:
        from psycopg.pq import Conninfo
    except ImportError:
        return set()
    return {option.keyword.decode() for option in Conninfo.get_defaults()}


def _numbered(sql: str) -> str:
    """``%s`` as ``$1``, ``$2`` and so on; ``%%`` as ``%``."""
    number = 0

    def place(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] == "%%":
            return "%"
        number += 1
        return f"${number}"

    return re.sub(r"%[s%]", place, sql)
