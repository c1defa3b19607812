"""What every report's file must keep to. The files are found by scan."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_we360.client import reports
from airflow_provider_we360.client.extract import parse_extract
from airflow_provider_we360.client.report import Query, Report
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Kind, require_column_names
from support.report_example import NAME, example_report

DAY = dt.date(2026, 4, 1)


@pytest.fixture(params=[*reports.names(), NAME])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Report]:
    """Each report of the package, and the example of the documentation."""
    with example_report(tmp_path):
        yield reports.get(request.param)


def test_a_report_is_called_as_its_file(report: Report) -> None:
    assert report.name in reports.names()
    assert report.path.startswith("/query/")


def test_its_columns_are_names_that_every_warehouse_takes(report: Report) -> None:
    assert require_column_names(report.columns) == tuple(report.columns)
    assert all(column.description for column in report.columns.values())


def test_default_columns_are_known_and_personal_only_in_the_key(report: Report) -> None:
    for mode in report.modes.values():
        assert set(mode.key) <= set(mode.default_columns)
        known = [report.columns[name] for name in mode.default_columns]
        assert [
            column.name for column in known if column.personal and column.name not in mode.key
        ] == []


def test_a_day_slice_carries_its_day_in_the_key(report: Report) -> None:
    for mode in report.modes.values():
        if mode.is_daily:
            assert report.day_column in mode.key
            assert report.columns[report.day_column].kind is Kind.DATE
            assert len(mode.key) == 2


def test_what_is_of_unknown_form_is_text(report: Report) -> None:
    assert [
        column.name
        for column in report.columns.values()
        if not column.confirmed and column.kind is not Kind.TEXT
    ] == []


def test_its_body_is_json_and_says_day_and_page(report: Report) -> None:
    for name, mode in report.modes.items():
        body = report.body(Query(DAY, DAY, name, mode.default_columns, page=3, limit=7))
        assert json.loads(json.dumps(body)) == body
        assert (body["page"], body["limit"]) == (3, 7)
        assert body["start_date"].startswith("2026-04-01")


def test_a_filter_that_it_does_not_take_is_refused_by_name(report: Report) -> None:
    for argument in ("group_ids", "user_ids", "shift_ids"):
        asked = {"window": (DAY, DAY), "mode": next(iter(report.modes)), argument: ["7d1e"]}
        if argument in report.filters:
            assert getattr(parse_extract(report.name, **asked), argument) == ("7d1e",)
            continue
        with pytest.raises(
            We360ConfigError, match=f"{argument}: report '{report.name}' takes no such filter"
        ):
            parse_extract(report.name, **asked)
