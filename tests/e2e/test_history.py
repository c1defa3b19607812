"""Five years, day by day, with the example Dag under a real scheduler; then the Dag that the next load wakes."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.real_airflow import Airflow, wait_until

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
FIRST, LAST = dt.date(2021, 4, 1), dt.date(2026, 3, 31)
DAYS, MONTHS = 1826, 60
BROKEN = dt.date(2023, 3, 15)
DEADLINE_S = 900.0


@pytest.fixture(scope="module")
def sandbox():
    return Simulator(SimulatorConfig(employees=6))


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, metadata_database, sandbox, warehouse):
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
        environment = {
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(account),
            "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps(
                {"conn_type": "duckdb", "host": str(warehouse)}
            ),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        }
        with Airflow(
            tmp_path_factory.mktemp("history"), metadata_database, EXAMPLES, **environment
        ) as airflow:
            airflow.ask("POST", "pools", {"name": "we360", "slots": 4})
            wanted = {"we360_history", "we360_to_duckdb", "we360_downstream"}
            wait_until(lambda: airflow.known_dags() >= wanted, airflow, "Dags parsed")
            for dag_id in wanted:
                airflow.ask("PATCH", f"dags/{dag_id}", {"is_paused": dag_id == "we360_to_duckdb"})
            yield airflow


def loads(airflow):
    """How many of the mapped loads are in which state."""
    found = airflow.rows(
        "SELECT state, count(*) FROM task_instance WHERE dag_id = 'we360_history' AND map_index >= 0 GROUP BY 1"
    )
    return Counter(dict(found))


def ended(airflow, state):
    return lambda: airflow.states()["we360_history"][state] == 1


def test_five_years_are_sixty_tasks_and_only_one_is_rerun(airflow, sandbox, warehouse, figure):
    sandbox.faults.add("report", "http_403", day=BROKEN.isoformat(), times=1)
    conf = {"first_day": FIRST.isoformat(), "last_day": LAST.isoformat()}
    began = time.monotonic()
    airflow.ask(
        "POST",
        "dags/we360_history/dagRuns",
        {"dag_run_id": "all", "logical_date": None, "conf": conf},
    )
    wait_until(ended(airflow, "failed"), airflow, "all months tried", deadline_s=DEADLINE_S)
    seconds = time.monotonic() - began
    assert loads(airflow) == {"success": MONTHS - 1, "failed": 1}
    asked = len(sandbox.request_log.requests)

    clear = {"dry_run": False, "dag_run_id": "all", "only_failed": True}
    airflow.ask("POST", "dags/we360_history/clearTaskInstances", clear)
    wait_until(ended(airflow, "success"), airflow, "the month that failed", deadline_s=DEADLINE_S)
    assert loads(airflow) == {"success": MONTHS}
    again = len(sandbox.request_log.requests) - asked
    assert again < 3 * 31, "only that month was asked for again"

    truth = sorted(
        (row["attendance_date"], row["identity_id"], row["online_duration"])
        for row in sandbox.company.rows(FIRST, LAST)
    )
    with duckdb.connect(str(warehouse), read_only=True) as database:
        found = database.execute(
            "SELECT attendance_date, identity_id, online_duration FROM we360_days ORDER BY 1, 2"
        ).fetchall()
        log = "SELECT count(*), count(DISTINCT day), sum(row_count), count(DISTINCT _we360_run_id) FROM we360_load_log"
        (logged,) = database.execute(log).fetchall()
    assert found == truth != []
    assert logged == (DAYS, DAYS, len(truth), MONTHS)
    assert sandbox.request_log.counts["logins_sent"] == 1
    figure(
        f"{DAYS} days, {MONTHS} tasks, {len(truth)} rows, {asked + again} data requests, 1 login, {seconds:.0f} s"
    )


def test_a_load_triggers_the_dag_that_waits_for_its_asset(airflow, warehouse):
    airflow.ask("PATCH", "dags/we360_to_duckdb", {"is_paused": False})  # its last tick runs at once
    wait_until(
        lambda: airflow.states().get("we360_downstream", Counter())["success"] > 0,
        airflow,
        "the Dag downstream",
    )
    (run_type,) = {
        kind
        for (kind,) in airflow.rows(
            "SELECT run_type FROM dag_run WHERE dag_id = 'we360_downstream'"
        )
    }
    assert run_type == "asset_triggered"
    days = "SELECT attendance_date, count(*) FROM we360_days WHERE attendance_date > ? GROUP BY 1 ORDER BY 1"
    with duckdb.connect(str(warehouse), read_only=True) as database:
        loaded = database.execute(days, [LAST]).fetchall()
        summed = database.execute(
            "SELECT attendance_date, sum(people) FROM we360_team_days GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert summed == loaded != []
