"""A fleet: real Airflow, tasks in processes of their own, and for each scene a We360 account on a sandbox of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.real_airflow import Airflow, wait_until

DAGS = Path(__file__).parent / "dags_fleet"
TASKS = 8
DAY = dt.date(2026, 6, 1)
LIFETIME_S = 30
AWAKE_S = 66.0
"""Longer than two tokens live."""
ASLEEP_S = 34.0
"""Longer than one lives."""
ENDS = {"success", "failed"}
PASSWORD = "canary-Passw0rd-"


@dataclass(frozen=True)
class Task:
    """What Airflow's database knows of one try of a task."""

    number: int
    state: str
    try_number: int
    pid: int
    started_at: dt.datetime
    ended_at: dt.datetime


@dataclass(frozen=True)
class Run:
    """One run of a Dag that has ended."""

    id: str
    tasks: list[Task]
    found: list[list[int]]
    """What each task that ended well found: rows, request by request."""
    places: dict[str, dict[int, str]]
    """Which processes met where: ``pid worker`` by number of the task."""
    logs: dict[int, str] = field(repr=False)

    @property
    def states(self) -> list[str]:
        return sorted({task.state for task in self.tasks})

    @property
    def workers(self) -> dict[str, int]:
        """How many of the tasks each worker ran."""
        return dict(Counter(who.split()[1] for who in self.places["start"].values()))

    @property
    def ends_of_logs(self) -> str:
        return "\n".join(f"=== task {number}\n{log[-2500:]}" for number, log in self.logs.items())

    @property
    def seconds(self) -> float:
        """From the moment when the last task had started to the end of the last."""
        return (
            max(task.ended_at for task in self.tasks) - max(task.started_at for task in self.tasks)
        ).total_seconds()

    def assert_all_at_once(self) -> None:
        """All tasks ran at the same time, each in its own process."""
        assert len(self.tasks) == TASKS
        assert max(task.started_at for task in self.tasks) < min(
            task.ended_at for task in self.tasks
        )
        for place, who in self.places.items():
            assert len(set(who.values())) == TASKS, place
        assert len({task.pid for task in self.tasks}) == TASKS

    def assert_green(self, rows: int) -> None:
        """No task failed, none needed a second try, each request found the whole day."""
        assert self.states == ["success"], self.ends_of_logs
        assert {task.try_number for task in self.tasks} == {1}
        assert {found for each in self.found for found in each} == {rows}
        assert len(self.found) == TASKS


