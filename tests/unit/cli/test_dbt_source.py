"""The command dbt-source: what dbt learns of the table of a load."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_provider_we360.cli.command import main
from airflow_provider_we360.client import reports

PROJECT = Path(__file__).resolve().parents[3] / "example_dags" / "dbt"


@pytest.fixture
def source(capsys):
    def run(*words: str):
        assert main(["dbt-source", *words]) == 0
        (one,) = yaml.safe_load(capsys.readouterr().out)["sources"]
        return one

    return run


def test_the_source_of_the_example_is_what_the_command_prints(capsys):
    main(["dbt-source", "--table", "we360_days", "--load-log-table", "we360_load_log"])
    assert capsys.readouterr().out == (PROJECT / "models" / "sources.yml").read_text()


def test_the_parts_of_a_table_name_are_told_apart(source):
    found = source("--table", "acme-data.hr.we360_days")
    assert (found["database"], found["schema"]) == ("acme-data", "hr")
    assert [table["name"] for table in found["tables"]] == ["we360_days"]
    assert source("--table", "we360_days")["schema"] == "{{ target.schema }}"


@pytest.mark.parametrize("mode", ["detailed", "summary"])
def test_every_column_of_the_mode_is_described(source, mode):
    (table,) = source("--table", "t", "--mode", mode)["tables"]
    columns = {column["name"]: column for column in table["columns"]}
    report = reports.get("dynamic_report")
    for name in report.modes[mode].default_columns:
        assert columns[name]["description"] == report.columns[name].description
    tested = {name for name, column in columns.items() if column.get("data_tests") == ["not_null"]}
    window = {"_we360_window_start", "_we360_window_end"} if mode == "summary" else set()
    assert tested == {"_we360_tenant", *window, *report.modes[mode].key}


def test_chosen_columns_take_the_place_of_the_default_ones(source):
    (table,) = source("--table", "t", "--columns", "email, badge")["tables"]
    names = [column["name"] for column in table["columns"]]
    assert names[-4:] == ["attendance_date", "identity_id", "email", "badge"]


def test_freshness_is_measured_on_the_log_if_there_is_one(source):
    (rows,) = source("--table", "t")["tables"]
    assert rows["config"]["loaded_at_field"] == "_we360_loaded_at"
    rows, log = source("--table", "t", "--load-log-table", "l")["tables"]
    assert "config" not in rows
    assert log["config"]["freshness"] == {"error_after": {"count": 26, "period": "hour"}}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--table", "a b"], "table:"),
        (["--table", "t", "--mode", "weekly"], "mode:"),
        (["--table", "t", "--report", "none"], "report:"),
        (["--table", "t", "--columns", "a-b"], "columns:"),
        (["--table", "t", "--load-log-table", "a b"], "load_log_table:"),
        (["--table", "hr.t", "--load-log-table", "l"], "load_log_table:"),
    ],
)
def test_a_wrong_name_is_refused_with_its_argument(words, name, capsys):
    assert main(["dbt-source", *words]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.startswith(name)) == ("", True)
