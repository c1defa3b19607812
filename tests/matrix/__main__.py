"""The Airflow tier of the tests on each supported Airflow, with the built wheel: ``make test-matrix ARGS='2.11-py3.11'``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from matrix.cells import CELLS, Cell
from matrix.room import NoRoom, build_wheel, copy_tests, furnish, versions


@dataclass
class Outcome:
    """What a cell's tests came to."""

    cell: Cell
    python: str = ""
    airflow: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    minutes: float = 0.0
    status: int = 1
    trouble: str = ""

    @property
    def verdict(self) -> str:
        return (
            self.trouble.splitlines()[-1]
            if self.trouble
            else "ok"
            if self.status == 0
            else f"FAILED ({self.status})"
        )


def play(cell: Cell, wheel: Path, workers: str, words: list[str]) -> Outcome:
    """Set the cell up, run its tests, and count."""
    outcome, began = Outcome(cell), time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="we360-matrix-") as folder:
            python = furnish(cell, wheel)
            outcome.python, outcome.airflow = versions(python)
            print(
                f"\n===== {cell.name}: Airflow {outcome.airflow} on Python {outcome.python}",
                flush=True,
            )
            copy_tests(Path(folder))
            report = Path(folder, "report.xml")
            pytest = [
                str(python),
                "-m",
                "pytest",
                "-q",
                "-n",
                workers,
                "--dist",
                "loadfile",
                f"--junitxml={report}",
            ]
            outcome.status = subprocess.run(
                [*pytest, "tests/airflow", *words], cwd=folder, env=_env(), check=False
            ).returncode
            outcome.counts = _counted(report)
    except NoRoom as error:
        outcome.trouble = str(error)
        print(f"\n===== {cell.name}: {error}", flush=True)
    outcome.minutes = (time.monotonic() - began) / 60
    return outcome


def told(outcomes: list[Outcome]) -> str:
    """The table."""
    rows: list[tuple[str, ...]] = [
        ("cell", "Python", "Airflow", "passed", "skipped", "failed", "minutes", "")
    ]
    rows += [
        (
            one.cell.name,
            one.python or "-",
            one.airflow or "-",
            *(str(one.counts[word]) for word in ("passed", "skipped", "failed")),
            f"{one.minutes:.1f}",
            one.verdict,
        )
        for one in outcomes
    ]
    return "\n".join(
        "{:<15}{:<8}{:<9}{:>7}{:>9}{:>8}{:>9}  {}".format(*row).rstrip() for row in rows
    )


def _env() -> dict[str, str]:
    """Nothing of this Airflow, this venv or this tree."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "PYTHON", "VIRTUAL_ENV"))
    }


def _counted(report: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    if report.exists():
        for case in ET.parse(report).iter("testcase"):
            kinds = {child.tag for child in case}
            counts[
                "failed"
                if kinds & {"failure", "error"}
                else "skipped"
                if "skipped" in kinds
                else "passed"
            ] += 1
    return counts


def main() -> int:
    """Plays the cells; 0 where all of them passed."""
    names = [cell.name for cell in CELLS]
    parser = argparse.ArgumentParser(prog="make test-matrix", description=__doc__)
    parser.add_argument(
        "cells", nargs="*", metavar="CELL", help=f"of {', '.join(names)}; left out: all"
    )
    parser.add_argument(
        "--wheel",
        type=Path,
        help="a wheel that is built already; left out: one is built of this tree",
    )
    parser.add_argument("--workers", default="2", help="tests at a time")
    parser.add_argument("-k", help="only tests whose name fits, as pytest takes it")
    parser.add_argument("--list", action="store_true", help="print the cells and end")
    given = parser.parse_args()
    if given.list:
        print("\n".join(names))
        return 0
    if unknown := set(given.cells) - set(names):
        parser.error(f"no cell {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    words = ["-k", given.k] if given.k else []
    with tempfile.TemporaryDirectory(prefix="we360-wheel-") as folder:
        wheel = given.wheel.resolve() if given.wheel else build_wheel(Path(folder))
        print(wheel.name, flush=True)
        chosen = [cell for cell in CELLS if cell.name in (given.cells or names)]
        outcomes = [play(cell, wheel, given.workers, words) for cell in chosen]
    print(f"\n{told(outcomes)}")
    return int(any(one.status or not one.counts["passed"] for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
