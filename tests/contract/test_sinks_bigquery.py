"""What is BigQuery's own: sessions, transactions that are taken back, what a table looks like, and what its errors may tell."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from collections.abc import Iterator

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.sinks import bigquery_errors
from airflow_provider_we360.sinks.loader import SqlSink
from airflow_provider_we360.sinks.registry import sink_for
from airflow_provider_we360.sinks.session import DriverFailure
from airflow_provider_we360.sinks.warehouses import gcpbigquery
from support.bigquery_engine import DATASET, PROJECT, BigQueryEngine
from support.bigquery_server import ABORTED, BigQuery, Refused
from support.loads import COLUMNS, append, batch, load, merge, rows, summary

pytestmark = [pytest.mark.clouds, pytest.mark.usefixtures("bigquery")]


@pytest.fixture
def server(bigquery: tuple[BigQuery, str]) -> Iterator[BigQuery]:
    yield bigquery[0]
    bigquery[0].refusals.clear()


@pytest.fixture
def big(bigquery: tuple[BigQuery, str]) -> BigQueryEngine:
    return BigQueryEngine(bigquery[1])


def about(server: BigQuery, table: str) -> dict[str, object]:
    return server.table(PROJECT, DATASET, table)


def columns(server: BigQuery, table: str) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in server.table(PROJECT, DATASET, table)["schema"]["fields"]}


def staging(server: BigQuery) -> list[str]:
    return [
        key
        for (key,) in server._all(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%stg%'", []
        )
    ]


# Table


def test_a_table_is_partitioned_by_day_and_clustered_by_tenant(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    big.load(table, load(), [])
    made = about(server, table)
    assert made["timePartitioning"] == {"type": "DAY", "field": "attendance_date"}
    assert made["clustering"] == {"fields": ["_we360_tenant", "identity_id"]}
    assert made["tableConstraints"] == {
        "primaryKey": {"columns": ["_we360_tenant", "attendance_date", "identity_id"]}
    }
    assert "one row per person and day" in str(made["description"])


def test_a_table_of_sums_has_no_partitions(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    big.load(table, summary(), [])
    assert "timePartitioning" not in about(server, table)


def test_an_appended_table_declares_no_key(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    big.load(table, append(), [])
    assert "tableConstraints" not in about(server, table)


def test_columns_have_types_descriptions_and_required_keys(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    big.load(table, load(columns=COLUMNS[:2]), [])
    big.load(table, load(), [])
    made = columns(server, table)
    assert {name: one["type"] for name, one in made.items()} == {
        "_we360_tenant": "STRING",
        "_we360_run_id": "STRING",
        "_we360_loaded_at": "TIMESTAMP",
        "attendance_date": "DATE",
        "identity_id": "STRING",
        "note": "STRING",
        "seconds": "INTEGER",
        "count": "INTEGER",
        "percent": "FLOAT",
        "punch_in": "DATETIME",
    }
    assert [name for name, one in made.items() if one["mode"] == "REQUIRED"] == [
        "_we360_tenant",
        "attendance_date",
        "identity_id",
    ]
    assert made["identity_id"]["description"] == "The person's key"
    assert made["note"]["description"] == "It's text"  # by ALTER TABLE


@pytest.mark.parametrize("name", ["{}", f"{DATASET}.{{}}", f"{PROJECT}.{DATASET}.{{}}"])
def test_a_table_is_named_by_one_two_or_three_parts(
    big: BigQueryEngine, table: str, name: str
) -> None:
    assert big.load(name.format(table), load(), rows(1, 1)).rows == 1
    assert len(big.rows(table)) == 1


def test_a_missing_dataset_is_named_before_the_first_request(
    big: BigQueryEngine,
) -> None:
    big.connection["extra"] = json.dumps({"project": PROJECT})
    big.connect_by_environment()
    with pytest.raises(We360ConfigError, match=r"write dataset\.table"):
        big.sink("attendance")


def test_a_dataset_that_is_missing_is_said(big: BigQueryEngine) -> None:
    with pytest.raises(We360ConfigError, match="CREATE SCHEMA"):
        big.load("nowhere.attendance", load(), rows(1, 1))


def test_a_connection_for_all_of_google_goes_to_bigquery(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

    monkeypatch.setenv(
        "AIRFLOW_CONN_GOOGLE_ALL", json.dumps({"conn_type": "google_cloud_platform"})
    )
    operator = We360ToSqlOperator(
        task_id="t", report="dynamic_report", sql_conn_id="google_all", table="hr.attendance"
    )
    hook = operator._sql_hook("google_all")
    assert (type(hook).__name__, hook.gcp_conn_id) == ("BigQueryHook", "google_all")


# Staging and session


def test_the_staging_table_expires_and_is_dropped_with_the_load(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    seen: list[dict[str, object]] = []
    hook = big.hook_with(
        lambda sql: (
            seen.extend(about(server, one) for one in staging(server)) if sql == "LOAD" else None
        )
    )
    big.sink(table, hook).load(load(), [batch(rows(1, 2))])
    (one,) = seen
    ends = dt.datetime.fromtimestamp(int(str(one["expirationTime"])) / 1000, dt.UTC)
    assert (
        dt.timedelta(hours=5)
        < ends - dt.datetime.now(dt.UTC)
        <= dt.timedelta(hours=gcpbigquery.STAGING_HOURS)
    )
    assert re.fullmatch(r"_we360_stg_[0-9a-f]{12}", one["tableReference"]["tableId"])  # type: ignore[index]
    assert staging(server) == []
    assert server.sessions == {}


def test_a_load_that_breaks_leaves_neither_staging_nor_session(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    class Killed(BaseException):
        pass

    big.load(table, load(), rows(1, 3, note="old"))
    for survived in itertools.count():
        left = itertools.count()

        def kill(sql: str, survived: int = survived, left: Iterator[int] = left) -> None:
            if next(left) == survived:
                raise Killed

        try:
            big.sink(table, big.hook_with(kill)).load(load(), [batch(rows(1, 3, note="new"))])
        except Killed:
            assert (staging(server), server.sessions) == ([], {})
            assert {one["note"] for one in big.rows(table)} == {"old"}
        else:
            break
    assert survived > 8


def test_rows_go_in_groups_so_that_memory_is_bounded(
    big: BigQueryEngine, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcpbigquery, "GROUP_BYTES", 2000)
    content = [batch(rows(number, 40, note="x" * 100), number=number) for number in range(1, 6)]
    assert big.sink(table).load(load(), content).rows == 200
    assert len(big.rows(table)) == 200


def test_a_load_without_rows_loads_no_file(big: BigQueryEngine, table: str) -> None:
    told: list[str] = []
    big.sink(table, big.hook_with(told.append)).load(load(), [batch([])])
    assert "LOAD" not in told


# Conflicts


def impatient(big: BigQueryEngine, table: str, pauses: list[float], ends: float = 10.0) -> SqlSink:
    ticks = itertools.count()
    return sink_for(
        big.hook(),
        table,
        conn_id=big.conn_id,
        sleep=pauses.append,
        clock=lambda: next(ticks) * 600 / ends,
    )


STEPS = ["UPDATE", "SELECT `attendance_date`", "DELETE", "INSERT", "COMMIT"]


@pytest.mark.parametrize("step", STEPS)
def test_a_transaction_that_is_taken_back_is_tried_again_whole(
    server: BigQuery, big: BigQueryEngine, table: str, step: str
) -> None:
    big.load(table, load(), rows(1, 3, note="old"))
    server.refusals[step] = Refused(400, "invalidQuery", ABORTED.format("somebody's"))
    pauses: list[float] = []
    result = impatient(big, table, pauses).load(load(), [batch(rows(1, 3, note="new"))])
    assert (result.rows, result.rows_removed, len(pauses)) == (3, 3, 1)
    assert [one["note"] for one in big.rows(table)] == ["new"] * 3


def test_a_transaction_starts_by_updating_the_lock_row(big: BigQueryEngine, table: str) -> None:
    told: list[str] = []
    for each in (load(), merge()):
        big.sink(table, big.hook_with(told.append)).load(each, [batch(rows(1, 1))])
    begun = [told[index + 1] for index, sql in enumerate(told) if sql == "BEGIN TRANSACTION"]
    assert len(begun) == 2
    assert all(
        re.match(rf"UPDATE `{PROJECT}`\.`{DATASET}`\.`_we360_lock_{table}` SET held_at", sql)
        for sql in begun
    )


def test_who_loses_for_ten_minutes_gives_up_and_says_so(
    server: BigQuery, big: BigQueryEngine, table: str
) -> None:
    big.load(table, load(), rows(1, 3, note="old"))
    holder = BigQueryEngine(big.url)
    barred: list[SinkBusy] = []

    def while_it_is_held(sql: str) -> None:
        if sql == "COMMIT" and not barred:
            with pytest.raises(SinkBusy, match="nothing was changed") as caught:
                impatient(big, table, []).load(load(), [batch(rows(1, 3, note="second"))])
            barred.append(caught.value)

    holder.sink(table, holder.hook_with(while_it_is_held)).load(
        load(), [batch(rows(1, 3, note="first"))]
    )
    assert barred
    assert [one["note"] for one in big.rows(table)] == ["first"] * 3


def test_two_first_loads_of_one_window_never_double_a_row(big: BigQueryEngine, table: str) -> None:
    big.load(table, load(), [])
    between: list[int] = []
    told: list[str] = []

    def other_first(sql: str) -> None:
        if (
            told[-1:] == ["BEGIN TRANSACTION"] and not between
        ):  # our snapshot is taken, and shows no row
            between.append(big.load(table, load(), rows(1, 3, note="first")).rows)
        told.append(sql)

    result = big.sink(table, big.hook_with(other_first)).load(
        load(), [batch(rows(1, 3, note="second"))]
    )
    assert (between, result.rows, result.rows_removed) == ([3], 3, 3)
    assert [one["note"] for one in big.rows(table)] == ["second"] * 3


# Errors


SECRET = "secret-person"
ANSWERS = [
    (
        "INSERT",
        403,
        "accessDenied",
        "Access Denied: Table",
        We360ConfigError,
        r"bigquery\.jobUser .*bigquery\.dataEditor",
    ),
    ("INSERT", 403, "quotaExceeded", "Quota exceeded", SinkBusy, "quota is used up .quotaExceeded"),
    (
        "UPDATE",
        403,
        "billingNotEnabled",
        "Billing has not been enabled for this project",
        We360ConfigError,
        "no billing",
    ),
    (
        "LOAD",
        400,
        "invalid",
        f"Error while reading data: '{SECRET}'",
        SinkError,
        "BigQuery refused the load .*invalid",
    ),
    (
        "DELETE",
        499,
        "stopped",
        "Job execution was cancelled",
        SinkError,
        "was cancelled; nothing was changed",
    ),
    (
        "INSERT",
        400,
        "invalidQuery",
        f"Bad value '{SECRET}'",
        SinkError,
        "BigQuery refused the load .*invalidQuery",
    ),
]


@pytest.mark.parametrize(("step", "status", "reason", "told", "kind", "message"), ANSWERS)
def test_bigquery_errors_are_reworded_and_show_no_value(
    server: BigQuery,
    big: BigQueryEngine,
    table: str,
    step: str,
    status: int,
    reason: str,
    told: str,
    kind: type[Exception],
    message: str,
) -> None:
    big.load(table, load(), rows(1, 3, note="old"))
    server.refusals[step] = Refused(status, reason, f"{told} {SECRET}")
    with pytest.raises(kind, match=message) as caught:
        big.load(table, load(), rows(1, 3, note=SECRET))
    assert type(caught.value) is kind
    assert SECRET not in str(caught.value)
    # UPDATE locks: it carries no row, so only there the driver's error may be the cause.
    assert (caught.value.__cause__ is not None) is (step == "UPDATE")
    assert caught.value.__suppress_context__
    assert [one["note"] for one in big.rows(table)] == ["old"] * 3
    assert staging(server) == []


def test_a_required_column_without_a_value_is_named(big: BigQueryEngine, table: str) -> None:
    big.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id STRING, note STRING NOT NULL)"
    )
    with pytest.raises(SinkError, match="no value for column note"):
        big.load(table, load(columns=COLUMNS[:3]), rows(1, 1))


def test_a_server_that_is_not_there_is_said_without_a_trace(table: str) -> None:
    away = BigQueryEngine("http://127.0.0.1:9")
    hook = away.hook()
    target = away.sink(table, hook).target
    failure = DriverFailure(ConnectionError("https://signed.example/?key=secret"))
    told = bigquery_errors.ERRORS.explain(failure, target, load(), None)
    assert "secret" not in str(told)
    assert "connection to BigQuery was lost" in str(told)


def test_the_text_of_a_literal_is_escaped_as_bigquery_reads_it(
    big: BigQueryEngine, table: str
) -> None:
    text = "o'neill \\ \n x"
    assert (
        big._answer(f"SELECT {gcpbigquery.DIALECT.literal(text)} AS `x`").__iter__().__next__()[0]
        == text
    )
