"""Every example Dag runs as it stands, and loads what its words promise."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import zoneinfo
from collections import defaultdict
from pathlib import Path

import duckdb
import pytest

from support.examples import few
from support.run_days import INDIA, days_of, run_as_of

EXAMPLES = {
    path.stem for path in (Path(__file__).resolve().parents[2] / "example_dags").glob("*.py")
}
A_WEEK_AND_A_DAY = (
    "we360_wait_and_load",
    "we360_quality",
    "we360_to_duckdb",
    "we360_to_parquet",
    "we360_to_s3",
)
TODAY = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date()
DAY = dt.timedelta(days=1)


@pytest.fixture
def landed(duckdb_file, tmp_path, monkeypatch):
    """The run's conf that leads an example into this test's folder, and what DuckDB reads of it then: by the example's name."""
    files = tmp_path / "we360"
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "fs"})
    )  # test_examples_s3.py has a real one
    return {
        name: ({"path": str(files)}, f"'{files}/attendance_date=*/*.parquet'")
        for name in ("we360_to_parquet", "we360_to_s3")
    }


@pytest.fixture
def holds(duckdb_file, sandbox):
    """Asserts that a table holds the truth of these days and nothing else."""

    def check(first, last, table="we360_days"):
        truth = sandbox.company.rows(first, last, "detailed")
        with duckdb.connect(str(duckdb_file)) as database:
            columns = "attendance_date, identity_id, online_duration"
            found = database.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
        assert (
            found
            == sorted(
                (row["attendance_date"], row["identity_id"], row["online_duration"])
                for row in truth
            )
            != []
        )

    return check


def ask(path, sql):
    with duckdb.connect(str(path)) as database:
        return database.execute(sql).fetchall()


def states(run):
    return {(ti.task_id, ti.map_index): str(ti.state) for ti in run.get_task_instances()}


def month_before(day):
    last = day.replace(day=1) - DAY
    return last.replace(day=1), last


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize("name", few(A_WEEK_AND_A_DAY))
def test_an_example_loads_yesterday_and_the_week_before_it(example, sandbox, holds, landed, name):
    conf, table = landed.get(name, ({}, "we360_days"))
    dag = example(name)
    if dag.has_task("wait"):  # tests run at any hour, after any day off
        worked = sandbox.company.rows(TODAY - 8 * DAY, TODAY - DAY)[-1]["attendance_date"]
        wait = dag.get_task("wait")
        wait.window_start = wait.window_end = worked.isoformat()
        wait.settle_hours = 0
    run = dag.test(run_conf=conf)
    assert set(states(run).values()) == {"success"}
    holds(*days_of(run, lookback_days=7), table)


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.long
def test_the_weekly_sweep_loads_and_logs_35_days(example, holds, duckdb_file):
    run = example("we360_weekly_sweep").test()
    assert run.state == "success"
    first, last = days_of(run, lookback_days=34)
    holds(first, last)
    logged = ask(duckdb_file, "SELECT count(*), min(day), max(day) FROM we360_load_log")
    assert logged == [((last - first).days + 1, first, last)]


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.long
def test_the_month_close_loads_the_month_before(example, holds):
    assert example("we360_month_close").test().state == "success"
    holds(*month_before(TODAY))


@pytest.mark.long
@pytest.mark.usefixtures("airflow_db")
def test_the_history_reruns_only_the_month_that_failed(example, sandbox, holds, duckdb_file):
    conf = {"first_day": "2026-01-28", "last_day": "2026-03-03"}
    sandbox.faults.add("report", "http_403", day="2026-02-05", times=1)
    run = example("we360_history").test(run_conf=conf)
    assert states(run) == {
        ("months", -1): "success",
        ("load", 0): "success",
        ("load", 1): "failed",
        ("load", 2): "success",
    }
    months = ask(
        duckdb_file, "SELECT min(day), max(day) FROM we360_load_log GROUP BY load_id ORDER BY 1"
    )
    assert months == [
        (dt.date(2026, 1, 28), dt.date(2026, 1, 31)),
        (dt.date(2026, 3, 1), dt.date(2026, 3, 3)),
    ]
    assert example("we360_history").test(run_conf=conf).state == "success"
    holds(dt.date(2026, 1, 28), dt.date(2026, 3, 3))