class Fleet:
    """Airflow with the Dags of ``dags_fleet``, and a sandbox for each of the scenes that are asked for."""

    def __init__(
        self, airflow: Airflow, folder: Path, sandboxes: dict[str, Simulator], urls: dict[str, str]
    ) -> None:
        self.airflow = airflow
        self._folder = folder
        self.sandboxes = sandboxes
        self._urls = urls

    def connection(self, scene: str, **changes: Any) -> dict[str, Any]:
        """The Connection to the sandbox of a scene."""
        return _connection(self.sandboxes[scene].config, self._urls[scene]) | changes

    def begin(self, dag_id: str, run_id: str) -> None:
        self.airflow.ask(
            "POST", f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None}
        )

    def end_of(self, dag_id: str, run_id: str) -> Run:
        """The run, when it has ended."""
        ask = "SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s"
        wait_until(
            lambda: self.airflow.rows(ask, dag_id, run_id)[0][0] in ENDS,
            self.airflow,
            f"end of {dag_id} {run_id}",
        )
        tasks = self.airflow.rows(
            "SELECT map_index, state, try_number, pid, start_date, end_date FROM task_instance "
            "WHERE dag_id = %s AND run_id = %s ORDER BY map_index",
            dag_id,
            run_id,
        )
        results = self.airflow.rows(
            "SELECT value FROM xcom WHERE dag_id = %s AND run_id = %s AND key = 'return_value'",
            dag_id,
            run_id,
        )
        found = [_loaded(value) for (value,) in results]
        places = {
            place.name: _who(place) for place in (self._folder / run_id).iterdir() if place.is_dir()
        }
        return Run(
            run_id, [Task(*each) for each in tasks], found, places, self._logs_of(dag_id, run_id)
        )

    def _logs_of(self, dag_id: str, run_id: str) -> dict[int, str]:
        """What each task has logged, by its number; after it what its trigger has."""
        logs: dict[int, str] = {}
        for path in sorted(
            self.airflow.home.glob(f"logs/dag_id={dag_id}/run_id={run_id}/**/*.log")
        ):
            number = int(re.findall(r"map_index=(\d+)", str(path))[0])
            logs[number] = logs.get(number, "") + path.read_text()
        return logs

    def run(self, dag_id: str, run_id: str) -> Run:
        self.begin(dag_id, run_id)
        return self.end_of(dag_id, run_id)

    def wait_at(self, place: str, run_id: str) -> None:
        """Come back when all tasks of a run have met at a place."""
        folder = self._folder / run_id / place
        wait_until(
            lambda: folder.is_dir() and len(list(folder.iterdir())) == TASKS,
            self.airflow,
            f"tasks at {place}",
        )

    def tell(self, what: str, run_id: str) -> None:
        """Tell the tasks of a run that something has been done."""
        (self._folder / run_id / what).touch()

    def rows_of_the_day(self, scene: str) -> int:
        return len(list(self.sandboxes[scene].company.rows(DAY, DAY, "detailed")))

    def live_sessions(self, scene: str) -> int:
        return sum(self.sandboxes[scene].request_log.live_sessions().values())

    def assert_renewed_by_one(self, scene: str, lifetime_s: float) -> None:
        """The token ended three times and more, was renewed as often and not much more, and never by two tasks at once."""
        request_log = self.sandboxes[scene].request_log
        span_s = max(request.at for request in request_log.requests) - min(
            request.at for request in request_log.requests
        )
        assert span_s > 3 * lifetime_s
        assert request_log.counts["logins_sent"] == 1
        assert 3 <= request_log.refreshes <= span_s / (lifetime_s / 2)
        assert request_log.counts["refreshes_refused"] == 0
        assert request_log.counts["refresh_tokens_sent_twice"] == 0
        assert request_log.max_concurrent_refreshes == 1
        assert self.live_sessions(scene) == 1

    def figures(self, scene: str, run: Run) -> str:
        """What the sandbox of a scene has seen until now, as one line."""
        request_log = self.sandboxes[scene].request_log
        facts = {
            "seconds": f"{run.seconds:.1f}",
            "logins sent": request_log.counts["logins_sent"],
            "refused": request_log.counts["logins_refused"],
            "refreshes": request_log.refreshes,
            "refused refreshes": request_log.counts["refreshes_refused"],
            "refresh tokens sent twice": request_log.counts["refresh_tokens_sent_twice"],
            "data requests": len(request_log.requests),
            "401": request_log.unauthorized,
            "logouts": request_log.counts["logouts"],
            "live sessions": self.live_sessions(scene),
        }
        return f"{run.id:<10}" + ", ".join(f"{name} {value}" for name, value in facts.items())

    def tokens_in(self, text: str) -> list[str]:
        """Tokens of the sandboxes that stand in a text."""
        tokens = next(
            iter(self.sandboxes.values())
        ).identity.tokens  # of one seed: what one signs, all read
        return [
            found
            for found in re.findall(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", text)
            if tokens.read(found)
        ]

    def secrets_in(self, text: str) -> list[str]:
        """Tokens and passwords of the accounts that stand in a text."""
        return self.tokens_in(text) + [PASSWORD] * (PASSWORD in text)

    def logins_in(self, text: str) -> list[str]:
        """E-mails of the accounts that stand in a text."""
        return [
            sandbox.config.login
            for sandbox in self.sandboxes.values()
            if sandbox.config.login in text
        ]


def _who(place: Path) -> dict[int, str]:
    return {int(file.name): file.read_text() for file in place.iterdir()}


def _loaded(value: Any) -> list[int]:
    """Rows that a task found, by its XCom: a list of them, or the one small dict of a transfer."""
    value = json.loads(value) if isinstance(value, str) else value
    return [value["rows"]] if isinstance(value, dict) else value


def _connection(config: SimulatorConfig, url: str) -> dict[str, Any]:
    return {
        "conn_type": "we360",
        "host": url,
        "login": config.login,
        "password": config.password,
        "extra": {"customer_id": config.customer_id, "auth_url": url, "allow_http": True},
    }


def account(scene: str, **switches: Any) -> SimulatorConfig:
    """A tenant of twelve people, with an account that is easy to find in any text."""
    return SimulatorConfig(
        employees=12,
        login=f"canary.{scene}@acme-demo.example.com",
        password=f"{PASSWORD}{scene}",
        **switches,
    )


@contextlib.contextmanager
def fleet(
    home: Path,
    database: str,
    scenes: dict[str, SimulatorConfig],
    *,
    stored: Iterable[str] = (),
    environment: dict[str, str],
    more_parts: Callable[[Airflow], None] = lambda airflow: None,
) -> Iterator[Fleet]:
    """A fleet that has read its Dags.

    :param scenes: what the sandbox of each scene plays.
    :param stored: scenes whose Connection is none of the environment: whoever tests them writes it into Airflow's database.
    :param more_parts: starts further processes of this Airflow.
    """
    sandboxes = {scene: Simulator(config) for scene, config in scenes.items()}
    folder = home / "meetings"
    told = {
        "AIRFLOW__CORE__PARALLELISM": str(3 * TASKS),
        "PYTHONPATH": str(DAGS.parents[1]),
        "FLEET_TASKS": str(TASKS),
        "FLEET_DAY": DAY.isoformat(),
        "FLEET_FOLDER": str(folder),
        "FLEET_AWAKE_S": str(AWAKE_S),
        "FLEET_ASLEEP_S": str(ASLEEP_S),
    }
    with contextlib.ExitStack() as servers:
        urls = {
            scene: servers.enter_context(serve(sandbox)).url for scene, sandbox in sandboxes.items()
        }
        connections = {
            f"AIRFLOW_CONN_WE360_{scene.upper()}": json.dumps(
                _connection(sandbox.config, urls[scene])
            )
            for scene, sandbox in sandboxes.items()
            if scene not in stored
        }
        airflow = servers.enter_context(
            Airflow(home, database, DAGS, **told, **connections, **environment)
        )
        more_parts(airflow)
        wait_until(lambda: airflow.known_dags() >= set(scenes), airflow, "Dags parsed")
        yield Fleet(airflow, folder, sandboxes, urls)


def everything_in(database: Airflow) -> Iterator[tuple[str, str]]:
    """Each table of Airflow's database with all that it holds, as text."""
    for (table,) in database.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    ):
        rows = database.rows(f'SELECT t::text FROM "{table}" AS t')
        yield table, "\n".join(str(text) for (text,) in rows)
