"""Imports point one way. The contracts are in pyproject.toml; here is what they cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

PACKAGE = "airflow_provider_we360"
COMPAT = "airflow.providers.common.compat.sdk"
SANDBOX_MAY_KNOW = (
    "sandbox",
    "client",
    "client.report",
    "client.reports",
    "rows",
    "rows.schema",
    "errors",
    "types",
)
"""A room in this list stands for itself and, where it is a folder of plug-ins, for all in it."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


def test_imports_point_down_as_the_contracts_say(root: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache", "--no-logo"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sandbox_is_no_mirror_of_the_client_that_it_tests(graph: grimp.ImportGraph) -> None:
    own = [module for module in graph.modules if module.startswith(f"{PACKAGE}.sandbox")]
    known = {
        imported for module in own for imported in graph.find_modules_directly_imported_by(module)
    }
    allowed = {f"{PACKAGE}.{room}" for room in SANDBOX_MAY_KNOW} | {PACKAGE}
    strangers = {
        module
        for module in known - allowed
        if not module.startswith((f"{PACKAGE}.sandbox.", f"{PACKAGE}.client.reports."))
    }
    assert strangers == set()


def test_no_two_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    circles = {
        (one, other)
        for one in graph.modules
        for other in graph.find_modules_directly_imported_by(one)
        if graph.find_shortest_chain(other, one) is not None
    }
    assert circles == set()


def test_airflow_names_come_through_the_compatibility_layer(
    package: Path,
) -> None:
    """What 2.11 and 3.3 name differently is named once, there; a warehouse's own hook is imported where it is used."""
    elsewhere = {
        f"{file.relative_to(package)}:{line}: {module}"
        for file in package.rglob("*.py")
        if file.name != "_compat.py"
        for line, module in _imported_at_module_level(file)
        if module.split(".")[0] == "airflow" and module != COMPAT
    }
    assert elsewhere == set()


def test_no_folder_of_tests_hides_airflow(root: Path) -> None:
    """``tests`` is on the path: as a package, ``tests/airflow`` would be imported in Airflow's place."""
    assert not (root / "tests/airflow/__init__.py").exists()


def _imported_at_module_level(file: Path) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in _module_level(ast.parse(file.read_text()).body):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or ""))
    return found


def _module_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """All statements that run at import, those under ``try`` and ``if`` too, but for ``if TYPE_CHECKING``."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If) and not (
            isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        ):
            found += _module_level(node.body + node.orelse)
        if isinstance(node, ast.Try):
            found += _module_level(
                node.body
                + node.orelse
                + node.finalbody
                + [s for h in node.handlers for s in h.body]
            )
    return found