@pytest.mark.usefixtures("airflow_db", "sandbox")
@pytest.mark.long
def test_the_downstream_dag_is_idempotent(example, duckdb_file):
    days = {"window_start": str(TODAY - 8 * DAY), "window_end": str(TODAY - DAY)}
    assert example("we360_to_duckdb").test(run_conf=days).state == "success"
    for _ in range(2):
        assert example("we360_downstream").test().state == "success"
    sums = "SELECT attendance_date, group_name, people FROM we360_team_days ORDER BY ALL"
    rows = "SELECT attendance_date, group_name, count(*) FROM we360_days GROUP BY ALL ORDER BY ALL"
    assert ask(duckdb_file, sums) == ask(duckdb_file, rows) != []


@pytest.mark.usefixtures("airflow_db", "sandbox")
@pytest.mark.long
def test_a_quality_check_that_fails_fails_the_run(example, duckdb_file):
    assert example("we360_to_duckdb").test().state == "success"
    without_number = f"INSERT INTO we360_days (_we360_tenant, attendance_date, identity_id) VALUES ('acme-demo', '{TODAY}', 'x')"
    ask(duckdb_file, without_number)
    run = example("we360_quality").test()
    assert states(run) == {
        ("load", -1): "success",
        ("columns", -1): "failed",
        ("table", -1): "success",
    }


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize("sandbox", [60], indirect=True)
def test_the_taskflow_dag_hands_on_sums_of_teams_and_no_row(example, sandbox, caplog):
    caplog.set_level("INFO")
    wednesday = dt.datetime(2026, 6, 3, 12, tzinfo=INDIA)
    yesterday = wednesday.date() - DAY
    teams = defaultdict(list)
    for row in sandbox.company.rows(yesterday, yesterday):
        teams[row["group_name"] or "no team"].append(row["online_duration"] or 0)
    expected = [
        {"team": team, "people": len(seconds), "hours": round(sum(seconds) / 3600, 1)}
        for team, seconds in teams.items()
        if len(seconds) >= 5
    ]
    run = run_as_of(example("we360_taskflow"), wednesday)
    assert set(states(run).values()) == {"success"}
    (ti,) = [ti for ti in run.get_task_instances() if ti.task_id == "team_hours"]
    told = ti.xcom_pull("team_hours")
    assert sorted(told, key=str) == sorted(expected, key=str) != []
    assert len(expected) < len(teams)
    assert all(f"{one['team']}: {one['people']} people" in caplog.text for one in expected)


@pytest.mark.usefixtures("airflow_db")
def test_a_run_session_is_one_login_and_ends_with_the_run(
    example, sandbox, holds, tmp_path, monkeypatch
):
    in_xcom(monkeypatch)
    run = example("we360_run_session").test(run_conf={"archive": str(tmp_path / "archive")})
    assert set(states(run).values()) == {"success"}
    days = days_of(run, lookback_days=7)
    holds(*days)
    holds(*days, f"'{tmp_path}/archive/*/*.parquet'")
    assert (
        sandbox.request_log.logins,
        sandbox.request_log.counts["logouts"],
        sandbox.request_log.live_sessions(),
    ) == (1, 1, {})


@pytest.mark.usefixtures("airflow_db", "duckdb_file")
@pytest.mark.long
def test_a_run_session_ends_if_a_load_fails(example, sandbox, tmp_path, monkeypatch):
    in_xcom(monkeypatch)
    sandbox.faults.add("report", "http_403")
    run = example("we360_run_session").test(run_conf={"archive": str(tmp_path / "archive")})
    assert run.state == "failed"
    assert states(run)["logout", -1] == "success"
    assert sum(sandbox.request_log.live_sessions().values()) == 0


def in_xcom(monkeypatch):
    """The Connection asks for the session of the run."""
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    connection["extra"]["token_cache"] = "xcom"
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))


def test_every_example_is_run_by_a_test():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_examples*.py"))
    assert [name for name in sorted(EXAMPLES) if f'"{name}"' not in text] == []


def test_every_example_is_shown_in_the_documentation():
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "examples.md").read_text()
    shown = re.findall(r"example_dags/(\w+)\.py", page)
    assert sorted(shown) == sorted(EXAMPLES)
