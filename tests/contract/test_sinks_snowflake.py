"""Snowflake's own ways, as far as its stand-in goes: which statements, in which order, and what errors become."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360Error
from airflow_provider_we360.sinks.registry import sink_for
from airflow_provider_we360.sinks.session import DbSession, DriverFailure
from airflow_provider_we360.sinks.warehouses import snowflake as plug_in
from support import loads
from support.loads import batch, load, merge, rows
from support.snowflake_engine import Snowflake

pytestmark = pytest.mark.clouds


@pytest.fixture
def snow(snowflake_service: dict[str, Any]) -> Snowflake:
    return Snowflake(snowflake_service)


def watched(snow: Snowflake, seen: list[str]) -> Any:
    hook = snow.hook_with(
        lambda sql: seen.append(re.sub(r"[0-9A-Fa-f]{12}|DB_\w{8}|/\S+/", "*", sql))
    )
    return sink_for(
        hook, "attendance", conn_id=snow.conn_id, sleep=time.sleep, clock=time.monotonic
    )


def test_a_load_is_these_statements_in_this_order(snow: Snowflake) -> None:
    snow.load("attendance", load(), rows(1, 2))
    seen: list[str] = []
    watched(snow, seen).load(load(), [batch(rows(1, 3))])
    verbs = [" ".join(sql.split()[:3]) for sql in seen]
    assert verbs == [
        'USE SCHEMA "*"."S"',
        "SELECT 1",  # ALTER SESSION SET, which the stand-in does not know
        "SELECT column_name, data_type,",
        "CREATE TABLE IF",
        "SELECT 1 FROM",
        'CREATE TABLE "*"."S"."_WE360_STG_*"',  # TEMPORARY, but for the stand-in
        "CREATE TEMPORARY STAGE",
        "PUT 'file:*00001.parquet' @_we360_stage_*",
        'COPY INTO "*"."S"."_WE360_STG_*"',
        "BEGIN",
        'UPDATE "*"."S"."_WE360_LOCK" SET',
        'SELECT "ATTENDANCE_DATE", count(*),',  # and when its newest rows were requested
        'SELECT "ATTENDANCE_DATE", count(*)',
        'DELETE FROM "*"."S"."ATTENDANCE"',
        'INSERT INTO "*"."S"."ATTENDANCE"',
        'SELECT "ATTENDANCE_DATE", count(*)',
        "SHOW PRIMARY KEYS",
        "SELECT 1 FROM",
        "COMMIT",
    ]


def test_a_lock_queue_overflow_retries_the_transaction_only(
    snow: Snowflake,
) -> None:
    import snowflake.connector.errors as driver

    snow.load("attendance", load(), rows(1, 2, note="old"))
    refused, seen = iter(range(2)), []

    def watch(sql: str) -> None:
        seen.append(sql.split(maxsplit=1)[0])
        if sql.startswith("UPDATE") and next(refused, None) is not None:
            raise driver.ProgrammingError(
                msg="the number of waiters for this lock exceeds the 20 statements limit",
                errno=625,
                sqlstate="57014",
            )

    sink = sink_for(
        snow.hook_with(watch),
        "attendance",
        conn_id=snow.conn_id,
        sleep=lambda seconds: None,
        clock=time.monotonic,
    )
    result = sink.load(load(), [batch(rows(1, 3, note="new"))])
    assert (result.rows, result.rows_removed) == (3, 2)
    assert [one["note"] for one in snow.rows("attendance")] == ["new"] * 3
    assert [seen.count(verb) for verb in ("COPY", "BEGIN", "ROLLBACK", "COMMIT")] == [1, 3, 2, 1]


def test_rows_travel_in_parts_of_bounded_size(
    snow: Snowflake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_in, "PART_BYTES", 100)
    seen: list[str] = []
    watched(snow, seen).load(load(), [batch(rows(number, 40)) for number in range(1, 5)])
    assert sum(sql.startswith("PUT") for sql in seen) == 4
    assert sum(sql.startswith("COPY") for sql in seen) == 1
    assert len(snow.rows("attendance")) == 160


def test_no_file_stays_on_the_worker(snow: Snowflake, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, young = tmp_path / "we360-snowflake-old", tmp_path / "we360-snowflake-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "00001.parquet").write_bytes(b"rows")
    at = loads.LOADED_AT.timestamp()
    os.utime(old, (0, at - 2 * 86400))
    os.utime(young, (0, at - 3600))
    snow.load("attendance", load(), rows(1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["we360-snowflake-young"]


@pytest.fixture
def session(snow: Snowflake) -> Iterator[DbSession]:
    with plug_in.connect(snow.sink("attendance").target) as session:
        yield session


@pytest.mark.parametrize(
    ("errno", "sqlstate", "text", "kind", "words"),
    [
        (
            625,
            "57014",
            "Statement 'x' has locked table",
            SinkBusy,
            "another session held or changed attendance",
        ),
        (100072, "22000", "NULL result in a non-nullable column", SinkError, "takes no NULL"),
        (
            100038,
            "22018",
            "Numeric value 'meera.canary' is not recognized",
            SinkError,
            "does not fit the type",
        ),
        (100078, "22000", "String 'meera.canary' is too long", SinkError, "Widen the column"),
        (
            3001,
            "42501",
            "Insufficient privileges to operate on table",
            SinkError,
            "CREATE STAGE ON SCHEMA",
        ),
        (
            606,
            "57P03",
            "No active warehouse selected",
            SinkError,
            "names no warehouse that runs statements",
        ),
        (
            2003,
            "02000",
            "Schema 'HR' does not exist or not authorized.",
            SinkError,
            "Schema 'HR' does not exist",
        ),
        (
            390114,
            "08001",
            "Authentication token has expired",
            SinkError,
            "connection to Snowflake was lost",
        ),
        (300, "XX000", "meera.canary", SinkError, "nothing was changed"),
    ],
)
def test_its_errors_become_words_that_help_and_hold_no_value(
    session: DbSession,
    errno: int,
    sqlstate: str,
    text: str,
    kind: type[We360Error],
    words: str,
) -> None:
    import snowflake.connector.errors as driver

    failure = DriverFailure(driver.ProgrammingError(msg=text, errno=errno, sqlstate=sqlstate))
    told = plug_in.ERRORS.explain(failure, session.target, merge(), session)
    assert type(told) is kind
    assert words in str(told)
    assert "meera" not in str(told)


def test_the_session_pins_what_values_depend_on() -> None:
    """The stand-in takes no settings, so they are compared with Snowflake's list of parameters."""
    pinned = dict(re.findall(r"(\w+) = ('[^']*'|\w+)", plug_in.SETTINGS))
    assert pinned == {
        "AUTOCOMMIT": "TRUE",
        "TIMEZONE": "'UTC'",
        "DATE_INPUT_FORMAT": "'YYYY-MM-DD'",
        "TIMESTAMP_INPUT_FORMAT": "'AUTO'",
        "TIMESTAMP_NTZ_OUTPUT_FORMAT": "'YYYY-MM-DD HH24:MI:SS.FF9'",
    }
