"""Days that earlier runs missed, as a task of Airflow loads them and reports it."""

from __future__ import annotations

import datetime as dt
import re
from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from support.dag_runs import OneEvent

NOON = dt.datetime(2026, 6, 10, 6, 30, tzinfo=dt.UTC)


@pytest.fixture
def run(capsys):
    """Loads one day; returns the result, the extra of its asset event, and the log."""

    def load(day: int, **arguments: object):
        operator = We360ToSqlOperator(
            **{
                "task_id": "load",
                "sql_conn_id": "duckdb_default",
                "table": "days",
                "load_log_table": "days_log",
                "window_start": f"2026-06-{day:02}",
                "window_end": f"2026-06-{day:02}",
            }
            | arguments
        )
        operator.outlets = [SimpleNamespace(uri="duckdb:///days")]
        extra: dict[str, object] = {}
        context = {
            "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id=f"on {day}", map_index=-1),
            "dag_run": SimpleNamespace(run_after=NOON, start_date=NOON),
            "outlet_events": OneEvent(SimpleNamespace(extra=extra)),
        }
        capsys.readouterr()
        return operator.execute(context), extra, capsys.readouterr().out

    return load


def days_in(path, table="days", column="attendance_date"):
    with duckdb.connect(str(path), read_only=True) as database:
        return {
            str(day)
            for (day,) in database.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
        }


@pytest.mark.usefixtures("sandbox")
def test_missed_days_are_loaded_oldest_first_and_reported(run, duckdb_file, sandbox):
    run(3)
    result, extra, log = run(9, complete_since="2026-06-01", max_catch_up_days=4)
    assert (
        result["caught_up"]
        == extra["caught_up"]
        == [
            ["2026-06-01", "2026-06-02"],
            ["2026-06-04", "2026-06-05"],
        ]
    )
    assert result["catch_up_left"] == extra["catch_up_left"] == 3
    assert result["window"] == extra["window"] == ["2026-06-09", "2026-06-09"]
    assert result["days"] == 5
    assert (
        "Loading 1 day; catching up 4 missed days"
        " (2026-06-01 to 2026-06-02, 2026-06-04 to 2026-06-05), 3 left"
    ) in log
    assert len(re.findall(r"Loaded [\d,]+ rows for", log)) == 3
    assert days_in(duckdb_file, "days_log", "day") == {
        f"2026-06-0{day}" for day in (1, 2, 3, 4, 5, 9)
    }


@pytest.mark.usefixtures("sandbox")
def test_a_complete_table_says_so_and_sends_no_more(run, duckdb_file, sandbox):
    run(9, complete_since="2026-06-01")
    before = len(sandbox.request_log.requests)
    result, _, log = run(9)
    plain = len(sandbox.request_log.requests) - before
    result, _, log = run(9, complete_since="2026-06-01")
    assert len(sandbox.request_log.requests) - before == 2 * plain
    assert (result["caught_up"], result["catch_up_left"]) == ([], 0)
    assert "Catching up: no day is missing before the window" in log


@pytest.mark.usefixtures("sandbox")
def test_a_dropped_table_is_filled_again(run, duckdb_file):
    run(2, complete_since="2026-06-01")
    with duckdb.connect(str(duckdb_file)) as database:
        database.execute("DROP TABLE days")
    result, _, _ = run(3, complete_since="2026-06-01")
    assert result["caught_up"] == [["2026-06-01", "2026-06-02"]]


@pytest.mark.usefixtures("sandbox")
def test_a_load_with_other_filters_has_holes_of_its_own(run, duckdb_file):
    run(3, complete_since="2026-06-01")
    with duckdb.connect(str(duckdb_file), read_only=True) as database:
        (person,) = database.execute("SELECT min(identity_id) FROM days").fetchone()
    result, _, _ = run(3, complete_since="2026-06-02", user_ids=[person])
    assert result["caught_up"] == [["2026-06-02", "2026-06-02"]]
