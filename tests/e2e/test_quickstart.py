"""Run the quickstart as a newcomer does: an empty folder, the commands and files of the page."""

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
    """Return language and text of each block of the section, without prompts, on a free port."""
    part = (
        PAGE.read_text()
        .partition("## Ten minutes by hand")[2]
        .partition("\n## ")[0]
        .replace(PORT, str(free_port()))
    )
    found = re.findall(r"```(\w+)\n(.*?)```", part, re.DOTALL)
    assert [language for language, _ in found] == [
        *("console", "console", "bash"),
        "python",
        "console",
        "sql",
        "bash",
        "text",
        "sql",
    ]
    return [re.sub(r"^\$ ", "", text, flags=re.MULTILINE) for _, text in found]


class Shell:
    """A folder and an environment to run commands in."""

    def __init__(self, folder):
        self.folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")
        }
        self.environment = kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}

    def run(self, commands):
        """Return what they print."""
        printed = subprocess.run(
            ["bash", "-e"],
            input=commands,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert printed.returncode == 0, (
            f"{commands}\n{printed.stdout[-3000:]}\n{printed.stderr[-3000:]}"
        )
        return printed.stdout


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


def test_ten_minutes_end_with_ninety_verified_days(steps, tmp_path, figure):
    shell = Shell(tmp_path)
    _, sandbox, set_up, dag, load, verify, query, shown, teams = steps
    took = {}

    def timed(name, commands):
        began = time.monotonic()
        printed = shell.run(commands)
        took[name] = time.monotonic() - began
        return printed

    exports = re.findall(r"^export .*$", set_up, re.MULTILINE)
    with left_running(shell, sandbox.strip()):
        assert "Everything that a load needs works" in timed("set up Airflow", set_up)
        (shell.folder / "airflow" / "dags").mkdir(parents=True, exist_ok=True)
        (shell.folder / "airflow" / "dags" / "we360_daily.py").write_text(dag)
        printed = timed("load", "\n".join([*exports, load]))
        assert re.search(r"\b90 (days|slice)", printed)
        (shell.folder / "verify.sql").write_text(verify)
        answer = timed("verify", query)
        (shell.folder / "teams.sql").write_text(teams)
        by_team = shell.run(query.replace("verify.sql", "teams.sql"))
    assert answer.strip() == shown.strip()
    rows = Simulator().company.rows(FIRST, LAST)
    hours = round(sum(row["online_duration"] or 0 for row in rows) / 3600)
    assert by_team.count("2026-03-16") == by_team.count("2026-03-23") > 1
    assert [float(number) for number in re.findall(r"[\d.]+", shown.splitlines()[4])] == [
        len({row["attendance_date"] for row in rows}),
        90,
        len(rows),
        len(rows),
        hours,
    ]
    figure(
        "quickstart, after the installation: "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    )
