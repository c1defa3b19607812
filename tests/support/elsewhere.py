"""Databases behind hooks that this provider has no file for: what a stranger's provider would bring, and nothing more."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_we360.rows.schema import Kind
from support.engines import Engine, MariaDB, SQLite, _Watched

ELSEWHERE = ("PostgreSQL", "SQLite")


class Elsewhere(Engine):
    """A Connection of a made-up type."""

    conn_type = "elsewhere"
    has_lock = False

    def __init__(
        self, uri: str, opener: Callable[[], Any], placeholder: str = "%s", **connection: Any
    ) -> None:
        self.uri, self.opener, self.placeholder = uri, opener, placeholder
        super().__init__({"host": "elsewhere", **connection})

    def hook(self) -> Any:
        return self.hook_with(lambda sql: None)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        engine = self

        class ElsewhereHook(DbApiHook):
            conn_name_attr = "elsewhere_conn_id"
            conn_type = "elsewhere"
            _placeholder = engine.placeholder

            def get_conn(self) -> Any:
                return _Watched(engine.opener(), before)

            def get_uri(self) -> str:
                return engine.uri

        return ElsewhereHook(elsewhere_conn_id=self.conn_id)

    def typed(self, value: object, kind: Kind) -> object:
        return (
            value.replace(tzinfo=dt.UTC)
            if kind is Kind.INSTANT and isinstance(value, dt.datetime)
            else value
        )


class _Open:
    """Opens a connection; goes to other processes as it is."""

    def __init__(self, driver: str, *args: Any, **kwargs: Any) -> None:
        self.driver, self.args, self.kwargs = driver, args, kwargs

    def __call__(self) -> Any:
        import importlib

        return importlib.import_module(self.driver).connect(*self.args, **self.kwargs)


class ElsewherePostgres(Elsewhere):
    text = "text"

    def __init__(
        self,
        server: str,
        driver: str = "psycopg",
        *,
        known: bool = True,
        login: str = "postgres",
        database: str = "postgres",
    ) -> None:
        """:param known: False where SQLAlchemy shall know nothing of the database."""
        scheme = f"postgresql+{driver}" if known else "nothing-known"
        opener = _Open(driver, host=server, user=login, dbname=database)
        super().__init__(f"{scheme}://{login}@/{database}?host={server}", opener)


class ElsewhereSQLite(Elsewhere):
    text = "TEXT"
    tables, table_name = SQLite.tables, SQLite.table_name
    typed = SQLite.typed

    def __init__(self, folder: Path) -> None:
        self.path = folder / "elsewhere.sqlite"
        super().__init__(f"sqlite:///{self.path}", _OpenSQLite(self.path), placeholder="?")


class _OpenSQLite:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> sqlite3.Connection:
        # What Python's own adapters do, which are deprecated from 3.12 on.
        sqlite3.register_adapter(dt.date, dt.date.isoformat)
        sqlite3.register_adapter(dt.datetime, lambda moment: moment.isoformat(" "))
        return sqlite3.connect(self.path, timeout=60)


class ElsewhereMariaDB(Elsewhere):
    text = "VARCHAR(100)"

    def __init__(self, port: int, database: str) -> None:
        login = dict(
            host="127.0.0.1",
            port=port,
            user=MariaDB.login,
            password=MariaDB.password,
            database=database,
        )
        place = f"{MariaDB.login}:{MariaDB.password}@127.0.0.1:{port}/{database}"
        super().__init__(f"mysql+mysqlconnector://{place}", _Open("mysql.connector", **login))
