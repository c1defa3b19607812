"""A room for one cell: a venv with the built wheel, and a copy of the tests from which the project's tree cannot be seen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from matrix.cells import Cell

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".cache" / "matrix"
COPIED = (
    "README.md",
    "docs",
    "example_dags",
    "pyproject.toml",
    "tests/airflow",
    "tests/conftest.py",
    "tests/simulator",
    "tests/support",
)
"""The tier, and what it stands on."""
NOT_COPIED = ("__pycache__", "_build", "test_docs.py")
"""``test_docs.py`` runs what the pages show, which is written for the newest Airflow."""
_VERSIONS = """
import importlib.metadata, pathlib, sys
import airflow_provider_we360 as package
at = pathlib.Path(package.__file__).resolve()
assert at.is_relative_to(pathlib.Path(sys.prefix).resolve()), f"{at} is the tree, not the wheel"
print(".".join(map(str, sys.version_info[:3])), importlib.metadata.version("apache-airflow"))
"""


class NoRoom(Exception):
    """The cell cannot be set up here; says why."""


def build_wheel(folder: Path) -> Path:
    """The wheel of this tree."""
    _run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(folder),
            str(ROOT),
        ]
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def furnish(cell: Cell, wheel: Path) -> Path:
    """The cell's Python, with the wheel and what the tests need, in the cell's versions.

    :raises NoRoom: there is no such Python here, or something cannot be installed.
    """
    venv = VENVS / cell.name
    uv, env = _uv(), _index() | {"UV_PYTHON_DOWNLOADS": "never"}
    python = venv / "bin" / "python"
    _run([uv, "venv", "--quiet", "--clear", "--python", _python(uv, cell.python), str(venv)], env)
    constraints = str(ROOT / ".ci" / cell.constraints)
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        "--constraints",
        constraints,
        "--prerelease=if-necessary-or-explicit",
        *_pre_releases(ROOT / ".ci" / cell.constraints),
        str(wheel),
    ]
    _run([*install, "--group", f"{ROOT / 'pyproject.toml'}:test"], env)
    return python


def _pre_releases(constraints: Path) -> list[str]:
    """Return the pins of pre-releases: uv takes a pre-release only if a requirement names it."""
    return re.findall(
        r"^apache-airflow[\w-]*==[\w.]*(?:a|b|rc)\d+$", constraints.read_text(), re.MULTILINE
    )


def versions(python: Path) -> tuple[str, str]:
    """Python's and Airflow's, as they are in the room.

    :raises NoRoom: the package that is imported there is not the wheel's.
    """
    found, airflow = _run([str(python), "-I", "-c", _VERSIONS]).split()
    return found, airflow


def copy_tests(room: Path) -> None:
    """The tier's files, and nothing of the package."""
    for name in COPIED:
        source, target = ROOT / name, room / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(*NOT_COPIED))
        else:
            shutil.copy(source, target)


def _uv() -> str:
    found = shutil.which(
        "uv", path=os.pathsep.join([str(ROOT / ".uv" / "bin"), os.environ.get("PATH", "")])
    )
    if not found:
        raise NoRoom("no uv: make clean, and again: .ci/bootstrap fetches it")
    return found


def _python(uv: str, version: str) -> str:
    """A Python of this minor version: one that uv knows, or one of pyenv's."""
    done = subprocess.run(
        [uv, "python", "find", "--no-project", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.strip()
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for found in sorted(pyenv.glob(f"versions/{version}.*/bin/python")):
        return str(found)
    raise NoRoom(f"no Python {version} on this machine")


def _index() -> dict[str, str]:
    """A company's own package index is known to its pip, not to uv."""
    if os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        return {}
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    url = os.environ.get("PIP_INDEX_URL") or done.stdout.strip()
    return {"UV_DEFAULT_INDEX": url} if url else {}


def _run(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, env=os.environ | (env or {}), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoRoom((done.stderr or done.stdout).strip()[-2000:])
    return done.stdout
