"""The commands that the documentation shows, each run in this process or held against what is really there."""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any

from packaging.requirements import Requirement

from support.documents import ROOT

COMMANDS = ("airflow", "make", "pip", "python", ".venv/bin/python")
ENVIRONMENT = {
    "PASSWORD": "night@5/7: 100%",
    "KEY": "a key of forty or more signs, kept elsewhere",
    "KEY_ID": "AKIA0",
    "SECRET": "s/+=",
}
"""What blocks may take as given."""


def answer(words: list[str]) -> tuple[int, str]:
    """Do what the command says; its exit code and output."""
    match words:
        case ["airflow", *asked]:
            return airflow(asked)
        case ["make", *asked]:
            return _run("make", "-n", *asked)
        case ["pip", "install", *requirements]:
            return _may_be_installed([one for one in requirements if one != "--upgrade"])
        case ["pip", "uninstall", *requirements]:
            return _may_be_installed(requirements)
        case ["python", "-c", code]:
            return _run(sys.executable, "-c", code)
        case ["python", "-m", "pytest", *asked]:
            return _pytest_knows(asked)
        case ["python", "-m", "airflow_provider_we360", *asked]:
            from airflow_provider_we360.cli.command import main

            return _printed(lambda: main(asked))
        case ["python", "-m", "airflow_provider_we360.sandbox", *asked]:
            from airflow_provider_we360.sandbox.__main__ import build_parser

            return _printed(lambda: _read(build_parser(), asked))
        case ["python", "-m", "simulator", *asked]:
            from simulator import __main__ as simulator

            return _printed(lambda: _read(simulator.build_parser(), asked))
    return (
        127,
        f"{shlex.join(words)}: no test knows this command; teach it to tests/support/commands.py\n",
    )


def airflow(words: list[str]) -> tuple[int, str]:
    """``airflow ...``, on the session's database."""
    return _printed(lambda: (asked := _airflow_parser().parse_args(words)).func(asked))


def is_known(command: str) -> tuple[int, str]:
    """Whether what stands in prose is a command that is there: read, and not run. It may be named without its arguments."""
    words = [word for word in shlex.split(command) if word != "..."]
    match words:
        case ["airflow", *asked]:
            only_named = len(asked) <= 2
            return _printed(
                lambda: _read(_airflow_parser(), [*asked, "--help"] if only_named else asked)
            )
        case ["make" | "pip", *_] | [
            "python",
            "-m",
            "airflow_provider_we360.sandbox" | "simulator",
            *_,
        ]:
            return answer(words)
        case ["python", "-m", "airflow_provider_we360", *asked]:
            from airflow_provider_we360.cli.command import build_parser as build_ours

            return _printed(lambda: _read(build_ours(), asked if asked[1:] else [*asked, "--help"]))
        case ["python", "-c", code]:
            ast.parse(code)
            return 0, ""
    return 127, f"{command}: no test knows this command; teach it to tests/support/commands.py\n"


def _read(parser: argparse.ArgumentParser, words: list[str]) -> None:
    parser.parse_args(words)


@cache
def _airflow_parser() -> Any:
    from airflow.cli import cli_parser

    return cli_parser.get_parser()


class _Told(io.StringIO):
    """Standard output to read afterwards. Airflow 2.11 asks for its number, to know it from a file: no file has this one."""

    def fileno(self) -> int:
        return -1


def _printed(call: Callable[[], Any]) -> tuple[int, str]:
    told = _Told()
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            code = call()
    except SystemExit as end:
        return (
            (end.code, told.getvalue())
            if isinstance(end.code, int)
            else (1, f"{told.getvalue()}{end.code or ''}\n")
        )
    return code or 0, told.getvalue()


def _run(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _may_be_installed(requirements: list[str]) -> tuple[int, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours: str = project["name"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    named = {
        Requirement(one).name
        for one in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    }
    for requirement in map(Requirement, requirements):
        if requirement.name not in {ours, *named}:
            return 1, f"{requirement.name}: neither this project nor one that it asks for\n"
        if requirement.name == ours and (unknown := requirement.extras - set(extras)):
            return 1, f"no extra {', '.join(unknown)} in pyproject.toml\n"
    return 0, ""


def _pytest_knows(words: list[str]) -> tuple[int, str]:
    """Folders and files are there, and so are marks; nothing is run."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    marks = {mark.partition(":")[0] for mark in settings["markers"]}
    if "-m" in words:
        asked = set(words[words.index("-m") + 1].split()) - {"not", "and", "or"}
        if asked - marks:
            return 1, f"no mark {', '.join(asked - marks)} in pyproject.toml\n"
    missing = [word for word in words if word.startswith("tests") and not (ROOT / word).exists()]
    return (1, f"{', '.join(missing)} is not there\n") if missing else (0, "")
