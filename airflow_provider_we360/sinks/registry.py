"""Which file in ``warehouses/`` serves a Connection: the one named as its connection type. There is no list to edit.

Any other SQL database is served by :mod:`airflow_provider_we360.sinks.generic`.
"""

from __future__ import annotations

import importlib
import pkgutil
from logging import getLogger

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks import warehouses
from airflow_provider_we360.sinks.generic import GenericWarehouse
from airflow_provider_we360.sinks.load_log import log_target
from airflow_provider_we360.sinks.sql import SqlSink
from airflow_provider_we360.sinks.table import parse_table
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse
from airflow_provider_we360.types import Clock, Sleep

log = getLogger(__name__)


def names() -> tuple[str, ...]:
    """Connection types that can be loaded into, sorted; found by looking into the folder, none is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(warehouses.__path__)))


def get(conn_type: str) -> type[Warehouse]:
    """The warehouse of that connection type: what its file calls ``WAREHOUSE``."""
    found: type[Warehouse] = importlib.import_module(f"{warehouses.__name__}.{conn_type}").WAREHOUSE
    assert issubclass(found, Warehouse)
    return found


def sink_for(
    hook: object,
    table: str,
    *,
    conn_id: str,
    sleep: Sleep,
    clock: Clock,
    load_log_table: str | None = None,
) -> SqlSink:
    """The sink that loads into ``table`` through this hook. Nothing is opened yet.

    :param hook: what Airflow made of the Connection.
    :param conn_id: the Connection's id, for messages.
    :param clock: any clock that only goes forward, in seconds; with ``sleep`` it bounds the wait for a locked target.
    :param load_log_table: where each load writes down what it did; None: nowhere.
    :raises We360ConfigError: where the Connection is of no such kind, or a table's name is none.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    conn_type = getattr(hook, "conn_type", None)
    known = ", ".join(names())
    if not isinstance(hook, DbApiHook):
        kind = (
            f"type {conn_type!r}"
            if isinstance(conn_type, str)
            else f"a kind that Airflow serves by {type(hook).__name__}"
        )
        raise We360ConfigError(
            f"sql_conn_id: {conn_id!r} is of {kind}, which is no SQL database; use a Connection of type {known}, or "
            "of any other that Airflow serves by a DbApiHook"
        )
    target = Target(hook=hook, table=parse_table(table), conn_id=conn_id, sleep=sleep, clock=clock)
    book = None if load_log_table is None else log_target(target, load_log_table)
    if isinstance(conn_type, str) and conn_type in names():
        return SqlSink(get(conn_type), target, book)
    log.info(
        "Connection %r is of type %r, for which there is no fast path: rows go by executemany, in standard SQL. There is no "
        "lock: where the table enforces no primary key, two loads of the same rows at once can double them; an Airflow pool "
        "of one slot keeps them apart. With a path of their own: %s",
        conn_id,
        conn_type,
        known,
    )
    return SqlSink(GenericWarehouse, target, book)
