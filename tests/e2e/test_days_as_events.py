"""Days start Dags under a real scheduler and triggerer: by an asset watcher, and as partitions."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import psycopg
import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import since
from support.real_airflow import Airflow, postgres, wait_until

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
MONDAY, SUNDAY = dt.date(2026, 6, 1), dt.date(2026, 6, 7)
SETTLED = dt.date(2026, 6, 2)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def sandbox():
    return Simulator(SimulatorConfig(employees=25))


@pytest.fixture(scope="module")
def warehouse():
    with postgres() as url:
        with psycopg.connect(url, autocommit=True) as database:
            database.execute("CREATE SCHEMA hr")
        yield url


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, metadata_database, sandbox, warehouse):
    home = tmp_path_factory.mktemp("events")
    dags = home / "dags"
    dags.mkdir()
    shutil.copy(HERE / "dags_events" / "events.py", dags)
    example = (HERE.parents[1] / "example_dags" / "we360_partitions.py").read_text()
    by_hand = example.replace('schedule="0 12 * * *"', "schedule=None")
    assert by_hand != example
    (dags / "we360_partitions.py").write_text(by_hand)
    of_warehouse = psycopg.conninfo.conninfo_to_dict(warehouse)
    end = dt.datetime.combine(SETTLED, dt.time(18, 30), dt.UTC)
    hours = (dt.datetime.now(dt.UTC) - end).total_seconds() / 3600
    config = sandbox.config
    with serve(sandbox) as server:
        account = {
            "conn_type": "we360",
            "host": server.url,
            "login": config.login,
            "password": config.password,
            "extra": {
                "customer_id": config.customer_id,
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
            "AIRFLOW_CONN_POSTGRES_DEFAULT": json.dumps(target),
            "EVENTS_SETTLE_HOURS": str(hours),  # so that SETTLED has just settled
        }
        with Airflow(home, metadata_database, dags, **environment) as airflow:
            airflow.start("triggerer", "--skip-serve-logs")
            yield airflow


def ask(warehouse, sql):
    with psycopg.connect(warehouse) as database:
        return database.execute(sql.encode()).fetchall()


def people_of(sandbox, first, last):
    return sorted(
        (row["attendance_date"], row["identity_id"]) for row in sandbox.company.rows(first, last)
    )


@since((3, 0), "asset watchers")
def test_a_settled_day_starts_the_dag_that_loads_it(airflow, sandbox, warehouse):
    wait_until(lambda: "watched" in airflow.known_dags(), airflow, "Dags parsed")
    wait_until(lambda: airflow.states().get("watched", {}), airflow, "an event of the watcher")
    wait_until(lambda: airflow.states()["watched"]["success"], airflow, "watched green")
    rows = ask(warehouse, "SELECT attendance_date, identity_id FROM hr.watched ORDER BY 1, 2")
    assert rows == people_of(sandbox, SETTLED, SETTLED) != []
    assert airflow.rows("SELECT run_type FROM dag_run WHERE dag_id = 'watched'") == [
        ("asset_triggered",)
    ]


@since((3, 3), "partitions of events")
def test_each_day_and_each_whole_week_is_a_run(airflow, sandbox, warehouse):
    wanted = {"we360_partitions", "we360_team_days", "we360_team_weeks"}
    wait_until(lambda: airflow.known_dags() >= wanted, airflow, "Dags parsed")
    first = MONDAY - 7 * DAY  # the lookback
    body = {
        "dag_run_id": "once",
        "logical_date": None,
        "conf": {"window_start": str(MONDAY), "window_end": str(SUNDAY)},
    }
    airflow.ask("POST", "dags/we360_partitions/dagRuns", body)
    days = [str(first + number * DAY) for number in range(14)]
    wait_until(
        lambda: (
            airflow.states().get("we360_team_days", {}).get("success") == len(days)
            and airflow.states().get("we360_team_weeks", {}).get("success") == 2
        ),
        airflow,
        "a run for each day and week",
        deadline_s=600,
    )
    key = "SELECT partition_key FROM dag_run WHERE dag_id = '{}' ORDER BY 1"
    assert [one for (one,) in airflow.rows(key.format("we360_team_days"))] == days
    assert [one for (one,) in airflow.rows(key.format("we360_team_weeks"))] == [
        str(first),
        str(MONDAY),
    ]
    people = ask(warehouse, "SELECT sum(people) FROM hr.we360_team_days")
    assert people == [(len(people_of(sandbox, first, SUNDAY)),)]
    by_day = "SELECT sum(active_hours) FROM hr.we360_team_days"
    ((hours,),) = ask(warehouse, by_day)
    ((of_weeks,),) = ask(warehouse, "SELECT sum(active_hours) FROM hr.we360_team_weeks")
    assert of_weeks == pytest.approx(hours)
