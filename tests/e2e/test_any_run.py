"""Runs that do not go straight, under a real scheduler, triggerer and worker processes: the table is the truth each time."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.real_airflow import Airflow, postgres, wait_until

pytestmark = pytest.mark.e2e

DAGS = Path(__file__).parent / "dags_any_run"
FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 5)
ALL = {"cleared", "together", "killed", "waiting", "paused"}
SETTLES_IN_S = 90


@pytest.fixture(scope="module")
def sandbox():
    return Simulator(SimulatorConfig(employees=25))


@pytest.fixture(scope="module")
def warehouse():
    """URL of a PostgreSQL that is the target: two loads can be in it at once."""
    with postgres() as url:
        yield url


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, metadata_database, sandbox, warehouse):
    home = tmp_path_factory.mktemp("any_run")
    (home / "meeting").mkdir()
    of_warehouse = psycopg.conninfo.conninfo_to_dict(warehouse)
    settled_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=SETTLES_IN_S)
    day_end = dt.datetime(LAST.year, LAST.month, LAST.day, 18, 30, tzinfo=dt.UTC)
    with serve(sandbox) as server:
        account = {
            "conn_type": "we360",
            "host": server.url,
            "login": sandbox.config.login,
            "password": sandbox.config.password,
            "extra": {
                "customer_id": sandbox.config.customer_id,
                "auth_url": server.url,
                "allow_http": True,
            },
        }
        target = {
            "conn_type": "postgres",
            "host": of_warehouse["host"],
            "login": "postgres",
            "schema": of_warehouse["dbname"],
        }
        environment = {
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(account),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(target),
            "ANY_RUN_WINDOW": f"{FIRST} {LAST}",
            "ANY_RUN_MEETING": str(home / "meeting"),
            "ANY_RUN_SETTLE_HOURS": str((settled_at - day_end).total_seconds() / 3600),
        }
        with Airflow(home, metadata_database, DAGS, **environment) as airflow:
            airflow.start("triggerer", "--skip-serve-logs")
            wait_until(lambda: airflow.known_dags() >= ALL, airflow, "Dags parsed")
            begin(airflow, "waiting", "waiting")
            yield airflow


@pytest.fixture
def holds_the_truth(sandbox, warehouse):
    """Asserts that a table and its log are what We360 says now, brought by one run; names that run."""

    def check(table):
        truth = sorted(
            (row["attendance_date"], row["identity_id"], row["online_duration"])
            for row in sandbox.company.rows(FIRST, LAST)
        )
        with psycopg.connect(warehouse) as database:
            found = database.execute(
                f"SELECT attendance_date, identity_id, online_duration FROM {table} ORDER BY 1, 2".encode()
            ).fetchall()
            (run,) = database.execute(
                f"SELECT DISTINCT _we360_run_id FROM {table}".encode()
            ).fetchall()
            logged = database.execute(
                f"SELECT day, row_count FROM {table}_log WHERE _we360_run_id = %s ORDER BY 1".encode(),
                run,
            ).fetchall()
        assert found == truth != []
        counted = Counter(day for day, *_ in truth)
        days = [FIRST + dt.timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
        assert logged == [(day, counted[day]) for day in days]
        return run[0]

    return check


def begin(airflow, dag_id, run_id):
    airflow.ask("POST", f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})


def end(airflow, dag_id, runs=1):
    """Wait until so many runs of the Dag are green."""
    wait_until(
        lambda: airflow.states().get(dag_id, Counter())["success"] >= runs,
        airflow,
        f"{dag_id} green",
    )


def test_a_run_that_is_cleared_loads_what_we360_says_by_then(airflow, sandbox, holds_the_truth):
    begin(airflow, "cleared", "once")
    end(airflow, "cleared")
    assert holds_the_truth("cleared") == "cleared|once|load"
    before = len(sandbox.company.rows(FIRST, LAST))
    sandbox.company.people = sandbox.company.people[1:]  # We360 takes somebody back
    assert len(sandbox.company.rows(FIRST, LAST)) < before
    airflow.ask(
        "POST",
        "dags/cleared/clearTaskInstances",
        {"dry_run": False, "dag_run_id": "once", "only_failed": False},
    )
    wait_until(lambda: airflow.states()["cleared"]["success"] == 0, airflow, "cleared")
    end(airflow, "cleared")
    assert holds_the_truth("cleared") == "cleared|once|load"


def test_of_two_runs_on_one_window_at_once_one_wins_whole(airflow, holds_the_truth):
    begin(airflow, "together", "one")
    begin(airflow, "together", "two")
    end(airflow, "together", 2)
    assert holds_the_truth("together") in {"together|one|load", "together|two|load"}


def test_a_task_killed_in_a_load_is_retried_without_duplicates(airflow, sandbox, holds_the_truth):
    sandbox.faults.add("report", "delay", seconds=6.0, day=str(LAST))
    begin(airflow, "killed", "once")
    end(airflow, "killed")
    assert airflow.rows("SELECT try_number FROM task_instance WHERE dag_id = 'killed'") == [(2,)]
    assert sandbox.faults.pending == []
    assert holds_the_truth("killed") == "killed|once|load"


def test_the_first_run_after_20_paused_days_loads_them_all(airflow, sandbox, warehouse):
    airflow.ask("PATCH", "dags/paused", {"is_paused": False})
    end(airflow, "paused")
    with psycopg.connect(warehouse) as database:
        logged = [
            day for (day,) in database.execute("SELECT DISTINCT day FROM paused_log ORDER BY 1")
        ]
        found = database.execute(
            "SELECT attendance_date, identity_id FROM paused ORDER BY 1, 2"
        ).fetchall()
    first, last = logged[0], logged[-1]
    assert logged == [first + dt.timedelta(days=number) for number in range(len(logged))]
    assert len(logged) >= 20
    assert abs((dt.datetime.now(dt.UTC).date() - last).days) <= 1
    truth = sandbox.company.rows(first, last)
    assert found == sorted((row["attendance_date"], row["identity_id"]) for row in truth)


def test_a_sensor_waits_in_a_real_triggerer(airflow):
    end(airflow, "waiting")
    tasks = dict(airflow.rows("SELECT task_id, state FROM task_instance WHERE dag_id = 'waiting'"))
    assert tasks == {"wait": "success", "loaded_at": "success"}
    logs = {
        path.name: path.read_text()
        for path in airflow.home.glob("logs/dag_id=waiting/**/task_id=wait/*.log")
    }
    assert [name for name in logs if ".trigger." in name], logs.keys()
    told = "".join(logs.values())
    assert "settles in" in told
    assert "holds rows" in told
