"""A private AIRFLOW_HOME for each process, set before anything imports Airflow, and the choice of the tests that run."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[1]
_HOME = Path(tempfile.mkdtemp(prefix="we360-tests-"))
os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS="False",
    AIRFLOW__CORE__FERNET_KEY=Fernet.generate_key().decode(),
    AIRFLOW__CORE__DAGS_FOLDER=str(_HOME / "dags"),  # empty: dag.test() parses all of it each time
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(_HOME / "logs"),
    AIRFLOW__API_AUTH__JWT_SECRET="for tests only, and long enough to be taken",
)
(_HOME / "dags").mkdir()
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_"))]:
    del os.environ[_name]

OTHER_SUITES = (
    "more: make test-all; with services of their own: make test-clouds, test-kills, test-scheduler,"
    " test-history, test-keycloak, test-fleet, test-celery, test-browser, test-matrix"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--order", type=int, metavar="SEED", help="run the tests in a random order")


def pytest_configure(config: pytest.Config) -> None:
    """Try each law with the same few examples, or under make test-all with many that differ."""
    from hypothesis import settings

    settings.register_profile("dev", max_examples=20, deadline=None, derandomize=True)
    settings.register_profile("ci", max_examples=100, deadline=None, print_blob=True)
    settings.load_profile(os.environ.get("WE360_EXAMPLES", "dev"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose `only_if` does not hold, so that a run prints no wall of skipped tests."""
    kept, left_out = [], []
    for item in items:
        conditions = [mark.args[0] for mark in item.iter_markers("only_if")]
        conditions.append(
            "WE360_REQUIRE_CLOUDS" in os.environ or not item.get_closest_marker("clouds")
        )
        (kept if all(conditions) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    if (seed := config.getoption("order")) is not None:
        random.Random(seed).shuffle(kept)
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(OTHER_SUITES)


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The process's AIRFLOW_HOME; its database may not exist yet."""
    return _HOME


@pytest.fixture(scope="session")
def airflow_db(airflow_home: Path) -> Path:
    """Return the Airflow database of this process: a copy of one that is migrated once per checkout."""
    database = airflow_home / "airflow.db"
    python = ".".join(map(str, sys.version_info[:2]))
    name = f"airflow-{importlib.metadata.version('apache-airflow')}-py{python}.db"
    migrated = ROOT / ".cache" / "tests" / name
    migrated.parent.mkdir(parents=True, exist_ok=True)
    with migrated.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker of pytest-xdist waits, then copies
        if not migrated.exists():
            from airflow.utils.db import initdb

            initdb()
            copy_database(database, half_done := migrated.with_suffix(".part"))
            half_done.replace(migrated)
            return database
    copy_database(migrated, database)
    return database


def copy_database(source: Path, target: Path) -> None:
    """Copy in place: Airflow may hold a connection to the target already."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
