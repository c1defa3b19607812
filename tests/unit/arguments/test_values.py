"""Every templated argument accepts what native rendering makes of its obvious template."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, XComArg

from airflow_provider_we360.arguments.literals import build_extract, find_literals
from airflow_provider_we360.arguments.values import (
    is_template,
    read_choice,
    read_flag,
    read_hours,
    read_mapping,
    read_names,
    read_required_text,
    read_text,
)
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.sinks.base import OnEmpty
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from airflow_provider_we360.window import RunFacts, resolve_window

DAY = dt.date(2026, 11, 1)
ID = "0b6e9c1e-6f0e-4c5e-9a55-0d8f7f0a1b2c"
CONTEXT = {
    "ds": "2026-11-01",
    "ds_nodash": "20261101",
    "moment": pendulum.datetime(2026, 11, 1, 19, tz="UTC"),
    "params": {
        "none": None,
        "empty": "",
        "days": 7,
        "names": ["email", "punch_in"],
        "name_set": {"punch_in", "email"},
        "ids": [ID],
        "types": {"employee_id": "bigint"},
        "keys": {"email": "conn:people"},
        "zone": ZoneInfo("Asia/Kolkata"),
        "conn": 42,
        "path": pathlib.Path("/data/we360"),
        "uuid": uuid.UUID(ID),
    },
}


def render(native: bool, **arguments):
    """Return an operator whose templates Airflow has rendered."""
    kind = We360ToObjectStorageOperator if "path" in arguments else We360ToSqlOperator
    target = {} if "path" in arguments else {"sql_conn_id": "w", "table": "t"}
    with DAG(
        "d",
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1),
        render_template_as_native_obj=native,
    ) as dag:
        operator = kind(task_id="load", **(target | arguments))
    operator.render_template_fields(CONTEXT, dag.get_template_env())
    return operator


def extract_of(operator):
    values = {
        name: getattr(operator, name)
        for name in ("report", "mode", "columns", "user_ids", "column_types", "report_params")
    }
    return build_extract(values, (DAY, DAY))


def window_of(operator):
    return resolve_window(
        RunFacts(),
        window_start=operator.window_start,
        window_end=operator.window_end,
        timezone=operator.timezone or "Asia/Kolkata",
        lookback_days=operator.lookback_days,
    )


ONE_DAY, WEEK = (DAY, DAY), (DAY - dt.timedelta(days=7), DAY)


@pytest.mark.parametrize("native", [True, False], ids=["native", "text"])
@pytest.mark.parametrize(
    ("start", "end", "more", "window"),
    [
        ("{{ ds }}", "{{ ds }}", {}, ONE_DAY),
        ("{{ ds_nodash }}", "{{ ds_nodash }}", {}, ONE_DAY),
        ("20261101", "20261101", {}, ONE_DAY),
        ("{{ ds }}", "{{ ds }}", {"lookback_days": "{{ params.days }}"}, WEEK),
        ("{{ ds }}", "{{ ds }}", {"lookback_days": "{{ params.none }}"}, ONE_DAY),
        ("{{ ds }}", "{{ ds }}", {"lookback_days": "{{ params.empty }}"}, ONE_DAY),
        ("{{ ds }}", "{{ ds }}", {"timezone": "{{ params.zone }}"}, ONE_DAY),
        ("{{ moment.subtract(days=1) }}", "{{ moment }}", {}, ONE_DAY),
        ("{{ moment.date() }}", "{{ moment.date() }}", {}, ONE_DAY),
    ],
)
def test_window_templates_render_to_a_window(native, start, end, more, window):
    operator = render(native, window_start=start, window_end=end, **more)
    assert window_of(operator) == window


@pytest.mark.parametrize(
    ("native", "argument", "template", "expected"),
    [
        (True, "columns", "{{ params.names }}", ["email", "punch_in"]),
        (False, "columns", "{{ params.names }}", ["email", "punch_in"]),
        (False, "columns", "{{ params.names | tojson }}", ["email", "punch_in"]),
        (True, "columns", "{{ params.name_set }}", ["email", "punch_in"]),
        (False, "columns", "{{ params.name_set }}", ["email", "punch_in"]),
        (True, "columns", "{{ params.names[0], params.names[1] }}", ["email", "punch_in"]),
        (True, "columns", ["{{ params.names[0] }}", "punch_in"], ["email", "punch_in"]),
    ],
)
def test_column_templates_render_to_columns(native, argument, template, expected):
    operator = render(native, **{argument: template})
    names = [column.name for column in extract_of(operator).columns]
    assert names == ["attendance_date", "identity_id", *expected]


@pytest.mark.parametrize("native", [True, False], ids=["native", "text"])
def test_missing_columns_are_the_default_or_an_error(native):
    """Text that rendered to "None" is refused: it is not clear that no columns were meant."""
    operator = render(native, columns="{{ params.none }}")
    if native:
        assert len(extract_of(operator).columns) == 18
    else:
        with pytest.raises(We360ConfigError, match="columns"):
            extract_of(operator)


@pytest.mark.parametrize(
    ("native", "template"),
    [
        (True, "{{ params.ids }}"),
        (False, "{{ params.ids }}"),
        (False, "{{ params.ids | tojson }}"),
        (False, "{{ params.ids | join(',') }}"),
        (True, "{{ params.ids | join(',') }}"),
        (True, "{{ params.uuid }}"),
        (True, ["{{ params.uuid }}"]),
        (False, "{{ params.uuid }}"),
    ],
)
def test_id_templates_render_to_ids(native, template):
    assert extract_of(render(native, user_ids=template)).user_ids == (ID,)


def test_ids_that_render_to_nothing_are_no_filter_only_natively():
    assert extract_of(render(True, user_ids="{{ params.none }}")).user_ids == ()
    assert extract_of(render(False, user_ids="{{ params.empty }}")).user_ids == ()
    with pytest.raises(We360ConfigError, match="user_ids"):
        extract_of(render(False, user_ids="{{ params.none }}"))


@pytest.mark.parametrize("native", [True, False], ids=["native", "text"])
@pytest.mark.parametrize(
    ("template", "kind"),
    [
        ("{{ params.types }}", "bigint"),
        ("{{ params.types | tojson }}", "bigint"),
        ("{{ params.none }}", "text"),
    ],
)
def test_column_type_templates_render_to_types(native, template, kind):
    operator = render(native, columns=["employee_id"], column_types=template)
    assert extract_of(operator).columns[-1].kind.value == kind


@pytest.mark.parametrize("native", [True, False], ids=["native", "text"])
@pytest.mark.parametrize("argument", ["report", "mode", "on_empty", "write_mode"])
def test_choices_that_render_to_nothing_are_the_default(native, argument):
    operator = render(native, **{argument: "{{ params.none }}"})
    assert extract_of(operator).mode_name == "detailed"
    assert operator._plan_fields()["on_empty"] == "fail"
    assert operator._plan_fields()["write_mode"] == "replace_window"


@pytest.mark.parametrize("native", [True, False], ids=["native", "text"])
@pytest.mark.parametrize("argument", ["we360_conn_id", "sql_conn_id", "table"])
def test_required_text_that_renders_to_nothing_is_named(native, argument):
    operator = render(native, **{argument: "{{ params.none }}"})
    with pytest.raises(We360ConfigError, match=rf"^{argument}: is empty, or a template rendered"):
        read_required_text(getattr(operator, argument), argument, "it")


@pytest.mark.parametrize("native", [True, False], ids=["native", "text"])
def test_numbers_and_paths_are_read_as_text(native):
    assert read_text(render(native, sql_conn_id="{{ params.conn }}").sql_conn_id, "x") == "42"
    assert read_text(render(native, path="{{ params.path }}").path, "path") == "/data/we360"


@pytest.mark.parametrize(
    ("value", "template"),
    [
        ("{{ ds }}", True),
        ("{% if x %}a{% endif %}", True),
        ("plain", False),
        (["a", "{{ ds }}"], True),
        (("a", "b"), False),
        ({"a": "{{ ds }}"}, True),
        ({"a": {"b": ["{{ ds }}"]}}, True),
        (lambda context, jinja_env: "x", True),
        (7, False),
        (None, False),
        (dt.date(2026, 1, 1), False),
        (ZoneInfo("Asia/Kolkata"), False),
        (pathlib.Path("/data"), False),
    ],
)
def test_templates_are_recognized(value, template):
    assert is_template(value) is template


def test_references_to_other_tasks_are_templates():
    with DAG("d", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
        first = We360ToSqlOperator(task_id="first", sql_conn_id="w", table="t")
        output: Any = XComArg(first)
        assert is_template(output)
        assert is_template([output["window"]])
        We360ToSqlOperator(
            task_id="second",
            sql_conn_id="w",
            table="t",
            columns=XComArg(first, "columns"),
            window_start=output["window"],
            window_end=output["window"],
            lookback_days=XComArg(first),
            pseudonymize=XComArg(first),
        )


@pytest.mark.parametrize("value", [{"a": 1}, 1.5, True, [1.5], [None], ["a", {}], object()])
def test_names_of_other_types_are_named(value):
    with pytest.raises(We360ConfigError, match=r"^user_ids: expected a list of text"):
        read_names(value, "user_ids")


@pytest.mark.parametrize("value", ["x=1", "[1]", 7, ["a"], {1: "a"}])
def test_mappings_of_other_types_are_named(value):
    with pytest.raises(We360ConfigError, match=r"^report_params: expected a mapping"):
        read_mapping(value, "report_params")


@pytest.mark.parametrize("value", [True, 1.5, ["a"], {}, object()])
def test_text_of_other_types_is_named(value):
    with pytest.raises(We360ConfigError, match=r"^table: expected text"):
        read_text(value, "table")


@pytest.mark.parametrize("value", ["false", 0, 1, None, "{{ params.x }}"])
def test_flags_of_other_types_are_named(value):
    with pytest.raises(We360ConfigError, match=r"^create_table: expected True or False"):
        read_flag(value, "create_table")


def test_unknown_choice_lists_the_choices():
    with pytest.raises(We360ConfigError, match="on_empty: 'ignore' is unknown; use one of fail"):
        read_choice(OnEmpty, "ignore", "on_empty", OnEmpty.FAIL)


@pytest.mark.parametrize(("value", "hours"), [(None, 11.5), ("None", 11.5), ("2", 2.0), (0, 0.0)])
def test_hours_are_read(value, hours):
    assert read_hours(value, "settle_hours", 11.5) == hours


def test_huge_nested_text_is_refused_not_a_crash():
    with pytest.raises(We360ConfigError, match="report_params"):
        read_mapping("[" * 100_000, "report_params")


def test_json_text_is_read_like_the_object():
    assert read_mapping(json.dumps({"a": [1, None]}), "report_params") == {"a": [1, None]}


def test_own_jinja_delimiters_leave_all_arguments_to_the_run():
    with DAG(
        "d",
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1),
        jinja_environment_kwargs={"variable_start_string": "<<", "variable_end_string": ">>"},
    ):
        operator = We360ToSqlOperator(task_id="x", sql_conn_id="w", table="<< params.table >>")
        We360ReportSensor(task_id="y", settle_hours="<< params.hours >>")
    assert find_literals(operator, ("table",)) == {}
