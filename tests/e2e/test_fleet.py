"""Eight tasks at once, each in a process of its own, share one token: one login, whatever happens to the token meanwhile."""

from __future__ import annotations

import json
import os

import duckdb
import pytest
from cryptography.fernet import Fernet

from e2e.fleet import DAY, LIFETIME_S, TASKS, account, everything_in, fleet
from simulator.app import BruteForce

pytestmark = pytest.mark.e2e

SCENES = {
    "cold": account("cold", login_takes_s=0.5),
    "deferred": account("deferred", login_takes_s=0.5),
    "expiry": account("expiry", rotation=True, access_lifetime_s=LIFETIME_S),
    "guarded": account(
        "guarded", rotation=True, brute_force=BruteForce(), login_guard=True, login_takes_s=1.0
    ),
    "ended": account("ended", rotation=True, brute_force=BruteForce()),
    "refused": account("refused", brute_force=BruteForce()),
}
WRONG = "canary-Passw0rd-that-is-wrong"
GRANTS_ARE_APART_S = 85
IN_TRIGGERER = TASKS // 2


@pytest.fixture(scope="module")
def warehouses(tmp_path_factory):
    """A DuckDB file for each task."""
    folder = tmp_path_factory.mktemp("warehouses")
    return [folder / f"{number}.duckdb" for number in range(TASKS)]


@pytest.fixture(scope="module")
def ships(tmp_path_factory, metadata_database, warehouses):
    """The fleet. The two scenes that take minutes begin at once; the short ones run meanwhile."""
    files = {
        f"AIRFLOW_CONN_WAREHOUSE_{number}": json.dumps({"conn_type": "duckdb", "host": str(path)})
        for number, path in enumerate(warehouses)
    }
    home = tmp_path_factory.mktemp("fleet")
    environment = files | {"FLEET_WORKER": "worker"}

    def triggerer(airflow):
        airflow.start("triggerer", "--skip-serve-logs", FLEET_WORKER="triggerer")

    with fleet(
        home,
        metadata_database,
        SCENES,
        stored=["refused"],
        environment=environment,
        more_parts=triggerer,
    ) as ships:
        wrong = ships.connection("refused", password=WRONG, connection_id="we360_refused")
        ships.airflow.ask("POST", "connections", wrong | {"extra": json.dumps(wrong["extra"])})
        ships.begin("refused", "refused")
        ships.begin("expiry", "expiry")
        yield ships


@pytest.fixture(scope="module")
def refused_run(ships):
    return ships.end_of("refused", "refused")


@pytest.fixture(scope="module")
def deferred_run(ships):
    return ships.run("deferred", "deferred")


def variables(ships, kind):
    """Names of the Variables of a kind: ``token``, ``token_lease``, ``token_block``."""
    return [
        name
        for (name,) in ships.airflow.rows(
            "SELECT key FROM variable WHERE key LIKE %s", f"we360_{kind}\\_\\_%"
        )
    ]


def test_eight_tasks_on_a_cold_cache_log_in_once(ships, figure):
    run = ships.run("cold", "cold")
    figure(ships.figures("cold", run))
    run.assert_all_at_once()
    run.assert_green(ships.rows_of_the_day("cold"))
    request_log = ships.sandboxes["cold"].request_log
    assert request_log.counts["logins_sent"] == 1
    assert ships.live_sessions("cold") == 1


def test_triggers_and_tasks_on_a_cold_cache_log_in_once(ships, figure, deferred_run):
    figure(ships.figures("deferred", deferred_run))
    assert deferred_run.workers == {"worker": TASKS - IN_TRIGGERER, "triggerer": IN_TRIGGERER}
    assert len(set(deferred_run.places["start"].values())) == TASKS - IN_TRIGGERER + 1, (
        "the triggers share one process"
    )
    deferred_run.assert_green(ships.rows_of_the_day("deferred"))
    request_log = ships.sandboxes["deferred"].request_log
    assert request_log.counts["logins_sent"] == 1
    assert request_log.counts["logouts"] == 0
    assert ships.live_sessions("deferred") == 1


def test_a_token_that_a_task_or_a_trigger_logs_is_blanked(ships, deferred_run):
    assert len(deferred_run.logs) == TASKS
    for log in deferred_run.logs.values():
        assert "Sent: Bearer " in log
        assert "***" in log
        assert ships.secrets_in(log) == []


def test_eight_loads_against_a_login_guard_log_in_once(ships, figure, warehouses):
    run = ships.run("guarded", "guarded")
    figure(ships.figures("guarded", run))
    run.assert_all_at_once()
    run.assert_green(ships.rows_of_the_day("guarded"))
    request_log = ships.sandboxes["guarded"].request_log
    assert (request_log.counts["logins_sent"], request_log.counts["logins_refused"]) == (1, 0)
    assert ships.live_sessions("guarded") == 1
    truth = {
        (row["attendance_date"], row["identity_id"])
        for row in ships.sandboxes["guarded"].company.rows(DAY, DAY, "detailed")
    }
    for path in warehouses:
        with duckdb.connect(str(path), read_only=True) as warehouse:
            landed = warehouse.execute("SELECT attendance_date, identity_id FROM days").fetchall()
        assert len(landed) == len(truth)
        assert set(landed) == truth


