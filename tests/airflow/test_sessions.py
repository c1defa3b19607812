"""A session of one Dag run: opened by a setup task, kept sealed in its XCom, shared by the tasks below, ended by a teardown."""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest
from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.operators.session import We360LoginOperator, We360LogoutOperator
from support.airflow_line import AIRFLOW, before, since
from support.commands import airflow
from support.dag_runs import run_here

pytestmark = pytest.mark.usefixtures("airflow_db")

REPORT = "/query/external/reports/dynamic_report"


@pytest.fixture
def xcom_mode(sandbox, monkeypatch):
    """The Connection asks for the session of the run."""
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    connection["extra"]["token_cache"] = "xcom"
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))
    return sandbox


@pytest.fixture
def variables(tmp_path):
    """Returns all Airflow Variables, by the command that people use."""

    def export():
        file = tmp_path / "variables.json"
        code, told = airflow(["variables", "export", str(file)])
        assert code == 0, told
        return json.loads(file.read_text())

    return export


@pytest.fixture(autouse=True)
def empty_variables(variables):
    for name in variables():
        airflow(["variables", "delete", name])


@pytest.fixture
def told(capsys, caplog):
    """What tasks have logged: in Airflow 3 to standard output, in 2.11 through logging."""
    caplog.set_level("INFO")
    return lambda: capsys.readouterr().out if AIRFLOW >= (3, 0) else caplog.text


@task
def read(fails=False):
    hook = We360Hook()
    today = dt.datetime.now(dt.UTC).date()
    batches = hook.iter_batches(window=(today - dt.timedelta(days=8), today - dt.timedelta(days=1)))
    assert sum(len(batch.rows) for batch in batches) > 0
    hook.close()
    if fails:
        raise RuntimeError("something else went wrong")


def look(seen, task_id="look"):
    """Return a task that appends what the login task's XCom holds at that moment."""

    @task(task_id=task_id)
    def append():
        seen.append(get_current_context()["ti"].xcom_pull(task_ids="login", key="we360_token"))

    return append()


def run(dag):
    return run_here(dag).state


def test_tasks_between_login_and_logout_share_one_session(xcom_mode, variables):
    before, after = [], []
    with DAG("we360_session", schedule=None) as dag:
        login = We360LoginOperator(task_id="login")
        logout = We360LogoutOperator(task_id="logout")
        (
            login
            >> [read.override(task_id=f"read_{number}")() for number in range(3)]
            >> look(before, "before")
            >> logout
            >> look(after, "after")
        )
        login >> logout
    assert run(dag) == "success"
    assert (xcom_mode.request_log.logins, sum(xcom_mode.request_log.live_sessions().values())) == (
        1,
        0,
    )
    assert xcom_mode.request_log.counts["logouts"] == 1
    assert variables() == {}
    assert json.loads(before[0]).keys() == {"v", "expires_at", "sealed"}
    assert after == [None]


@pytest.mark.parametrize("token_cache", ["variable", "memory"])
def test_run_sessions_never_touch_the_shared_session(sandbox, monkeypatch, variables, token_cache):
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    with DAG("we360_shared", schedule=None) as dag:
        read()
    assert run(dag) == "success"
    shared = variables()
    assert len(shared) == 1
    connection["extra"]["token_cache"] = token_cache
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))
    with DAG("we360_session", schedule=None) as dag:
        login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
        login >> read() >> logout
        login >> logout
    assert run(dag) == "success"
    assert variables() == shared
    assert sum(sandbox.request_log.live_sessions().values()) == 1
    assert sandbox.request_log.logins == (2 if token_cache == "variable" else 3)


def test_a_failed_task_still_ends_in_a_logout(xcom_mode):
    with DAG("we360_session", schedule=None) as dag:
        login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
        login >> read(fails=True) >> logout
        login >> logout
    assert run(dag) == "failed"
    assert (xcom_mode.request_log.logins, sum(xcom_mode.request_log.live_sessions().values())) == (
        1,
        0,
    )


@since((3, 3), "the state store of a task")
def test_a_retried_login_ends_the_session_of_its_first_try(xcom_mode):
    def fail_the_first_try(context, result=None):
        if context["ti"].try_number == 1:
            raise RuntimeError("after the login")

    with DAG("we360_retried", schedule=None) as dag:
        login = We360LoginOperator(
            task_id="login", retries=1, retry_delay=0, post_execute=fail_the_first_try
        )
        logout = We360LogoutOperator(task_id="logout")
        login >> read() >> logout
        login >> logout
    assert run(dag) == "success"
    assert (xcom_mode.request_log.logins, xcom_mode.request_log.counts["logouts"]) == (2, 2)
    assert sum(xcom_mode.request_log.live_sessions().values()) == 0


def test_a_logout_with_nothing_to_end_succeeds(xcom_mode):
    with DAG("we360_session", schedule=None) as dag:
        We360LogoutOperator(task_id="logout")
    assert run(dag) == "success"
    with DAG("we360_session_twice", schedule=None) as dag:
        first, second = We360LogoutOperator(task_id="first"), We360LogoutOperator(task_id="second")
        We360LoginOperator(task_id="login") >> first >> second
    assert run(dag) == "success"
    assert xcom_mode.request_log.counts["logouts"] == 1


