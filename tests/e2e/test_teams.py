"""Airflow's multi-team mode under a real scheduler: two teams share an account, not a Variable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import since
from support.real_airflow import Airflow, wait_until

pytestmark = [pytest.mark.e2e, since((3, 2), "teams")]

DAG_FILE = Path(__file__).parent / "dags_teams" / "team.py"
TEAMS = ("team_a", "team_b")
WRONG = "canary-Passw0rd-that-is-wrong"


@pytest.fixture(scope="module")
def accounts():
    """One account for each of the two Connections, so that their logins are counted apart."""
    return {name: Simulator(SimulatorConfig(employees=12)) for name in ("right", "wrong")}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, metadata_database, accounts):
    home = tmp_path_factory.mktemp("teams")
    bundles = []
    for team in TEAMS:
        folder = home / "bundles" / team
        folder.mkdir(parents=True)
        shutil.copy(DAG_FILE, folder)
        bundles.append(
            {
                "name": f"bundle_of_{team}",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
                "team_name": team,
            }
        )
    with serve(accounts["right"]) as right, serve(accounts["wrong"]) as wrong:
        environment = {
            "AIRFLOW__CORE__MULTI_TEAM": "True",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW_CONN_WE360_RIGHT": connection(accounts["right"], right.url),
            "AIRFLOW_CONN_WE360_WRONG": connection(accounts["wrong"], wrong.url, password=WRONG),
        }
        commands = [("teams", "create", team) for team in TEAMS]
        with Airflow(
            home, metadata_database, home / "bundles", commands=commands, **environment
        ) as airflow:
            dags = {f"we360_{name}_{team}" for name in accounts for team in TEAMS}
            wait_until(lambda: airflow.known_dags() >= dags, airflow, "Dags parsed")
            yield airflow


def connection(sandbox: Simulator, url: str, **other: str) -> str:
    account = {"login": sandbox.config.login, "password": sandbox.config.password} | other
    extra = {"customer_id": sandbox.config.customer_id, "auth_url": url, "allow_http": True}
    return json.dumps({"conn_type": "we360", "host": url, **account, "extra": extra})


def run(airflow: Airflow, name: str, *, run_id: str, state: str) -> None:
    """Run the Dag of both teams at once, and wait until both have ended in this state."""
    for team in TEAMS:
        body = {"dag_run_id": run_id, "logical_date": None}
        airflow.ask("POST", f"dags/we360_{name}_{team}/dagRuns", body)

    def states() -> set[str]:
        return {
            airflow.ask("GET", f"dags/we360_{name}_{team}/dagRuns/{run_id}")["state"]
            for team in TEAMS
        }

    wait_until(lambda: states() <= {"success", "failed"}, airflow, f"{name} ended", deadline_s=600)
    assert states() == {state}, airflow.logs()


def variables(airflow: Airflow, kind: str) -> list[str]:
    return [
        one["key"]
        for one in airflow.ask("GET", "variables")["variables"]
        if one["key"].startswith(f"we360_{kind}__")
    ]


def test_each_team_logs_in_once_and_keeps_its_session(airflow, accounts, figure):
    run(airflow, "right", run_id="first", state="success")
    run(airflow, "right", run_id="second", state="success")
    seen = accounts["right"].request_log
    assert (seen.logins, sum(seen.live_sessions().values())) == (2, 2)
    assert seen.unauthorized == 0
    names = variables(airflow, "token")
    assert len(names) == 2
    assert all(any(name.endswith(f"{team}") for name in names) for team in TEAMS)
    figure(f"two teams, 16 tasks: {seen.logins} logins, Variables {', '.join(sorted(names))}")


def test_a_wrong_password_is_bounded_for_each_team(airflow, accounts, figure):
    run(airflow, "wrong", run_id="first", state="failed")
    seen = accounts["wrong"].request_log
    sent = seen.counts["logins_refused"]
    assert sent <= 2 * len(TEAMS)
    run(airflow, "wrong", run_id="second", state="failed")
    assert seen.counts["logins_refused"] == sent
    assert len(variables(airflow, "token_block")) == len(TEAMS)
    figure(f"two teams, 16 tasks, a wrong password: sent {sent} times")
