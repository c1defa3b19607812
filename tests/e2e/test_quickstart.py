"""The quickstart's ten minutes by hand, as a newcomer types them: an empty folder, the page's commands, the page's files."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.app import Simulator
from support.real_airflow import free_port

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quickstart.md"
PORT = "8360"
FIRST, LAST = dt.date(2026, 1, 1), dt.date(2026, 3, 31)


@pytest.fixture
def steps():
    """Language and text of each block between the two headings; a console block without its prompts. On a free port."""
    part = (
        PAGE.read_text()
        .partition("## Ten minutes by hand")[2]
        .partition("\n## ")[0]
        .replace(PORT, str(free_port()))
    )
    found = re.findall(r"```(\w+)\n(.*?)```", part, re.DOTALL)
    assert [language for language, _ in found] == [
        *["console"] * 3,
        "python",
        "console",
        "sql",
        "console",
        "text",
    ]
    return [re.sub(r"^\$ ", "", text, flags=re.MULTILINE) for _, text in found]


class Shell:
    """One folder, and one environment in which commands are run there."""

    def __init__(self, folder):
        self.folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")
        }
        self.environment = kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}

    def run(self, commands):
        """What they print."""
        told = subprocess.run(
            ["bash", "-e"],
            input=commands,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, f"{commands}\n{told.stdout[-3000:]}\n{told.stderr[-3000:]}"
        return told.stdout


@contextlib.contextmanager
def left_running(shell, command):
    with (shell.folder / "sandbox.txt").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=shell.folder, env=shell.environment, stdout=log
        )
    try:
        end = time.monotonic() + 60
        while "ready" not in (shell.folder / "sandbox.txt").read_text():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def test_ten_minutes_end_with_ninety_days_and_their_proof(steps, tmp_path, figure):
    shell = Shell(tmp_path)
    _, sandbox, set_up, dag, load, proof, ask, shown = steps
    took = {}

    def timed(name, commands):
        began = time.monotonic()
        told = shell.run(commands)
        took[name] = time.monotonic() - began
        return told

    exports = re.findall(r"^export .*$", set_up, re.MULTILINE)
    with left_running(shell, sandbox.strip()):
        assert "All that a load needs works" in timed("set up Airflow", set_up)
        (shell.folder / "airflow" / "dags").mkdir(parents=True, exist_ok=True)
        (shell.folder / "airflow" / "dags" / "we360_daily.py").write_text(dag)
        told = timed("load", "\n".join([*exports, load]))
        assert "of 90 slice(s)" in told
        (shell.folder / "proof.sql").write_text(proof)
        answer = timed("prove", ask)
    assert answer.strip() == shown.strip()
    rows = Simulator().company.rows(FIRST, LAST)
    hours = round(sum(row["online_duration"] or 0 for row in rows) / 3600)
    assert [float(number) for number in re.findall(r"[\d.]+", shown.splitlines()[4])] == [
        90,
        len(rows),
        len(rows),
        hours,
    ]
    figure(
        "quickstart, after the installation: "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    )
