"""The log of a load, as someone on call reads it: a short report, and how far a failed load came."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import defaultdict
from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_we360.errors import EmptyDayRefused, RequestRejected
from airflow_provider_we360.transfers import base
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

NOON = dt.datetime(2026, 6, 3, 6, 30, tzinfo=dt.UTC)
LINE = re.compile(
    r"\[(?:info|warning) *\] (.*?) *\[airflow\.task\.operators\.airflow_provider_we360\.transfers"
)


class Report:
    """Runs transfers and reads the lines they log, with what differs from run to run as ``N``."""

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
                re.sub(
                    r"\d+ requests?(, \d+ of them to verify completeness)?|[\d.]+ s\b", "N", line
                )
                for line in self._logged()
            ]
        return self.lines

    def _logged(self):
        # Airflow's tasks log with structlog, before 3.2 with logging.
        printed = LINE.findall(self._capsys.readouterr().out)
        logged = [
            record.getMessage() for record in self._caplog.records if ".transfers." in record.name
        ]
        return [line for line in printed or logged if "outside" not in line]


@pytest.fixture
def report(capsys, caplog, monkeypatch):
    # The transfer's clock stands still: on a busy machine a line of progress would come between.
    monkeypatch.setattr(base, "time", SimpleNamespace(monotonic=lambda: 0.0))
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
def test_log_shows_window_reason_source_target_and_changes(sandbox, report, duckdb_file):
    report(to_duckdb(window_start="2026-06-02", window_end="2026-06-02"))
    with duckdb.connect(str(duckdb_file)) as database:
        database.execute("DELETE FROM days WHERE identity_id = (SELECT min(identity_id) FROM days)")
    lines = report(to_duckdb(lookback_days=1))
    came = {
        day: len(sandbox.company.rows(dt.date(2026, 6, day), dt.date(2026, 6, day)))
        for day in (1, 2)
    }
    assert lines == [
        "Window: 2026-06-01 to 2026-06-02 (2 days, Asia/Kolkata)",
        (
            "Reason: yesterday, as of run_after 2026-06-03 12:00+05:30;"
            " and 1 day before it (lookback_days)"
        ),
        (
            "Source: Connection we360_default, report dynamic_report, mode detailed,"
            " 18 columns, no filters"
        ),
        (
            "Target: table days of Connection duckdb_default, write_mode replace_window,"
            " on_empty fail"
        ),
        (
            f"Loaded {came[1] + came[2]} rows for 2 days into days"
            f" (replaced {came[2] - 1}, changed {came[1] + 1}) in N"
        ),
        "Sent N",
        "Rows per day, before -> now:",
        f"  2026-06-01: 0 -> {came[1]}",
        f"  2026-06-02: {came[2] - 1} -> {came[2]}",
    ]


@pytest.mark.usefixtures("sandbox")
def test_long_window_lists_only_days_whose_number_changed(report, duckdb_file):
    june = {"window_start": "2026-06-01", "window_end": "2026-06-30"}
    first = report(to_duckdb(**june))
    with duckdb.connect(str(duckdb_file)) as database:
        days = database.execute(
            "SELECT attendance_date, count(*) FROM days GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        day, count = days[0]
        database.execute(
            "DELETE FROM days WHERE attendance_date = ? AND identity_id ="
            " (SELECT max(identity_id) FROM days WHERE attendance_date = ?)",
            (day, day),
        )
    assert len([line for line in first if re.fullmatch(r"  2026-06-\d\d: 0 -> \d+", line)]) == 10
    assert f"  {len(days) - 10} more days" in first
    if len(days) < 30:
        assert first[-1] == f"  {30 - len(days)} days with the same number as before"
    assert report(to_duckdb(**june))[-3:] == [
        "Rows per day, before -> now:",
        f"  {day}: {count - 1} -> {count}",
        "  29 days with the same number as before",
    ]


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
    assert lines[2:5] == [
        (
            "Source: Connection we360_default, report dynamic_report, mode detailed,"
            " 4 columns, 1 user_ids"
        ),
        f"Target: files in {tmp_path}, file_format parquet, on_empty fail",
        "Personal columns loaded in plain text: email",
    ]
    assert person not in "".join(lines)
    assert lines[-1] == "  2026-06-01: 0 -> 1"


@pytest.mark.usefixtures("duckdb_file")
def test_failed_load_says_how_far_it_came(sandbox, report):
    days = {"window_start": "2026-06-01", "window_end": "2026-06-02"}
    report(to_duckdb(**days))
    sandbox.identity.change_account(sees=())
    with pytest.raises(EmptyDayRefused, match="on_empty"):
        report(to_duckdb(**days))
    assert report.lines[-1] == "The load failed after N; fetched 2 of 2 days (0 rows) with N"


@pytest.mark.usefixtures("sandbox", "duckdb_file")
def test_misspelled_column_is_named_before_the_server_refuses_it(report):
    with (
        pytest.warns(UserWarning, match="online_duraton.*Did you mean 'online_duration'"),
        pytest.raises(RequestRejected, match="online_duraton"),
    ):
        report(
            to_duckdb(
                columns=["online_duraton"], window_start="2026-06-01", window_end="2026-06-01"
            )
        )
    assert any("Did you mean 'online_duration'?" in line for line in report.lines)


@pytest.mark.usefixtures("sandbox", "duckdb_file")
@pytest.mark.parametrize(
    ("facts", "arguments", "reason"),
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
            "yesterday, as of logical_date 2026-06-03 12:00+05:30",
        ),
        (
            {
                "triggering_asset_events": {
                    "a": [SimpleNamespace(extra={"window": ["2026-06-01", "2026-06-01"]})]
                }
            },
            {},
            "the window of 1 triggering asset event",
        ),
    ],
)
def test_log_says_what_decided_the_window(report, facts, arguments, reason):
    assert report(to_duckdb(**arguments), **facts)[1] == f"Reason: {reason}"
