"""Every example Dag runs as it stands, and loads what its words promise."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from pathlib import Path

import duckdb
import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "example_dags").glob("*.py"))


@pytest.fixture
def landed(duckdb_file, tmp_path):
    """The run's conf that leads an example into this test's folder, and what DuckDB reads of it then: by the example's name."""
    files = tmp_path / "we360"
    return {
        "we360_to_duckdb": ({}, "we360_days"),
        "we360_to_parquet": ({"path": str(files)}, f"'{files}/attendance_date=*/*.parquet'"),
    }


@pytest.mark.usefixtures("airflow_db", "sandbox")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_yesterday_and_the_week_before_it(example, sandbox, duckdb_file, landed, path):
    conf, table = landed[path.stem]
    assert example(path.stem).test(run_conf=conf).state == "success"
    today = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date()
    last = today - dt.timedelta(days=1)
    truth = sandbox.company.rows(last - dt.timedelta(days=7), last, "detailed")
    with duckdb.connect(str(duckdb_file)) as database:
        columns = "attendance_date, identity_id, online_duration"
        found = database.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
    assert found == sorted((row["attendance_date"], row["identity_id"], row["online_duration"]) for row in truth)
