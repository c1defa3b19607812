"""Servers that real Airflow talks to, and Connections to them."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.hooks.we360 import We360Hook
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import AIRFLOW
from support.dag_runs import make_known
from support.engines import Postgres, postgres_server


@pytest.fixture(autouse=True)
def skipped_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hooks wait in no time: their clock runs ahead by what they would have slept."""
    ahead = [0.0]

    def sleep(seconds: float) -> None:
        ahead[0] += seconds
        time.sleep(0.001)

    # Operators make their hooks themselves: their clock is handed in by what a hook is made with.
    made = functools.partialmethod(
        We360Hook.__init__, clock=lambda: time.time() + ahead[0], sleep=sleep
    )
    monkeypatch.setattr(We360Hook, "__init__", made)


@pytest.fixture(autouse=True)
def no_supervisor() -> None:
    """Take away the supervisor that ``dag.test()`` of an earlier test may have left.

    Airflow takes it away and puts it back around each request of a task. A thread of an abandoned
    load does so too, and may put it back after the task has ended.
    """
    if runner := sys.modules.get("airflow.sdk.execution_time.task_runner"):
        vars(runner).pop("SUPERVISOR_COMMS", None)


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    """Take what a test has masked out of Airflow's masker: it compiles all patterns again for each new one."""
    maskers = [
        module._secrets_masker()
        for name, module in list(sys.modules.items())
        if name.endswith("secrets_masker") and hasattr(module, "_secrets_masker")
    ]
    before = [(masker, set(masker.patterns), masker.replacer) for masker in maskers]
    yield
    for masker, patterns, replacer in before:
        masker.patterns, masker.replacer = patterns, replacer


@pytest.fixture
def account() -> dict[str, str]:
    """E-mail and password of the sandbox's account."""
    config = SimulatorConfig()
    return {"login": config.login, "password": config.password}


@pytest.fixture
def sandbox(request, monkeypatch, account) -> Iterator[Simulator]:
    """A sandbox of twelve people, or as many as the parameter says, on a socket; the Connection ``we360_default`` to it."""
    app = Simulator(SimulatorConfig(employees=getattr(request, "param", 12), **account))
    with serve(app) as server:
        connection = we360_connection(server.url, account)
        monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))
        yield app


@pytest.fixture(scope="session")
def example(airflow_db: Path) -> Callable[[str], Any]:
    """Imports an example file and hands out its Dag, its tasks without retries: no test waits minutes for another try."""

    def load(name: str) -> Any:
        path = Path(__file__).resolve().parents[2] / "example_dags" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for task in module.dag.tasks:
            getattr(task, "partial_kwargs", vars(task))["retries"] = 0
        if AIRFLOW >= (3, 0):  # which runs no Dag that its database does not know
            make_known(module.dag)
        return module.dag

    return load


def we360_connection(url: str, account: dict[str, str]) -> dict[str, object]:
    """A Connection to the sandbox's first account."""
    extra = {"customer_id": SimulatorConfig().customer_id, "auth_url": url, "allow_http": True}
    return {"conn_type": "we360", "host": url, **account, "extra": extra}


@pytest.fixture
def duckdb_file(tmp_path, monkeypatch) -> Path:
    """The Connection ``duckdb_default`` to a file of this test."""
    path = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv(
        "AIRFLOW_CONN_DUCKDB_DEFAULT", json.dumps({"conn_type": "duckdb", "host": str(path)})
    )
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Folder of the socket of a PostgreSQL that lives as long as the session."""
    with postgres_server() as folder:
        yield folder


@pytest.fixture
def postgres(server, monkeypatch) -> Iterator[Postgres]:
    """The Connection ``postgres_default``, to a database that has the schema ``hr`` and nothing in it."""
    engine = Postgres(server)
    monkeypatch.setenv(
        "AIRFLOW_CONN_POSTGRES_DEFAULT",
        json.dumps({"conn_type": engine.conn_type, **engine.connection}),
    )
    engine.execute("CREATE SCHEMA hr")
    yield engine
    engine.execute("DROP SCHEMA hr CASCADE")
