"""Five kinds of run under a real scheduler: each loads the days it should, once."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
import zoneinfo
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
TODAY = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date()
FIRST = TODAY - dt.timedelta(days=9)
DAY = dt.timedelta(days=1)
EXPECTED = {
    # A run at 02:00 ends the interval that holds the midnight before it.
    "we360_interval": {FIRST, FIRST + DAY} - {FIRST + DAY} | {FIRST},
}
DEADLINE_S = 240


def processes(env, log_dir):
    """The parts of a real Airflow, each logging into a file of its own."""
    for part in ("api-server", "scheduler", "dag-processor"):
        with (log_dir / f"{part}.log").open("w") as log:
            arguments = ["--port", env["E2E_PORT"]] if part == "api-server" else []
            yield subprocess.Popen(
                [sys.executable, "-m", "airflow", part, *arguments], env=env, stdout=log, stderr=subprocess.STDOUT
            )


def airflow(env, *arguments):
    done = subprocess.run([sys.executable, "-m", "airflow", *arguments], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def wait_for(what, env, *, deadline_s=DEADLINE_S):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if what():
            return
        time.sleep(2)
    pytest.fail(f"not within {deadline_s} s: {what.__name__}\n{runs(env)}")


def runs(env):
    """State of every run, by Dag."""
    states = {}
    for dag_id in ("interval", "plain_cron", "manual", "backfilled", "asset_triggered"):
        listed = json.loads(airflow(env, "dags", "list-runs", dag_id, "--output", "json") or "[]")
        states[dag_id] = [run["state"] for run in listed]
    return states
