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
from support.elsewhere import ElsewherePostgres, ElsewhereSQLite
from support.engines import (
    DuckDB,
    Engine,
    MariaDB,
    Postgres,
    PostgresOverAdbc,
    SQLite,
    mariadb_server,
    needs_mariadb,
    warm_up,
    watched_adbc,
)
from support.lakes import Delta, Iceberg, needs_catalog
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


@pytest.fixture
def redshift(redshift_server: int, redshift_s3: str) -> tuple[int, str]:
    return redshift_server, redshift_s3


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


@pytest.fixture
def bigquery_url(bigquery: tuple[BigQuery, str]) -> str:
    return bigquery[1]


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


CORE = ("duckdb", "sqlite", "postgres", "iceberg", "delta")
"""The engines of `make test`; the others follow with `make test-all` and `make test-clouds`."""
ENGINES: dict[str, tuple[type[Engine], str]] = {
    "duckdb": (DuckDB, "folder"),
    "sqlite": (SQLite, "folder"),
    "postgres": (Postgres, "postgres_server"),
    "postgres over adbc": (PostgresOverAdbc, "postgres_server"),
    "elsewhere, PostgreSQL": (ElsewherePostgres, "postgres_server"),
    "elsewhere, SQLite": (ElsewhereSQLite, "folder"),
    "mysql": (MariaDB, "mariadb_port"),
    "snowflake": (Snowflake, "snowflake_service"),
    "redshift": (Redshift, "redshift"),
    "gcpbigquery": (BigQueryEngine, "bigquery_url"),
    "iceberg": (Iceberg, "folder"),
    "delta": (Delta, "folder"),
}
"""Each target of the suite, and the fixture that its class is made from."""
if missing := set(registry.names()) - set(ENGINES):
    raise pytest.UsageError(f"no database to try {missing} on: add an engine to ENGINES")
CLOUDS = frozenset({"gcpbigquery", "redshift", "snowflake"})
"""Targets whose clients are in a venv of their own."""
SLOW = frozenset({"delta", "duckdb", "iceberg"})
"""Targets that take ten times as long as the others of `make test`."""


def _param(name: str) -> Any:
    marks = [pytest.mark.clouds] if name in CLOUDS else []
    if name not in CORE:
        marks.append(pytest.mark.long)
    if name == "mysql":
        marks.append(needs_mariadb)
    if name == "iceberg":
        marks.append(needs_catalog)
    return pytest.param(name, marks=marks)


@pytest.hookimpl(tryfirst=True)  # before pytest reads -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an engine cannot do, before anything runs.

    Most cases are decided in shared code: make test runs them on SQLite and PostgreSQL, and on the slow targets only
    those that are marked as `core`.
    """
    for item in items:
        if _engine_of(item) in SLOW and not item.get_closest_marker("core"):
            item.add_marker(pytest.mark.long)
    left_out = [item for item in items if not _can_play(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _engine_of(item: pytest.Item) -> Any:
    return item.callspec.params.get("engine") if hasattr(item, "callspec") else None


def _can_play(item: pytest.Item) -> bool:
    if (name := _engine_of(item)) is None:
        return True
    engine, _ = ENGINES[name]
    chosen = [name in mark.args for mark in item.iter_markers("engines")]
    has = [getattr(engine, word) for mark in item.iter_markers("engine_has") for word in mark.args]
    return all([*chosen, *has]) and item.originalname not in engine.cannot_play  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _watched_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """ADBC's sessions can be watched as the hooks' connections are."""
    connect = adbc.connect
    monkeypatch.setattr(adbc, "connect", lambda hook: watched_adbc(hook, connect))


@pytest.fixture(params=[_param(name) for name in ENGINES])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return a database of each type of Connection that has a warehouse, and some behind unknown hooks."""
    kind, fixture = ENGINES[request.param]
    given = request.getfixturevalue(fixture)
    return kind(*given) if isinstance(given, tuple) else kind(given)  # type: ignore[call-arg]


@pytest.fixture
def table() -> str:
    """A table's name that no other test uses."""
    return f"attendance_{uuid.uuid4().hex[:12]}"