def test_without_a_login_task_the_process_logs_in_and_out(xcom_mode, told):
    with DAG("we360_no_session", schedule=None) as dag:
        read()
    assert run(dag) == "success"
    assert (xcom_mode.request_log.logins, sum(xcom_mode.request_log.live_sessions().values())) == (
        1,
        0,
    )
    assert told().count("no We360LoginOperator") == 1


def test_a_task_after_the_logout_logs_in_and_out_by_itself(xcom_mode):
    with DAG("we360_late_reader", schedule=None) as dag:
        login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
        login >> logout >> read() >> look(seen := [])
    assert run(dag) == "success"
    assert (xcom_mode.request_log.logins, sum(xcom_mode.request_log.live_sessions().values())) == (
        2,
        0,
    )
    assert seen == [None]


def test_two_login_tasks_of_one_connection_are_both_named(xcom_mode, told):
    with DAG("we360_two_sessions", schedule=None) as dag:
        [
            We360LoginOperator(task_id="log_in_here"),
            We360LoginOperator(task_id="log_in_there"),
        ] >> read()
    assert run(dag) == "failed"
    assert "log_in_here and log_in_there" in told()


def test_login_tasks_of_two_connections_stand_side_by_side(xcom_mode, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WE360_OTHER", os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    with DAG("we360_two_accounts", schedule=None) as dag:
        mine, other = (
            We360LoginOperator(task_id="mine"),
            We360LoginOperator(task_id="other", we360_conn_id="we360_other"),
        )
        out_mine = We360LogoutOperator(task_id="out_mine")
        out_other = We360LogoutOperator(task_id="out_other", we360_conn_id="we360_other")
        [mine, other] >> read() >> [out_mine, out_other]
        mine >> out_mine
        other >> out_other
    assert run(dag) == "success"
    assert (xcom_mode.request_log.logins, xcom_mode.request_log.counts["logouts"]) == (2, 2)
    assert sum(xcom_mode.request_log.live_sessions().values()) == 0


def test_a_mapped_login_is_refused_by_name(xcom_mode, told):
    with DAG("we360_mapped", schedule=None) as dag:
        We360LoginOperator.partial(task_id="login").expand(we360_conn_id=["we360_default"])
    assert run(dag) == "failed"
    assert "cannot be mapped" in told()
    assert xcom_mode.request_log.logins == 0


def test_a_logout_that_the_server_does_not_hear_can_be_retried(xcom_mode):
    xcom_mode.faults.add("logout", "http_503", times=2)
    with DAG("we360_session", schedule=None) as dag:
        login = We360LoginOperator(task_id="login")
        login >> We360LogoutOperator(task_id="logout", retries=1, retry_delay=0)
    run(dag)
    assert sum(xcom_mode.request_log.live_sessions().values()) == 0


def test_the_healthy_way_logs_no_error(xcom_mode, capsys, caplog):
    caplog.set_level("INFO")
    with DAG("we360_session", schedule=None) as dag:
        login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
        login >> read() >> logout
        login >> logout
    assert run(dag) == "success"
    told = "".join([*capsys.readouterr(), caplog.text])
    assert "We360 session ended" in caplog.text
    # Airflow 3.0 calls it an error of its own that there is no Variable or XCom of a name.
    ours = [line for line in told.splitlines() if "[airflow.sdk.api.client]" not in line]
    assert "error" not in "\n".join(ours).lower()


def test_the_test_button_touches_no_entry_and_logs_itself_out(sandbox, variables):
    assert We360Hook().test_connection()[0] is True
    assert variables() == {}
    assert (sandbox.request_log.logins, sum(sandbox.request_log.live_sessions().values())) == (1, 0)


IN_2 = "plain Python reaches the Variables, and with them the session of all tasks"


@before((3, 0), IN_2)
def test_plain_python_of_airflow_2_shares_the_session(sandbox, variables):
    for _ in range(2):
        hook = We360Hook()
        assert hook.get_conn().post(REPORT, json={}).status_code in (200, 400, 422)
        hook.close()
    assert (sandbox.request_log.logins, sum(sandbox.request_log.live_sessions().values())) == (1, 1)
    assert len(variables()) == 1


@since((3, 0), f"before, {IN_2}")
def test_plain_python_logs_in_for_itself_and_out_again(sandbox):
    hook = We360Hook()
    assert hook.get_conn().post(REPORT, json={}).status_code in (200, 400, 422)
    hook.close()
    assert (sandbox.request_log.logins, sum(sandbox.request_log.live_sessions().values())) == (1, 0)


@since((3, 0), f"before, {IN_2}")
def test_each_hook_in_plain_python_tries_a_wrong_password_once(sandbox):
    sandbox.identity.change_account(password="changed")
    for _ in range(3):
        with pytest.raises(We360Error, match="or Password"):
            We360Hook().login()
    assert sandbox.request_log.counts["logins_sent"] == 3
