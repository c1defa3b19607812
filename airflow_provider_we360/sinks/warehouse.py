"""Warehouse: how one kind of database does each step of a load, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks import statements
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.sinks.dataset import database_namespace
from airflow_provider_we360.sinks.error_map import ErrorMap
from airflow_provider_we360.sinks.session import DbSession
from airflow_provider_we360.sinks.table_schema import LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableRef, Target


def accept_target(target: Target) -> None:
    """Accept every Connection."""


def no_lock(session: DbSession, ref: TableRef) -> None:
    """Do nothing, because the transaction itself keeps other loads away."""


def enforced_key(session: DbSession, table: LoadTable) -> bool:  # noqa: ARG001 - a default
    """Return False, because the database enforces the keys that it declares."""
    return False


def server_namespace(session: DbSession) -> str:
    """Return the server as its hook names it."""
    return database_namespace(session.target.hook, session.target.conn_id)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """One kind of database.

    :param connect: opens the session; at its end it closes it, which rolls back what was not
        committed and drops the staging table.
    :param reflect: reads the table from the catalogue; None if it does not exist.
    :param stage: loads all batches into a staging table that no other session sees, by the
        database's own bulk path, and returns its name for FROM. With ``prefetch`` the batches are
        a :class:`~airflow_provider_we360.sinks.spool.Spool`.
    :param errors: what the driver's errors mean.
    :param check: refuses a Connection that could never keep rows, before any row is requested.
    :param prepare_lock: creates what ``lock`` needs, outside of the transaction.
    :param lock: keeps other loads off the table until commit.
    :param has_unenforced_key: whether the table declares a key that the database does not enforce;
        the loader then looks for duplicates itself.
    :param namespace: the server or file, for lineage.
    :param conn_types: further connection types that this warehouse serves.
    :param open_hook: builds the hook of such a Connection, from its ID and further arguments.
    :param extra: the pip extra that installs what the warehouse needs; empty: named as its file.
    :param prefetch: True if all rows are read before the session is opened.
    :param spells_names: True if existing columns are quoted as the catalogue spells them.
    :param experimental: True if it was never confirmed on the real service.
    """

    connect: Callable[[Target], AbstractContextManager[DbSession]]
    reflect: Callable[[DbSession, TableRef], TableSchema | None]
    stage: Callable[[DbSession, LoadTable, Any], str]
    errors: ErrorMap
    check: Callable[[Target], None] = accept_target
    prepare_lock: Callable[[DbSession, TableRef], None] = no_lock
    lock: Callable[[DbSession, TableRef], None] = no_lock
    create_table: Callable[[DbSession, TableRef, LoadPlan], None] = statements.create_table
    add_columns: Callable[[DbSession, TableRef, LoadPlan, Sequence[Column]], None] = (
        statements.add_columns
    )
    has_unenforced_key: Callable[[DbSession, LoadTable], bool] = enforced_key
    namespace: Callable[[DbSession], str] = server_namespace
    conn_types: tuple[str, ...] = ()
    open_hook: Callable[..., Any] | None = None
    extra: str = ""
    prefetch: bool = False
    spells_names: bool = False
    experimental: bool = False
