"""Sessions of a run whose login task runs more than once: retried, cleared, in a loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import AIRFLOW, since
from support.real_airflow import Airflow, wait_until

pytestmark = [pytest.mark.e2e, since((3, 3), "the state store of a task")]

DAGS = Path(__file__).parent / "dags_attempts"


@pytest.fixture(scope="module")
def sandbox():
    return Simulator(SimulatorConfig(employees=12))


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, metadata_database, sandbox):
    home = tmp_path_factory.mktemp("attempts")
    with serve(sandbox) as server:
        extra = {
            "customer_id": sandbox.config.customer_id,
            "auth_url": server.url,
            "allow_http": True,
            "token_cache": "xcom",
        }
        account = {"login": sandbox.config.login, "password": sandbox.config.password}
        connection = {"conn_type": "we360", "host": server.url, **account, "extra": extra}
        environment = {
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(connection),
            "ATTEMPTS_GATE": str(home / "gate"),
        }
        with Airflow(home, metadata_database, DAGS, **environment) as airflow:
            wait_until(lambda: "cleared" in airflow.known_dags(), airflow, "Dags parsed")
            yield airflow


@pytest.fixture
def sessions(sandbox):
    """Returns how many sessions were opened and ended since the test began, and how many more live."""
    log = sandbox.request_log

    def totals():
        return log.logins, log.counts["logouts"], sum(log.live_sessions().values())

    before = totals()
    return lambda: tuple(now - then for now, then in zip(totals(), before, strict=True))


def begin(airflow, dag_id):
    body = {"dag_run_id": "once", "logical_date": None}
    airflow.ask("POST", f"dags/{dag_id}/dagRuns", body)


def end(airflow, dag_id):
    def state():
        return airflow.ask("GET", f"dags/{dag_id}/dagRuns/once")["state"]

    wait_until(lambda: state() in ("success", "failed"), airflow, f"{dag_id} ended", deadline_s=600)
    assert state() == "success", airflow.logs()


def states(airflow, dag_id):
    found = airflow.ask("GET", f"dags/{dag_id}/dagRuns/once/taskInstances")["task_instances"]
    return {one["task_id"]: one["state"] for one in found}


def live_xcoms(airflow, dag_id):
    """How many XComs of the token the tasks of the run can see."""
    found = airflow.ask("GET", f"dags/{dag_id}/dagRuns/once/taskInstances/~/xcomEntries")
    return sum(one["key"] == "we360_token" for one in found["xcom_entries"])


def tables_with_ciphertext(airflow):
    """Tables of Airflow's database, whatever they are called, that hold an encrypted token."""
    tables = airflow.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = {}
    for (table,) in tables:
        query = f"""SELECT count(*) FROM "{table}" r WHERE r::text LIKE '%%gAAAA%%'"""
        ((count,),) = airflow.rows(query)
        if count:
            found[table] = count
    return found


def test_a_cleared_login_ends_its_earlier_session(airflow, sessions, figure):
    begin(airflow, "cleared")
    wait_until(lambda: states(airflow, "cleared")["gate"] == "running", airflow, "gate reached")
    assert sessions() == (1, 0, 1)
    clear = {"dry_run": False, "dag_run_id": "once", "only_failed": False, "task_ids": ["login"]}
    if AIRFLOW >= (3, 4):
        clear["keep_task_state"] = True
    airflow.ask("POST", "dags/cleared/clearTaskInstances", clear | {"include_downstream": True})
    wait_until(lambda: sessions()[0] == 2, airflow, "logged in again")
    (airflow.home / "gate").touch()
    end(airflow, "cleared")
    assert sessions() == (2, 2, 0)
    assert live_xcoms(airflow, "cleared") == 0
    figure(f"login cleared: {sessions()}, ciphertext left in {tables_with_ciphertext(airflow)}")


def test_a_retried_login_ends_its_earlier_session(airflow, sessions, figure):
    begin(airflow, "retried")
    end(airflow, "retried")
    assert sessions() == (2, 2, 0)
    assert live_xcoms(airflow, "retried") == 0
    figure(f"login retried: {sessions()}")


@since((3, 4), "loops of tasks")
@pytest.mark.parametrize(
    ("dag_id", "opened"), [("session_in_loop", 2), ("loop_in_session", 1)], ids=lambda one: one
)
def test_two_iterations_of_a_loop(airflow, sessions, figure, dag_id, opened):
    begin(airflow, dag_id)
    end(airflow, dag_id)
    assert sessions() == (opened, opened, 0)
    assert live_xcoms(airflow, dag_id) == 0
    figure(f"{dag_id}, two iterations: {sessions()}")
