"""A Dag file is parsed again and again: naming an operator must not load what only its task needs."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "airflow_provider_we360"
NAMED_IN_DAG_FILES = ("transfers", "operators", "sensors")
HEAVY = {
    "adbc_driver_manager",
    "airflow.providers.common.sql",
    "airflow.providers.duckdb",
    "airflow.providers.postgres",
    "airflow.providers.sqlite",
    "duckdb",
    "matplotlib",
    "numpy",
    "pandas",
    "psycopg",
    "psycopg2",
    "pyarrow",
}
ADDED_MS = 30
RUNS = 4

_MEASURE = """
import importlib, json, sys, time
{before}
known = set(sys.modules)
began = time.perf_counter()
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps({{"ms": 1000 * (time.perf_counter() - began), "new": sorted(set(sys.modules) - known)}}))
"""
DAG_FILE = "import airflow.sdk"
"""What each Dag file has paid for before it comes to us."""


def measure(names: list[str], *, before: str = "") -> dict[str, Any]:
    """Imports the modules in an interpreter of their own; answers how long it took and what is loaded since."""
    code = _MEASURE.format(before=before, names=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def heavy(modules: list[str]) -> set[str]:
    return {
        module
        for module in modules
        if any(module == h or module.startswith(f"{h}.") for h in HEAVY)
    }


@pytest.fixture(scope="module", autouse=True)
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A place of its own for what Airflow writes when imported, and for compiled modules: compiling is not what is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        if sys.dont_write_bytecode:
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("pycache")))
        yield


@pytest.fixture
def named_in_dag_files(package: Path) -> list[str]:
    rooms = [room for room in NAMED_IN_DAG_FILES if (package / room).is_dir()]
    return [
        f"{PACKAGE}.{room}.{module.name}"
        for room in rooms
        for module in pkgutil.iter_modules([str(package / room)])
    ]


def test_a_dag_file_pays_milliseconds_for_our_operators_and_loads_nothing_heavy(
    named_in_dag_files: list[str],
) -> None:
    assert named_in_dag_files
    best_ms = float("inf")
    for _ in range(RUNS):  # another load on the machine only ever adds: the smallest is the truth
        run = measure(named_in_dag_files, before=DAG_FILE)
        assert heavy(run["new"]) == set()
        best_ms = min(best_ms, run["ms"])
        if best_ms < ADDED_MS:
            break
    assert best_ms < ADDED_MS


def test_the_hook_too_loads_neither_arrow_nor_a_driver(package: Path) -> None:
    hooks = [
        f"{PACKAGE}.hooks.{module.name}"
        for module in pkgutil.iter_modules([str(package / "hooks")])
    ]
    assert hooks
    assert heavy(measure(hooks, before=DAG_FILE)["new"]) == set()


def test_airflow_reads_our_metadata_at_every_start_and_loads_only_that() -> None:
    loaded = measure([PACKAGE, f"{PACKAGE}.provider_info"])["new"]
    assert {
        module
        for module in loaded
        if module.split(".")[0] in {"airflow", "httpx", "pyarrow", "msgspec"}
    } == set()
    assert {module for module in loaded if module.startswith(PACKAGE)} == {
        PACKAGE,
        f"{PACKAGE}.provider_info",
    }