def test_a_session_ended_by_the_server_costs_one_login(ships, figure):
    ships.begin("ended", "ended")
    ships.wait_at("before the end", "ended")
    sandbox = ships.sandboxes["ended"]
    assert sandbox.request_log.counts["logins_sent"] == 1
    sandbox.identity.sessions.end_all()
    ships.tell("ended", "ended")
    run = ships.end_of("ended", "ended")
    figure(ships.figures("ended", run))
    run.assert_all_at_once()
    run.assert_green(ships.rows_of_the_day("ended"))
    assert (
        sandbox.request_log.counts["logins_sent"],
        sandbox.request_log.counts["logins_refused"],
    ) == (2, 0)
    assert sandbox.request_log.counts["refresh_tokens_sent_twice"] == 0
    assert ships.live_sessions("ended") == 1


def test_a_token_expiring_under_eight_tasks_is_renewed_once(ships, figure):
    run = ships.end_of("expiry", "expiry")
    figure(ships.figures("expiry", run))
    run.assert_all_at_once()
    run.assert_green(ships.rows_of_the_day("expiry"))
    ships.assert_renewed_by_one("expiry", LIFETIME_S)


def test_eight_tasks_with_retries_send_a_wrong_password_twice(ships, figure, refused_run):
    figure(ships.figures("refused", refused_run))
    refused_run.assert_all_at_once()
    assert refused_run.states == ["failed"]
    assert {task.try_number for task in refused_run.tasks} == {1}
    request_log = ships.sandboxes["refused"].request_log
    assert request_log.counts["logins_sent"] == 2
    assert request_log.min_gap_between_failed_logins_s > GRANTS_ARE_APART_S


def test_the_log_of_a_refused_task_names_fix_and_variable(ships, refused_run):
    (block,) = variables(ships, "token_block")
    assert len(refused_run.logs) == TASKS
    for log in refused_run.logs.values():
        assert "E-mail (login) or Password of the Connection is wrong" in log
        assert block in log


def test_a_run_after_a_refusal_fails_without_asking_the_server(ships, figure, refused_run):
    run = ships.run("refused", "again")
    figure(ships.figures("refused", run))
    assert run.states == ["failed"]
    assert {task.try_number for task in run.tasks} == {1}
    assert ships.sandboxes["refused"].request_log.counts["logins_sent"] == 2


def test_a_mended_password_lifts_the_block_by_itself(ships, figure, refused_run):
    right = ships.connection("refused", connection_id="we360_refused")
    body = right | {"extra": json.dumps(right["extra"])}
    ships.airflow.ask("PATCH", "connections/we360_refused", body, update_mask="password")
    run = ships.run("refused", "mended")
    figure(ships.figures("refused", run))
    run.assert_green(ships.rows_of_the_day("refused"))
    assert ships.sandboxes["refused"].request_log.counts["logins_sent"] == 3
    assert ships.live_sessions("refused") == 1
    assert variables(ships, "token_block") == []


def test_each_account_has_one_token_variable_and_no_lease(ships):
    assert len(variables(ships, "token")) == len(SCENES)
    assert variables(ships, "token_lease") == []


def test_a_token_lies_sealed_within_what_airflow_itself_encrypts(ships):
    fernet = Fernet(os.environ["AIRFLOW__CORE__FERNET_KEY"])
    stored = ships.airflow.rows(
        "SELECT key, val, is_encrypted FROM variable WHERE key LIKE %s", "we360_token\\_\\_%"
    )
    assert len(stored) == len(SCENES)
    for name, value, is_encrypted in stored:
        assert is_encrypted, name
        ours = fernet.decrypt(value.encode()).decode()
        assert ships.secrets_in(ours) == [], name
        inner = fernet.decrypt(json.loads(ours)["sealed"].encode()).decode()
        assert ships.tokens_in(inner), "a token that is there is seen: the search itself works"


def test_no_variable_shows_a_token_over_rest_or_in_an_export(ships, tmp_path):
    told = ships.airflow.ask("GET", "variables", limit=100)["variables"]
    assert {each["key"] for each in told} >= set(variables(ships, "token"))
    assert ships.secrets_in(json.dumps(told)) == []
    ships.airflow.run("variables", "export", str(tmp_path / "variables.json"))
    exported = (tmp_path / "variables.json").read_text()
    assert set(variables(ships, "token")) <= json.loads(exported).keys()
    assert ships.secrets_in(exported) == []


def test_no_table_of_airflow_holds_a_token_in_clear(ships):
    tables = dict(everything_in(ships.airflow))
    assert "rows" in tables["xcom"]
    assert {table for table, text in tables.items() if ships.secrets_in(text)} == set()
    # Airflow keeps the Login of a stored Connection readable, and its audit log tells how that was written.
    assert {table for table, text in tables.items() if ships.logins_in(text)} == {
        "connection",
        "log",
    }


def test_no_log_holds_a_secret(ships):
    files = [path for path in ships.airflow.home.rglob("*") if path.suffix in {".log", ".txt"}]
    tasks = [path for path in files if "attempt=" in path.name]
    triggers = [path for path in tasks if ".trigger." in path.name]
    assert len(triggers) == IN_TRIGGERER
    assert len(tasks) - len(triggers) == (len(SCENES) + 2) * TASKS
    texts = {str(path): path.read_text(errors="replace") for path in files}
    assert {
        name for name, text in texts.items() if ships.secrets_in(text) or ships.logins_in(text)
    } == set()
