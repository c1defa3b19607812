"""Airflow parses a Dag file every 30 seconds: naming an operator must not load what only its task needs.

What is loaded is counted, not timed: `make bench` has the milliseconds.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_we360"
NAMED_IN_DAG_FILES = ("transfers", "operators", "sensors")
OF_AIRFLOW = {"airflow.providers.common.compat", "airflow.sdk.bases"}
"""What our operators may load of Airflow beside what `import airflow.sdk` has loaded before."""
MOST_OF_OURS = 32
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

_MEASURE = """
import importlib, json, sys
import airflow.sdk
loaded = []
for step in {steps!r}:
    known = set(sys.modules)
    for name in step:
        importlib.import_module(name)
    loaded.append(sorted(set(sys.modules) - known))
print(json.dumps(loaded))
"""


def modules_of(package: Path, room: str) -> list[str]:
    folder = package / room
    found = [f"{PACKAGE}.{room}.{one.name}" for one in pkgutil.iter_modules([str(folder)])]
    assert found, room
    return found


@pytest.fixture(scope="module")
def loaded(package: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return what our operators load after `import airflow.sdk`, and what hooks load after that."""
    operators = [name for room in NAMED_IN_DAG_FILES for name in modules_of(package, room)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        return measure(_MEASURE.format(steps=[operators, modules_of(package, "hooks")]))


def measure(code: str) -> list[list[str]]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    result: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return result


def within(module: str, packages: set[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def test_operators_load_only_us_and_little_of_airflow(loaded: list[list[str]]) -> None:
    operators, _ = loaded
    others = [name for name in operators if not within(name, {PACKAGE, *OF_AIRFLOW})]
    assert others == []


def test_operators_load_few_modules(loaded: list[list[str]]) -> None:
    operators, _ = loaded
    assert len([name for name in operators if within(name, {PACKAGE})]) <= MOST_OF_OURS


def test_hooks_load_neither_arrow_nor_a_driver(loaded: list[list[str]]) -> None:
    _, hooks = loaded
    assert [name for name in hooks if within(name, HEAVY)] == []


def test_provider_metadata_loads_nothing_else() -> None:
    code = (
        f"import json, sys; import {PACKAGE}.provider_info; print(json.dumps(sorted(sys.modules)))"
    )
    loaded = measure(code)
    unwanted = {"airflow", "httpx", "pyarrow", "msgspec"}
    assert {name for name in map(str, loaded) if name.split(".")[0] in unwanted} == set()
    ours = {name for name in map(str, loaded) if name.startswith(PACKAGE)}
    assert ours == {PACKAGE, f"{PACKAGE}.provider_info"}
