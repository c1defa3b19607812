"""Five kinds of run in one Dag file, under a real scheduler with real worker processes: each loads the days it should, once."""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.real_airflow import Airflow, wait_until

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


def test_each_kind_of_run_loads_its_own_days_once(tmp_path, metadata_database):
    warehouse = tmp_path / "warehouse.duckdb"
    sandbox = Simulator(SimulatorConfig(employees=12))
    with serve(sandbox) as server:
        connection = {
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
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps(
                {"conn_type": "duckdb", "host": str(warehouse)}
            ),
            "FIVE_KINDS_FIRST_DAY": FIRST.isoformat(),
        }
        with Airflow(tmp_path, metadata_database, DAGS, **environment) as airflow:
            wait_until(lambda: airflow.known_dags() >= set(RUNS), airflow, "Dags parsed")
            airflow.run("dags", "trigger", "manual")
            ticks = [f"{(FIRST + number * DAY).isoformat()}T00:00:00+05:30" for number in (1, 3)]
            airflow.run(
                "backfill",
                "create",
                "--dag-id",
                "backfilled",
                "--from-date",
                ticks[0],
                "--to-date",
                ticks[1],
            )

            def done() -> bool:
                seen = airflow.states()
                return all(
                    seen.get(dag_id, Counter())["success"] >= n for dag_id, n in RUNS.items()
                )

            wait_until(done, airflow, "all runs green")
            assert not {dag_id for dag_id, states in airflow.states().items() if states["failed"]}
            left_behind = airflow.logs()
    with duckdb.connect(str(warehouse), read_only=True) as database:
        for table, days in EXPECTED.items():
            found = database.execute(
                f"SELECT attendance_date, identity_id, count(*) FROM {table} GROUP BY 1, 2"
            ).fetchall()
            truth = {
                (row["attendance_date"], row["identity_id"])
                for row in sandbox.company.rows(min(days), max(days), "detailed")
                if row["attendance_date"] in days
            }
            assert {(day, person) for day, person, _ in found} == truth, table
            assert {count for *_, count in found} <= {1}, table
        # One run for one event or for both: Airflow decides. Either way the days are those that the events name.
        by_event = {
            day
            for (day,) in database.execute(
                "SELECT DISTINCT attendance_date FROM we360_asset"
            ).fetchall()
        }
        assert by_event
        assert by_event <= EXPECTED["we360_interval"]
    assert sum(sandbox.request_log.live_sessions().values()) >= 1
    assert sandbox.config.password not in left_behind
    assert sandbox.config.login not in left_behind
