"""The log of a load, as somebody on call reads it: a short report, and after a failure what to do next."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import defaultdict
from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

NOON = dt.datetime(2026, 6, 3, 6, 30, tzinfo=dt.UTC)
LINE = re.compile(
    r"\[(?:info|warning) *\] (.*?) *\[airflow\.task\.operators\.airflow_provider_we360\.transfers"
)


class Report:
    """Runs transfers, and reads the lines that they write by themselves, with what differs from run to run as ``N``."""

    def __init__(self, capsys, caplog):
        self._capsys = capsys
        self._caplog = caplog
        self.lines = []

    def __call__(self, operator, **facts):
        context = {
            "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id="manual", map_index=-1),
            "dag_run": SimpleNamespace(run_after=NOON, start_date=NOON),
            "outlet_events": defaultdict(lambda: SimpleNamespace(extra={})),
            **facts,
        }
        self._capsys.readouterr()
        self._caplog.clear()
        try:
            operator.execute(context)
        finally:
            self.lines = [
                re.sub(r"\d+ request\(s\)|[\d.]+ s\b", "N", line) for line in self._said()
            ]
        return self.lines

    def _said(self):
        # Airflow's tasks write by structlog, before 3.2 by logging.
        printed = LINE.findall(self._capsys.readouterr().out)
        logged = [
            record.getMessage() for record in self._caplog.records if ".transfers." in record.name
        ]
        return [line for line in printed or logged if "outside" not in line]


@pytest.fixture
def report(capsys, caplog):
    tasks = logging.getLogger("airflow.task")
    if not tasks.propagate:
        tasks.addHandler(caplog.handler)
    level = tasks.level
    tasks.setLevel(logging.INFO)
    yield Report(capsys, caplog)
    tasks.setLevel(level)
    tasks.removeHandler(caplog.handler)


def to_duckdb(**arguments):
    return We360ToSqlOperator(
        task_id="load", sql_conn_id="duckdb_default", table="days", **arguments
    )


@pytest.mark.usefixtures("duckdb_file")
def test_it_says_what_was_asked_why_these_days_where_to_and_what_changed(
    sandbox, report, duckdb_file
):
    report(to_duckdb(window_start="2026-06-02", window_end="2026-06-02"))
    with duckdb.connect(str(duckdb_file)) as database:
        database.execute("DELETE FROM days WHERE identity_id = (SELECT min(identity_id) FROM days)")
    lines = report(to_duckdb(lookback_days=1))
    came = {
        day: len(sandbox.company.rows(dt.date(2026, 6, day), dt.date(2026, 6, day)))
        for day in (1, 2)
    }
    assert lines == [
        (
            "We360 report dynamic_report, detailed, days 2026-06-01 to 2026-06-02 (Asia/Kolkata): "
            "yesterday, seen from the run's run_after, 2026-06-03 12:00+05:30; and 1 day(s) before, by lookback_days"
        ),
        (
            "From Connection we360_default: 2 slice(s), 18 columns, no filter. "
            "Into table days of Connection duckdb_default, replace_window, on_empty fail"
        ),
        f"Landed {came[1] + came[2]} rows of 2 slice(s) in days: {came[2] - 1} rows replaced, N, N",
        f"Rows a day, before -> now: 2026-06-01 0 -> {came[1]}, 2026-06-02 {came[2] - 1} -> {came[2]}",
    ]


@pytest.mark.usefixtures("sandbox")
def test_of_a_long_window_only_days_whose_number_changed_are_told_one_by_one(report, duckdb_file):
    june = {"window_start": "2026-06-01", "window_end": "2026-06-30"}
    first = report(to_duckdb(**june))[-1]
    with duckdb.connect(str(duckdb_file)) as database:
        days = database.execute(
            "SELECT attendance_date, count(*) FROM days GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        day, count = days[0]
        database.execute(
            "DELETE FROM days WHERE attendance_date = ? AND identity_id = (SELECT max(identity_id) FROM days"
            " WHERE attendance_date = ?)",
            (day, day),
        )
    empty = f", {30 - len(days)} day(s) with as many as before" if len(days) < 30 else ""
    assert len(re.findall(r"2026-06-\d\d 0 -> \d", first)) == 10
    assert first.endswith(f", {len(days) - 10} more day(s){empty}")
    again = report(to_duckdb(**june))[-1]
    assert (
        again
        == f"Rows a day, before -> now: {day} {count - 1} -> {count}, 29 day(s) with as many as before"
    )


def test_filters_are_counted_and_personal_columns_named(sandbox, report, tmp_path):
    person = sandbox.company.rows(dt.date(2026, 6, 1), dt.date(2026, 6, 1))[0]["identity_id"]
    lines = report(
        We360ToObjectStorageOperator(
            task_id="load",
            path=str(tmp_path),
            columns=["email", "online_duration"],
            user_ids=[person],
            window_start="2026-06-01",
            window_end="2026-06-01",
        )
    )
    assert lines[1:3] == [
        (
            f"From Connection we360_default: 1 slice(s), 4 columns, 1 user_ids. Into files in {tmp_path}, parquet, on_empty fail"
        ),
        "Personal columns loaded in clear: email",
    ]
    assert person not in "".join(lines)
    assert lines[-1] == "Rows a day, before -> now: 2026-06-01 0 -> 1"


@pytest.mark.usefixtures("duckdb_file")
def test_a_load_that_fails_says_how_far_it_had_come_before_the_error_says_what_to_do(
    sandbox, report
):
    days = {"window_start": "2026-06-01", "window_end": "2026-06-02"}
    report(to_duckdb(**days))
    sandbox.identity.change_account(sees=())
    with pytest.raises(EmptyDayRefused, match="on_empty"):
        report(to_duckdb(**days))
    assert report.lines[-1] == "Given up with 2 of 2 slice(s) read, 0 rows, N, after N"


@pytest.mark.usefixtures("sandbox", "duckdb_file")
@pytest.mark.parametrize(
    ("facts", "arguments", "why"),
    [
        (
            {},
            {"window_start": "2026-06-01", "window_end": "2026-06-01"},
            "window_start and window_end",
        ),
        (
            {"data_interval_start": NOON - dt.timedelta(days=1), "data_interval_end": NOON},
            {},
            "the run's data interval, 2026-06-02 12:00+05:30 to 2026-06-03 12:00+05:30",
        ),
        ({"partition_date": dt.date(2026, 6, 1)}, {}, "the run's partition"),
        (
            {"logical_date": NOON},
            {},
            "yesterday, seen from the run's logical_date, 2026-06-03 12:00+05:30",
        ),
        (
            {
                "triggering_asset_events": {
                    "a": [SimpleNamespace(extra={"window": ["2026-06-01", "2026-06-01"]})]
                }
            },
            {},
            "the window of 1 triggering asset event(s)",
        ),
    ],
)
def test_it_says_what_decided_the_window(report, facts, arguments, why):
    assert report(to_duckdb(**arguments), **facts)[0].endswith(f"(Asia/Kolkata): {why}")
