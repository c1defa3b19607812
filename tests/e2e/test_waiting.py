"""We360RetryPolicy under a real scheduler: a task waits as long as the login server asks.

On Airflow 3.4 the task is rescheduled and keeps all its retries; on 3.3 it uses one retry.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import AIRFLOW, since
from support.real_airflow import Airflow, wait_until

pytestmark = [pytest.mark.e2e, since((3, 3), "retry policies")]

DAGS = Path(__file__).parent / "dags_waiting"
WINDOW = ("2026-04-01", "2026-04-03")
PAUSE_S = 20
"""Shorter than the 90 seconds for which the provider itself suspends logins after an unclear answer."""


def connection(sandbox: Simulator, url: str) -> str:
    return json.dumps(
        {
            "conn_type": "we360",
            "host": url,
            "login": sandbox.config.login,
            "password": sandbox.config.password,
            "extra": {
                "customer_id": sandbox.config.customer_id,
                "auth_url": url,
                "allow_http": True,
            },
        }
    )


def test_a_task_waits_out_a_suspended_login(tmp_path, metadata_database, figure) -> None:
    sandbox = Simulator(SimulatorConfig(employees=12))
    sandbox.faults.add("login", "http_503", retry_after=str(PAUSE_S))
    with serve(sandbox) as server:
        environment = {
            "AIRFLOW_CONN_WE360_DEFAULT": connection(sandbox, server.url),
            "AIRFLOW_CONN_WAREHOUSE": json.dumps(
                {"conn_type": "duckdb", "host": str(tmp_path / "warehouse.duckdb")}
            ),
            "WAITING_WINDOW": " ".join(WINDOW),
        }
        with Airflow(tmp_path, metadata_database, DAGS, **environment) as airflow:
            wait_until(lambda: "waiting" in airflow.known_dags(), airflow, "Dag parsed")
            airflow.run("dags", "trigger", "waiting")
            seen: set[str] = set()

            def task() -> dict:
                (run,) = airflow.ask("GET", "dags/waiting/dagRuns")["dag_runs"]
                path = f"dags/waiting/dagRuns/{run['dag_run_id']}/taskInstances/load"
                found = airflow.ask("GET", path)
                seen.add(found["state"])
                return found

            wait_until(
                lambda: task()["state"] in ("success", "failed"),
                airflow,
                "task ended",
                deadline_s=600,
            )
            ended = task()
    assert ended["state"] == "success", airflow.logs()
    waited = "up_for_reschedule" if AIRFLOW >= (3, 4) else "up_for_retry"
    assert waited in seen
    assert ended["try_number"] == (1 if AIRFLOW >= (3, 4) else 2)
    figure(f"suspended login: {waited}, then success at try {ended['try_number']}")
