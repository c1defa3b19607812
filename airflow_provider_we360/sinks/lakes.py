"""Find the lake of a table: ``namespace.table`` is Iceberg, a path or URL is Delta."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import COLUMN_NAME
from airflow_provider_we360.sinks import load_log
from airflow_provider_we360.sinks.lake_table import LakeTable, explained
from airflow_provider_we360.sinks.lakehouse import LakehouseSink
from airflow_provider_we360.types import Clock, Sleep

CONN_ID = "lakehouse_conn_id"


def is_path(table: str) -> bool:
    """Return True if a table's name is the path of a Delta table."""
    return "/" in table


def check_name(table: str, argument: str = "table") -> str:
    """Return the table's name.

    :raises We360ConfigError: if it is neither a name in a catalog nor an absolute path or URL.
    """
    if not is_path(table):
        parts = table.split(".")
        if len(parts) < 2 or not all(map(COLUMN_NAME.fullmatch, parts)):
            raise We360ConfigError(
                f"{argument}: {table!r} is no table of a lake; write namespace.table for a table "
                "of an Iceberg catalog, or the path of a Delta table, such as "
                "s3://bucket/we360_days or /data/we360_days"
            )
    elif "://" not in table and not table.startswith("/"):
        raise We360ConfigError(
            f"{argument}: {table!r} is relative to the worker's folder; write an absolute path or "
            "a URL"
        )
    elif ":" in urlsplit(table).netloc.rpartition("@")[0]:
        raise We360ConfigError(
            f"{argument}: contains a password before its @; store it in a Connection and name it "
            f"in {CONN_ID}"
        )
    return table


def sink_for(
    table: str,
    connection: Any,
    *,
    sleep: Sleep,
    now: Clock = time.time,
    load_log_table: str | None = None,
) -> LakehouseSink:
    """Return the sink that loads into ``table``. Nothing is opened yet but the catalog.

    :param connection: the Airflow Connection of the catalog or the store; None: none.
    :param load_log_table: the table in which each load is logged, of the same format.
    :raises We360ConfigError: if the names and the Connection do not fit each other.
    """
    check_name(table)
    if load_log_table is not None:
        check_name(load_log_table, load_log.ARGUMENT)
        if load_log_table.rstrip("/").lower() == table.rstrip("/").lower():
            raise We360ConfigError(
                f"{load_log.ARGUMENT}: {load_log_table} is the table of the rows; name another"
            )
        if is_path(load_log_table) != is_path(table):
            raise We360ConfigError(
                f"{load_log.ARGUMENT}: {load_log_table} and {table} are of two formats; write both "
                "as namespace.table, or both as paths"
            )
    names = [table, *([load_log_table] if load_log_table else [])]
    tables = _open_delta(names, connection) if is_path(table) else _open_iceberg(names, connection)
    return LakehouseSink(tables[0], tables[1] if load_log_table else None, sleep=sleep, now=now)


def _open_iceberg(names: list[str], connection: Any) -> list[LakeTable]:
    if connection is None or connection.conn_type != "iceberg":
        raise We360ConfigError(
            f"{CONN_ID}: an Iceberg table needs a Connection of type iceberg, which names its "
            "catalog"
        )
    try:
        hook = connection.get_hook()
        from airflow_provider_we360.sinks.iceberg import IcebergTable

        with explained("open the catalog of", names[0]):
            catalog = hook.get_conn()
    except (ImportError, AttributeError) as error:
        raise _not_installed("iceberg", error) from None
    return [IcebergTable(catalog, name) for name in names]


def _open_delta(names: list[str], connection: Any) -> list[LakeTable]:
    from airflow_provider_we360.sinks.delta import DeltaTable
    from airflow_provider_we360.sinks.delta_storage import storage_options

    try:
        import deltalake  # noqa: F401
    except ImportError as error:
        raise _not_installed("delta", error) from None
    return [DeltaTable(name, storage_options(name, connection)) for name in names]


def _not_installed(extra: str, error: Exception) -> We360ConfigError:
    return We360ConfigError(
        f"table: the support for {extra} tables is not installed ({type(error).__name__}): "
        f'pip install "airflow-provider-we360[{extra}]"'
    )
