"""What is DuckDB's own: the file, who holds it, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks.registry import sink_for
from support.engines import DuckDB
from support.loads import batch, day, load, rows

HOLD = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def duck(tmp_path: Path) -> DuckDB:
    return DuckDB(tmp_path)


def held_for(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that has the file open."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


@pytest.mark.parametrize(
    "connection",
    [{}, {"host": ":memory:"}, {"host": "", "extra": json.dumps({"database": ":memory:"})}],
)
def test_a_database_in_memory_is_refused_before_a_row_is_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: dict[str, str]
) -> None:
    duck = DuckDB(tmp_path)
    monkeypatch.setenv(
        f"AIRFLOW_CONN_{duck.conn_id.upper()}", json.dumps({"conn_type": "duckdb", **connection})
    )
    with pytest.raises(
        We360ConfigError, match=f"sql_conn_id: DuckDB Connection '{duck.conn_id}' .* memory"
    ):
        duck.sink("attendance")


def test_the_default_connection_that_is_missing_is_memory_too() -> None:
    from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

    with pytest.raises(
        We360ConfigError, match="sql_conn_id: DuckDB Connection 'duckdb_default' is missing"
    ):
        sink_for(
            DuckDBHook(),
            "attendance",
            conn_id="duckdb_default",
            sleep=time.sleep,
            clock=time.monotonic,
        )


def test_motherduck_is_refused_and_its_token_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duck = DuckDB(tmp_path)
    connection = {"conn_type": "duckdb", "schema": "mine", "password": "secret-token"}
    monkeypatch.setenv(f"AIRFLOW_CONN_{duck.conn_id.upper()}", json.dumps(connection))
    with pytest.raises(We360ConfigError, match="MotherDuck") as caught:
        duck.sink("attendance")
    assert "secret-token" not in str(caught.value)


def test_a_read_only_connection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(We360ConfigError, match="read_only"):
        DuckDB(tmp_path, read_only=True).sink("attendance")


def test_the_file_is_free_while_we360_is_asked(duck: DuckDB) -> None:
    def looking_in_from_elsewhere() -> Iterator[RowBatch]:
        look = [
            sys.executable,
            "-c",
            "import duckdb, sys; duckdb.connect(sys.argv[1])",
            str(duck.path),
        ]
        subprocess.run(look, check=True)
        yield batch(rows(1, 1))

    assert duck.sink("attendance").load(load(), looking_in_from_elsewhere()).rows == 1
    subprocess.run(
        [sys.executable, "-c", "import duckdb, sys; duckdb.connect(sys.argv[1])", str(duck.path)],
        check=True,
    )


def test_a_file_that_another_process_holds_is_waited_for(duck: DuckDB) -> None:
    other = held_for(duck.path, 0.5)
    assert duck.load("attendance", load(), rows(1, 2)).rows == 2
    assert other.wait() == 0


def test_a_file_that_stays_held_ends_the_wait(
    duck: DuckDB, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += 30 * seconds

    other = held_for(duck.path, 60)
    try:
        sink = sink_for(
            duck.hook(), "attendance", conn_id=duck.conn_id, sleep=sleep, clock=lambda: now
        )
        with (
            caplog.at_level("INFO"),
            pytest.raises(
                SinkBusy, match=r"warehouse\.duckdb was held by other sessions for 600 s"
            ),
        ):
            sink.load(load(), [batch(rows(1, 2))])
    finally:
        other.kill()
        other.wait()
    assert 10 < sum("Waiting for" in message for message in caplog.messages) <= 40
    assert duck.load("attendance", load(), rows(1, 2)).rows == 2


def test_a_schema_is_never_made_up(duck: DuckDB) -> None:
    with pytest.raises(
        SinkError, match=r"schema of hr\.attendance does not exist .* CREATE SCHEMA"
    ):
        duck.load("hr.attendance", load(), rows(1, 1))
    duck.execute("CREATE SCHEMA hr")
    assert duck.load("hr.attendance", load(), rows(1, 1)).where == "hr.attendance"
    assert duck.load("warehouse.hr.attendance", load(), rows(1, 1)).rows_removed == 1


def test_a_database_that_is_not_the_connected_one_is_refused(duck: DuckDB) -> None:
    with pytest.raises(We360ConfigError, match=r"names database 'other', but .* opens 'warehouse'"):
        duck.load("other.main.attendance", load(), rows(1, 1))


def test_a_path_without_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Check that the path exists"):
        DuckDB(tmp_path / "absent").load("attendance", load(), rows(1, 1))


def test_a_number_too_large_for_its_column_is_not_shown(duck: DuckDB) -> None:
    duck.execute(
        "CREATE TABLE attendance (attendance_date DATE, identity_id VARCHAR, seconds INTEGER)"
    )
    with pytest.raises(SinkError, match=r"[Ww]iden the column") as caught:
        duck.load("attendance", load(), rows(1, 1, seconds=2**40))
    assert str(2**40) not in str(caught.value)
    assert duck.load("attendance", load(), rows(1, 1, seconds=5)).rows == 1


def test_table_and_columns_are_commented(duck: DuckDB) -> None:
    duck.load("attendance", load(), rows(1, 1))
    assert duck.execute(
        "SELECT comment FROM duckdb_columns() WHERE column_name IN ('note', 'seconds') ORDER BY column_name"
    ) == [
        ("It's text",),
        ("Seconds",),
    ]
    assert (
        "dynamic_report"
        in duck.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'attendance'")[0][0]
    )


def test_instants_can_be_read_without_a_zone_database(duck: DuckDB) -> None:
    duck.load("attendance", load(), rows(1, 1))
    assert duck.execute(
        "SELECT data_type FROM duckdb_columns() WHERE column_name = '_we360_loaded_at'"
    ) == [("TIMESTAMP",)]


def test_another_connection_in_the_process_sees_whole_loads(duck: DuckDB) -> None:
    duck.load("attendance", load(window=(day(1), day(1))), rows(1, 2))
    with closing(duck.hook().get_conn()) as reader:

        def counted() -> object:
            return reader.execute("SELECT count(*) FROM attendance").fetchall()[0][0]

        assert counted() == 2
        duck.load("attendance", load(window=(day(1), day(1))), rows(1, 3))
        assert counted() == 3
