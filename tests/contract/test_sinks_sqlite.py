"""What is SQLite's own: one file, one writer, few types."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.sinks.registry import sink_for
from support.engines import SQLite
from support.loads import batch, day, load, row, rows


@pytest.fixture
def lite(tmp_path: Path) -> SQLite:
    return SQLite(tmp_path)


def test_a_database_in_memory_is_refused(lite: SQLite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        f"AIRFLOW_CONN_{lite.conn_id.upper()}",
        json.dumps({"conn_type": "sqlite", "host": ":memory:"}),
    )
    with pytest.raises(
        We360ConfigError, match=f"sql_conn_id: SQLite Connection '{lite.conn_id}' .* memory"
    ):
        lite.load("attendance", load(), rows(1, 1))


@pytest.mark.parametrize("name", ["hr.attendance", "main.main.attendance", "temp.attendance"])
def test_schemas_are_refused_as_there_are_none(lite: SQLite, name: str) -> None:
    with pytest.raises(We360ConfigError, match=r"table: .* write 'attendance'"):
        lite.sink(name)


def test_main_is_the_schema_that_there_is(lite: SQLite) -> None:
    assert lite.load("main.attendance", load(), rows(1, 1)).rows == 1


def test_days_and_moments_are_iso_text_that_sorts_as_time_does(lite: SQLite) -> None:
    import datetime as dt

    punches = [dt.datetime(2026, 4, 1, 9, 0), dt.datetime(2026, 4, 1, 9, 0, 0, 500000)]
    lite.load(
        "attendance",
        load(),
        [row(1, number, punch_in=punch) for number, punch in enumerate(punches)],
    )
    found = lite.execute(
        "SELECT attendance_date, punch_in, _we360_loaded_at FROM attendance ORDER BY punch_in"
    )
    assert found == [
        ("2026-04-01", "2026-04-01 09:00:00", "2026-05-01 03:04:05.678901"),
        ("2026-04-01", "2026-04-01 09:00:00.500000", "2026-05-01 03:04:05.678901"),
    ]


def test_numbers_lie_there_as_numbers(lite: SQLite) -> None:
    lite.load("attendance", load(), rows(1, 1, note="007", seconds=7, percent=7.0))
    assert lite.execute(
        "SELECT typeof(note), typeof(seconds), typeof(percent) FROM attendance"
    ) == [("text", "integer", "real")]


@pytest.mark.parametrize(
    ("declared", "fits"), [("NUMERIC", False), ("INT", False), ("VARCHAR(20)", True), ("", True)]
)
def test_a_column_that_would_turn_text_into_numbers_is_refused(
    lite: SQLite, declared: str, fits: bool
) -> None:
    lite.execute(
        f"CREATE TABLE attendance (attendance_date DATE, identity_id TEXT, note {declared})"
    )
    if fits:
        lite.load("attendance", load(), rows(1, 1, note="007"))
        assert lite.execute("SELECT note FROM attendance") == [("007",)]
        return
    with pytest.raises(We360ConfigError, match="column 'note'"):
        lite.load("attendance", load(), rows(1, 1, note="007"))


def test_a_writer_is_waited_for(lite: SQLite) -> None:
    lite.load("attendance", load(), rows(1, 1))
    writer = lite.hook().get_conn()
    writer.isolation_level = None
    with closing(writer):
        writer.execute("BEGIN IMMEDIATE")
        done: list[int] = []
        loading = threading.Thread(
            target=lambda: done.append(lite.load("attendance", load(), rows(1, 2)).rows)
        )
        loading.start()
        loading.join(0.6)
        assert done == []
        writer.execute("COMMIT")
        loading.join(20)
    assert done == [2]


def test_a_writer_that_never_ends_ends_the_wait(lite: SQLite) -> None:
    lite.load("attendance", load(), rows(1, 1))
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 300

    with closing(lite.hook().get_conn()) as writer:
        writer.isolation_level = None
        writer.execute("BEGIN IMMEDIATE")
        sink = sink_for(
            lite.hook(), "attendance", conn_id=lite.conn_id, sleep=sleep, clock=lambda: now
        )
        with pytest.raises(SinkBusy, match="SQLite file"):
            sink.load(load(window=(day(1), day(1))), [batch(rows(1, 2))])
    assert len(lite.rows("attendance")) == 1


def test_a_path_without_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="folder exists"):
        SQLite(tmp_path / "absent").load("attendance", load(), rows(1, 1))


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    lite = SQLite(tmp_path)
    lite.path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(SinkError, match="no SQLite database"):
        lite.load("attendance", load(), rows(1, 1))
