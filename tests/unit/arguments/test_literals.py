"""Wrong literal arguments are import errors of the Dag file; templates are left to the run."""

from __future__ import annotations

import pathlib
import textwrap

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator


def to_sql(**arguments):
    return We360ToSqlOperator(**({"task_id": "x", "sql_conn_id": "w", "table": "t"} | arguments))


def to_files(**arguments):
    return We360ToObjectStorageOperator(**({"task_id": "x", "path": "/data"} | arguments))


def sensor(**arguments):
    return We360ReportSensor(task_id="x", **arguments)


SHARED = [
    ("we360_conn_id", ""),
    ("report", "dynamic"),
    ("window_start", "yesterday"),
    ("timezone", "Mars/Olympus"),
    ("user_ids", ["a,b"]),
    ("report_params", {"x": 1}),
]
TRANSFERS = [
    *SHARED,
    ("mode", "monthly"),
    ("columns", []),
    ("columns", ["e mail"]),
    ("lookback_days", "seven"),
    ("on_empty", "ignore"),
    ("column_types", {"employee_id": "number"}),
    ("column_types", {"email": "text"}),
    ("pseudonymize", {"email": "conn:people"}),
    ("pseudonymize", {"identity_id": "people"}),
    ("max_parallel_requests", 0),
]
CASES = [
    *((to_sql, argument, value) for argument, value in TRANSFERS),
    *((to_files, argument, value) for argument, value in TRANSFERS),
    *((sensor, argument, value) for argument, value in SHARED if argument != "report_params"),
    (to_sql, "write_mode", "upsert"),
    (to_sql, "table", 'days"; DROP TABLE x'),
    (to_sql, "table", "None"),
    (to_sql, "load_log_table", "a.b.c.d"),
    (to_sql, "sql_conn_id", None),
    (to_sql, "sql_hook_params", "x"),
    (to_sql, "create_table", "false"),
    (to_sql, "evolve_schema", 0),
    (to_files, "path", " "),
    (to_files, "file_format", "xlsx"),
    (to_files, "object_storage_conn_id", ["a"]),
    (sensor, "settle_hours", "soon"),
]


@pytest.mark.parametrize(("build", "argument", "value"), CASES)
def test_wrong_literal_is_named_when_the_dag_is_parsed(build, argument, value):
    with pytest.raises(We360ConfigError, match=rf"^{argument}\b"):
        build(**{argument: value})


@pytest.mark.parametrize(
    ("build", "argument"),
    sorted(
        {
            (build, argument)
            for build, argument, _ in CASES
            if argument not in {"max_parallel_requests", "create_table", "evolve_schema"}
        },
        key=str,
    ),
)
def test_template_is_left_to_the_run(build, argument):
    build(**{argument: "{{ params.anything }}"})
    build(**{argument: "{% if a %}b{% endif %}"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "summary", "lookback_days": 7},
        {"window_start": "2026-06-01"},
        {"window_start": "2026-06-02", "window_end": "2026-06-01"},
        {"window_start": "2026-06-01", "window_end": "2026-06-01T00:00"},
    ],
)
def test_arguments_that_contradict_each_other_are_named(arguments):
    with pytest.raises(We360ConfigError, match=r"lookback_days|window_"):
        to_sql(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "{{ params.mode }}", "lookback_days": 7},
        {"mode": "summary", "lookback_days": "{{ params.days }}"},
        {"window_start": "2026-06-01", "window_end": "{{ ds }}"},
        {"window_start": "2026-06-01T10:00", "window_end": "2026-06-01T11:00"},
        {"columns": "{{ params.columns }}", "column_types": {"email": "text"}},
        {"columns": ["{{ params.column }}"], "pseudonymize": {"email": "conn:people"}},
        {"report": "{{ params.report }}", "columns": ["whatever"], "report_params": {"x": 1}},
    ],
)
def test_what_a_template_may_settle_is_left_to_the_run(arguments):
    to_sql(**arguments)


def test_misspelled_column_warns_at_the_line_of_the_dag_file():
    with pytest.warns(UserWarning, match="Did you mean 'productive_duration'") as caught:
        to_sql(columns=["productive_duraton", "a_column_of_ours"])
    (warning,) = caught
    assert pathlib.Path(warning.filename).name == pathlib.Path(__file__).name


def test_airflow_shows_a_wrong_literal_as_an_import_error(airflow_db, tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "dag.py").write_text(
        textwrap.dedent(
            """
            from airflow.providers.common.compat.sdk import DAG
            from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

            with DAG("d", schedule=None):
                We360ToSqlOperator(task_id="x", sql_conn_id="w", table="t", write_mode="upsert")
            """
        )
    )
    bag = DagBag(dag_folder=str(tmp_path))
    (error,) = bag.import_errors.values()
    assert "write_mode: 'upsert' is unknown; use one of replace_window, merge, append" in error
