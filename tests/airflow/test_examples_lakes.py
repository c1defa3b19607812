"""The example Dags for Iceberg and Delta run as they stand, and so does their maintenance."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from support.lakes import Delta, Iceberg, Lake, needs_catalog
from support.loads import load, merge, row
from support.run_days import days_of


@pytest.fixture
def iceberg(tmp_path, monkeypatch) -> Iceberg:
    """The Connection ``iceberg_default``, to a catalog of this test."""
    lake = Iceberg(tmp_path)
    lake.conn_id = "iceberg_default"  # pyiceberg's SQL catalog files tables under its name
    fields = {"conn_type": lake.conn_type, **lake.connection}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps(fields))
    return lake


def require_truth(lake: Lake, table: str, sandbox, run) -> None:
    names = ["attendance_date", "identity_id", "online_duration"]
    found = lake.arrow(table).select(names).to_pylist()
    truth = sandbox.company.rows(*days_of(run, lookback_days=7))
    expected = [{name: one[name] for name in names} for one in truth]
    assert sorted(found, key=repr) == sorted(expected, key=repr) != []


@needs_catalog
@pytest.mark.usefixtures("airflow_db")
def test_the_iceberg_example_loads_a_week_and_a_day(example, sandbox, iceberg):
    for _ in range(2):
        run = example("we360_to_iceberg").test()
        assert run.state == "success"
    require_truth(iceberg, "we360_days", sandbox, run)
    logged = iceberg.arrow("we360_load_log")
    assert len(set(logged.column("day").to_pylist())) == 8


@pytest.mark.usefixtures("airflow_db")
def test_the_delta_example_loads_a_week_and_a_day(example, sandbox, tmp_path):
    lake = Delta(tmp_path)
    for _ in range(2):
        run = example("we360_to_delta").test(run_conf={"path": lake.full_name("days")})
        assert run.state == "success"
    require_truth(lake, "days", sandbox, run)


@needs_catalog
@pytest.mark.usefixtures("airflow_db")
def test_maintenance_joins_files_and_forgets_old_versions(example, iceberg, tmp_path):
    delta = Delta(tmp_path)
    for lake in (iceberg, delta):
        for person in ("a", "b", "c"):
            lake.load("days", merge(run_id=person), [row(1, person)], "log")
        lake.load("days", load(window=(dt.date(2026, 4, 1),) * 2), [row(1, p) for p in "abc"])
        lake.load("days", merge(run_id="d"), [row(1, "d")])
    tables = {
        "iceberg_tables": [iceberg.full_name("days"), iceberg.full_name("log")],
        "delta_tables": [delta.full_name("days"), delta.full_name("log")],
    }
    before = [lake.rows("days") for lake in (iceberg, delta)]
    assert example("we360_lake_maintenance").test(run_conf=tables).state == "success"
    assert [lake.rows("days") for lake in (iceberg, delta)] == before != [[], []]
    catalog = iceberg.sink("days")._table
    catalog.refresh()
    assert len(list(catalog._table.scan().plan_files())) == 1
    folder = delta.sink("days")._table
    folder.refresh()
    assert len(folder._table.file_uris()) == 1
    assert [len(lake.arrow("log")) for lake in (iceberg, delta)] == [90, 90]
