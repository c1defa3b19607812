"""Find the warehouse of a Connection: a file in ``warehouses/``, or the generic one.

The file's name is a connection type, and the warehouse may name more. There is no list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from logging import getLogger
from typing import Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks import generic, warehouses
from airflow_provider_we360.sinks.load_log import log_target
from airflow_provider_we360.sinks.loader import SqlSink
from airflow_provider_we360.sinks.target import Target, parse_table
from airflow_provider_we360.sinks.warehouse import Warehouse
from airflow_provider_we360.types import Clock, Sleep

log = getLogger(__name__)


def names() -> tuple[str, ...]:
    """Return the connection types with a file of their own, sorted; none is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(warehouses.__path__)))


def get(conn_type: str) -> Warehouse:
    """Return the warehouse of that file: its ``WAREHOUSE``."""
    found = importlib.import_module(f"{warehouses.__name__}.{conn_type}").WAREHOUSE
    assert isinstance(found, Warehouse)
    return found


def find_name(conn_type: object) -> str | None:
    """Return the file that serves a connection type, also under its other names; None: none."""
    if conn_type in names():
        return str(conn_type)
    return next((name for name in names() if conn_type in get(name).conn_types), None)


def open_hook(connection: Any, hook_params: dict[str, Any] | None = None) -> Any:
    """Return the official hook of a Connection to a warehouse.

    :param hook_params: further arguments of the hook.
    """
    name = find_name(connection.conn_type)
    if name is not None and name != connection.conn_type and (build := get(name).open_hook):
        return build(connection.conn_id, **(hook_params or {}))
    return connection.get_hook(hook_params=hook_params or {})


def pip_extra(conn_type: object) -> str | None:
    """Return the pip extra that installs what a connection type needs; None if there is none."""
    name = find_name(conn_type)
    return None if name is None else get(name).extra or name


def sink_for(
    hook: object,
    table: str,
    *,
    conn_id: str,
    sleep: Sleep,
    clock: Clock,
    now: Clock = time.time,
    load_log_table: str | None = None,
) -> SqlSink:
    """Return the sink that loads into ``table`` through this hook. Nothing is opened yet.

    :param hook: the Connection's official hook.
    :param conn_id: the Connection's ID, for messages.
    :param clock: a clock that never goes back, in seconds; bounds the wait for a locked target.
    :param now: the time of day, in seconds since the epoch.
    :param load_log_table: the table in which each load is logged; None: none.
    :raises We360ConfigError: if the Connection is no database, or a table's name is invalid.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    conn_type = getattr(hook, "conn_type", None)
    if not isinstance(hook, DbApiHook):
        kind = f"served by {type(hook).__name__}"
        if isinstance(conn_type, str):
            kind = f"of type {conn_type!r}"
        raise We360ConfigError(
            f"sql_conn_id: {conn_id!r} is {kind}, which is no SQL database; use a Connection of "
            f"type {', '.join(names())}, or of any other type that Airflow serves by a DbApiHook"
        )
    target = Target(
        hook=hook, table=parse_table(table), conn_id=conn_id, sleep=sleep, clock=clock, now=now
    )
    log_table = None if load_log_table is None else log_target(target, load_log_table)
    if (name := find_name(conn_type)) is not None:
        return SqlSink(get(name), target, log_table)
    log.info(
        "Connection %r is of type %r, for which there is no bulk path; rows are sent with "
        "executemany in standard SQL. There is no lock: if the table has no primary key, two loads "
        "of the same rows at once can double them; use an Airflow pool with one slot. Types with a "
        "bulk path: %s",
        conn_id,
        conn_type,
        ", ".join(names()),
    )
    return SqlSink(generic.WAREHOUSE, target, log_table)
