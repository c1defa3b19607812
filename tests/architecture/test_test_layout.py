"""Tests are found where their subject is, under names that fit a line."""

from __future__ import annotations

import ast
from pathlib import Path

LONGEST_NAME = 60
SCENES = {"auth", "client", "hooks"}
"""Rooms whose tests are also files of scenes, such as a night of faults, beside those of a module."""
NO_ROOMS = {"simulator", "support"}
"""What the tests themselves are made with."""


def test_test_names_fit_a_line(root: Path) -> None:
    too_long = [
        f"{path.relative_to(root)}: {node.name}"
        for path in sorted((root / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        if node.name.startswith("test_") and len(node.name) > LONGEST_NAME
    ]
    assert too_long == []


def test_unit_tests_mirror_the_package(root: Path, package: Path) -> None:
    """tests/unit/sinks/test_target.py and test_target_names.py test sinks/target.py."""
    strangers = []
    for path in sorted((root / "tests" / "unit").rglob("test_*.py")):
        room = path.relative_to(root / "tests" / "unit").parent
        subject = path.stem.removeprefix("test_")
        modules = [one.stem for one in (package / room).glob("*.py")] + [room.name]
        if str(room) not in NO_ROOMS | SCENES and not any(
            subject == module or subject.startswith(f"{module}_") for module in modules if module
        ):
            strangers.append(str(path.relative_to(root)))
    assert strangers == []
