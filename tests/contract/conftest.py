"""Every warehouse that is found by looking, on the real database."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="we360-tests-"))

from airflow_provider_we360.sinks import adbc, registry
from support import cloud_stores, engines
from support.bigquery_engine import DATASET, BigQueryEngine
from support.bigquery_server import BigQuery, bigquery_server
from support.cloud_stores import Cloud
from support.elsewhere import ELSEWHERE, ElsewherePostgres, ElsewhereSQLite
from support.engines import (
    MARIADBD,
    DuckDB,
    Engine,
    MariaDB,
    Postgres,
    PostgresOverAdbc,
    SQLite,
    mariadb_server,
    warm_up,
    watched_adbc,
)
from support.redshift_engine import BUCKET, Redshift, redshift_port
from support.snowflake_engine import Snowflake, snowflake_server

PROCESSES = 2


def require_clouds(*packages: str) -> None:
    """Skip where the clouds' clients are not installed; fail there if they are said to be."""
    if missing := [package for package in packages if not _is_installed(package)]:
        if os.environ.get("WE360_REQUIRE_CLOUDS"):
            pytest.fail(
                f"{', '.join(missing)} not installed, and WE360_REQUIRE_CLOUDS is set: .ci/bootstrap clouds"
            )
        pytest.skip(f"{', '.join(missing)} not installed: make test-clouds")


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Folder of the socket of a PostgreSQL that lives as long as the session."""
    with engines.postgres_server() as folder:
        yield folder


@pytest.fixture(scope="session")
def mariadb_port() -> Iterator[int]:
    """Port of a MariaDB that lives as long as the session."""
    if not MARIADBD and "CI" not in os.environ:
        pytest.skip(
            "no mariadbd here: MySQL is not tried (Debian: apt-get install --no-install-recommends mariadb-server)"
        )
    memory = Path("/dev/shm")
    where = (
        memory if os.access(memory, os.W_OK) else None
    )  # a test's server need not survive a power cut
    with (
        tempfile.TemporaryDirectory(prefix="we360-my-", dir=where) as folder,
        mariadb_server(Path(folder)) as port,
    ):
        yield port


@pytest.fixture(scope="session")
def redshift_server(postgres_server: str) -> Iterator[int]:
    """Port of the stand-in for Redshift."""
    require_clouds("moto", "s3fs", "redshift_connector", "airflow.providers.amazon")
    with redshift_port(postgres_server) as port:
        yield port


@pytest.fixture(scope="session")
def redshift_s3() -> Iterator[str]:
    """An S3 of this machine, and the bucket in which loads are staged."""
    require_clouds("moto", "s3fs")
    server = importlib.import_module("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    Redshift(0, url).client.create_bucket(Bucket=BUCKET)
    yield url
    server.stop()


@pytest.fixture(scope="session")
def snowflake_service() -> Iterator[dict[str, Any]]:
    """A stand-in for Snowflake that lives as long as the session."""
    require_clouds("fakesnow", "airflow.providers.snowflake")
    with snowflake_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[Cloud]:
    """An S3 that lives as long as the session."""
    with cloud_stores.s3() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def gcs() -> Iterator[Cloud]:
    """The same of Google Cloud Storage."""
    with cloud_stores.gcs() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def azure() -> Iterator[Cloud]:
    """The same of Azure Blob Storage."""
    with cloud_stores.azure() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def bigquery() -> Iterator[tuple[BigQuery, str]]:
    """The stand-in for BigQuery, with one dataset, and its address."""
    require_clouds("airflow.providers.google", "google.cloud.bigquery", "sqlglot")
    with bigquery_server() as (server, url):
        server.make_dataset(DATASET)
        yield server, url


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


CLOUDS = frozenset({"gcpbigquery", "redshift", "snowflake"})
"""Targets whose clients are in a venv of their own."""
TARGETS = [
    pytest.param(name, marks=pytest.mark.clouds if name in CLOUDS else ())
    for name in registry.names()
]


@pytest.fixture(autouse=True)
def _watched_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """ADBC's sessions can be watched as the hooks' connections are."""
    connect = adbc.connect
    monkeypatch.setattr(adbc, "connect", lambda hook: watched_adbc(hook, connect))


@pytest.fixture(
    params=[*TARGETS, "postgres over adbc", *(f"elsewhere, {kind}" for kind in ELSEWHERE)]
)
def engine(request: pytest.FixtureRequest, folder: Path) -> Engine:
    """A database of each type of Connection that there is a warehouse for, and some behind hooks that are not known."""
    made = _engine(request, folder)
    if getattr(request.node, "originalname", None) in made.cannot_play:
        pytest.skip(f"the stand-in for {type(made).__name__} cannot play this")
    return made


def _engine(request: pytest.FixtureRequest, folder: Path) -> Engine:
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
    if name == "snowflake":
        return Snowflake(request.getfixturevalue("snowflake_service"))
    if name == "postgres over adbc":
        return PostgresOverAdbc(request.getfixturevalue("postgres_server"))
    if name == "mysql":
        return MariaDB(request.getfixturevalue("mariadb_port"))
    if name == "redshift":
        return Redshift(
            request.getfixturevalue("redshift_server"), request.getfixturevalue("redshift_s3")
        )
    if name == "gcpbigquery":
        return BigQueryEngine(request.getfixturevalue("bigquery")[1])
    raise AssertionError(f"warehouses/{name}.py has no database to be tried on: add one here")


@pytest.fixture
def table() -> str:
    """A table's name that no other test uses."""
    return f"attendance_{uuid.uuid4().hex[:12]}"
