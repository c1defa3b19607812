"""What is Redshift's own: where rows wait on S3, COPY, keys that nobody enforces, and what its errors may tell."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks.session import DriverFailure
from airflow_provider_we360.sinks.warehouses import redshift
from support import loads
from support.engines import Postgres
from support.loads import LOADED_AT, append, batch, day, load, row, rows
from support.redshift_engine import BUCKET, ROLE, ROOT, Redshift

pytestmark = pytest.mark.clouds


@pytest.fixture
def red(redshift_server: int, redshift_s3: str) -> Redshift:
    return Redshift(redshift_server, redshift_s3)


def watched(red: Redshift) -> tuple[list[str], object]:
    told: list[str] = []
    return told, red.hook_with(told.append)


def copies(told: list[str]) -> list[str]:
    return [sql for sql in told if sql.startswith("COPY")]


# On S3


def test_rows_wait_on_s3_as_parquet_and_are_gone_afterwards(red: Redshift, table: str) -> None:
    seen: list[dict[str, bytes]] = []
    hook = red.hook_with(lambda sql: seen.append(red.files()) if sql.startswith("COPY") else None)
    assert red.sink(table, hook).load(load(), [batch(rows(1, 3))]).rows == 3
    ((name, content),) = seen[0].items()
    assert name.startswith(f"loads/we360-redshift/{LOADED_AT.date()}/")
    assert content[:4] == content[-4:] == b"PAR1"
    assert red.files() == {}


def test_the_role_reads_and_no_key_of_ours_is_told(red: Redshift, table: str) -> None:
    told, hook = watched(red)
    red.sink(table, hook).load(load(), [batch(rows(1, 1))])
    (copy,) = copies(told)
    assert f" IAM_ROLE '{ROLE}' FORMAT AS PARQUET" in copy
    assert f" FROM '{ROOT}/we360-redshift/" in copy
    assert not any("secret" in sql or "ACCESS_KEY" in sql for sql in told)


def test_without_a_role_it_is_the_clusters_own(
    redshift_server: int, redshift_s3: str, table: str
) -> None:
    red = Redshift(redshift_server, redshift_s3, staging={"we360_staging": f"s3://{BUCKET}"})
    told, hook = watched(red)
    red.sink(table, hook).load(load(), [batch(rows(1, 1))])
    (copy,) = copies(told)
    assert " IAM_ROLE default FORMAT" in copy
    assert f" FROM 's3://{BUCKET}/we360-redshift/" in copy


def test_a_load_without_rows_copies_nothing(red: Redshift, table: str) -> None:
    told, hook = watched(red)
    red.sink(table, hook).load(load(), [batch([])])
    assert copies(told) == []


def test_a_load_larger_than_one_file_arrives_whole(
    red: Redshift, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redshift, "PART_BYTES", 50_000)
    sizes: list[int] = []
    hook = red.hook_with(
        lambda sql: sizes.append(len(red.files())) if sql.startswith("COPY") else None
    )
    content = [
        batch(rows(number, 10, note=uuid.uuid4().hex * 100), number=number)
        for number in range(1, 6)
    ]
    assert red.sink(table, hook).load(load(), content).rows == 50
    assert sizes[0] > 1
    assert len(red.rows(table)) == 50


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError])
def test_a_load_that_ends_early_takes_its_files_along(
    red: Redshift, table: str, end: type[BaseException]
) -> None:
    def broken() -> Iterator[RowBatch]:
        yield batch(rows(1, 1))
        raise end

    def kill(sql: str) -> None:
        if sql.startswith("COPY"):
            assert red.files()
            raise end

    with pytest.raises(end):
        red.sink(table).load(load(), broken())
    with pytest.raises(end):
        red.sink(table, red.hook_with(kill)).load(load(), [batch(rows(1, 1))])
    assert red.files() == {}


def test_only_old_staged_files_of_the_same_tenant_are_deleted(red: Redshift, table: str) -> None:
    today = LOADED_AT.date()
    old, young = (
        f"loads/we360-redshift/{today.replace(month=4, day=number)}/abc/part-00001.parquet"
        for number in (28, 29)
    )
    others = ["loads/we360-redshift/mine/x", "loads/2020-01-01/x", f"we360-redshift/{day(1)}/x"]
    for name in (old, young, *others):
        red.client.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    try:
        red.load(table, load(), rows(1, 1))
        assert sorted(red.files()) == sorted([young, *others])
    finally:
        for name in red.files():
            red.client.delete_object(Bucket=BUCKET, Key=name)


def test_moments_are_written_as_every_reader_knows_them() -> None:
    from pyarrow import parquet

    content = redshift._to_parquet([batch([row(1, "p0", punch_in=None)]).to_arrow()])
    schema = parquet.ParquetFile(io.BytesIO(content)).schema
    assert {schema.column(number).physical_type for number in range(len(schema))} >= {
        "INT96",
        "INT32",
        "INT64",
        "DOUBLE",
    }


@pytest.mark.parametrize(
    ("staging", "message"),
    [
        (
            {},
            r"no place is configured.*service_config\.redshift, set \"we360_staging\": \"s3://bucket/prefix\"",
        ),
        ({"we360_staging": "gs://bucket"}, "we360_staging is no place on S3"),
        ({"we360_staging": "s3://bucket/it's"}, "we360_staging is no place on S3"),
        ({"we360_staging": 5}, "we360_staging is no place on S3"),
        ({"we360_staging": ROOT, "we360_iam_role": "me' CSV"}, "we360_iam_role is no role"),
        (
            {"we360_staging": ROOT, "we360_iam_role": "arn:aws:iam::1:role/x"},
            "we360_iam_role is no role",
        ),
    ],
)
def test_a_wrong_staging_is_named_before_the_first_request(
    redshift_server: int, redshift_s3: str, staging: object, message: str
) -> None:
    with pytest.raises(We360ConfigError, match=message):
        Redshift(redshift_server, redshift_s3, staging=staging).sink("attendance")


def test_a_bucket_that_is_absent_is_named_and_nothing_changes(
    redshift_server: int, redshift_s3: str, table: str
) -> None:
    red = Redshift(
        redshift_server, redshift_s3, staging={"we360_staging": "s3://no-such-bucket-here"}
    )
    with pytest.raises(
        SinkError, match=r"sql_conn_id: cannot write to s3://no-such-bucket-here .*'aws_default'"
    ):
        red.load(table, load(), rows(1, 1))
    assert red.rows(table) == []


# Keys, texts, names


def test_the_load_holds_the_key_that_redshift_does_not_enforce(red: Redshift, table: str) -> None:
    red.load(table, load(), rows(1, 2, note="old"))
    with pytest.raises(SinkError, match="same key"):
        red.load(table, load(), [*rows(1, 2, note="new"), row(1, "p0", note="new, too")])
    assert {one["note"] for one in red.rows(table)} == {"old"}
    for run_id in ("one", "two"):
        red.load(f"{table}_appended", append(run_id=run_id), rows(1, 2))
    assert len(red.rows(f"{table}_appended")) == 4


def test_a_text_too_long_names_its_column(red: Redshift, table: str) -> None:
    red.load(table, load(), [row(1, "p0", note="न" * 21845)])
    with pytest.raises(
        SinkError, match="a text in column note is longer than 65535 bytes"
    ) as caught:
        red.load(table, load(), [row(1, "p0", note="न" * 21846)])
    assert "न" not in str(caught.value)
    assert len(red.rows(table)) == 1


def test_a_column_too_narrow_refuses_without_showing_the_text(red: Redshift, table: str) -> None:
    red.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), note varchar(5))"
    )
    with pytest.raises(SinkError, match="SQLSTATE 22001") as caught:
        red.load(table, load(columns=loads.COLUMNS[:3]), rows(1, 1, note="do not tell"))
    assert "tell" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_comment_may_hold_what_looks_like_a_parameter(red: Redshift, table: str) -> None:
    from dataclasses import replace

    odd = tuple(replace(column, description="100% of %s, it's ? :a") for column in loads.COLUMNS)
    assert red.load(table, load(columns=odd), []).rows == 0


def test_a_database_that_is_not_the_connected_one_is_refused(red: Redshift) -> None:
    with pytest.raises(We360ConfigError, match=r"names database 'other', but .* opens 'postgres'"):
        red.load("other.public.attendance", load(), rows(1, 1))


def test_a_schema_is_never_made_up(red: Redshift) -> None:
    with pytest.raises(SinkError, match="CREATE SCHEMA"):
        red.load("absent.attendance", load(), rows(1, 1))


# Others


def test_no_transaction_is_open_while_we360_is_asked(red: Redshift, table: str) -> None:
    states: list[object] = []

    def slow() -> Iterator[RowBatch]:
        states.extend(
            red.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            )
        )
        yield batch(rows(1, 1))

    red.sink(table).load(load(), slow())
    assert states == [(0,)]


def test_a_lock_that_is_never_released_ends_as_busy(
    red: Redshift, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    red.load(table, load(), rows(1, 1))
    sink = red.sink(table)
    object.__setattr__(sink.target, "patience_s", 0.3)
    with closing(red.hook().get_conn()) as other:
        other.cursor().execute(f'LOCK "{table}"')
        with pytest.raises(SinkBusy, match="another session held"):
            sink.load(load(), [batch(rows(1, 2))])
    assert len(red.rows(table)) == 1


def test_a_database_session_ended_during_a_load_changes_nothing(red: Redshift, table: str) -> None:
    red.load(table, load(), rows(1, 2, note="old"))

    def ended() -> Iterator[RowBatch]:
        yield batch(rows(1, 2, note="new"))
        red.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    with pytest.raises(SinkError, match="run the task again"):
        red.sink(table).load(load(), ended())
    assert {one["note"] for one in red.rows(table)} == {"old"}
    assert red.files() == {}


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            {"C": "XX000", "M": "1023\nDETAIL: Serializable isolation violation on table - 123"},
            SinkBusy,
            "Run the task again",
        ),
        (
            {
                "C": "40001",
                "M": "could not complete because of conflict with concurrent transaction",
            },
            SinkBusy,
            "Run the task",
        ),
        (
            {"C": "XX000", "M": "Cannot insert a NULL value into column identity_id"},
            SinkError,
            "no value for column identity_id",
        ),
        (
            {"C": "42501", "M": "permission denied for relation t"},
            SinkError,
            "GRANT SELECT, INSERT, UPDATE, DELETE ON",
        ),
        ({"C": "57014", "M": "Query cancelled on user's request"}, SinkError, "statement_timeout"),
        (
            {"C": "XX000", "M": "a row of secret-person"},
            SinkError,
            "SQLSTATE XX000, ProgrammingError); nothing was changed",
        ),
    ],
)
def test_what_redshift_says_is_told_in_our_words(
    red: Redshift, answer: dict[str, str], kind: type[SinkError], message: str
) -> None:
    import redshift_connector

    target = red.sink("hr.attendance").target
    failure = DriverFailure(redshift_connector.ProgrammingError(answer))
    with redshift.connect(target) as session:
        told = redshift.ERRORS.explain(failure, target, load(), session)
    assert type(told) is kind
    assert message in str(told)
    assert "secret" not in str(told)


def test_a_refused_copy_names_the_role_and_shows_no_value(red: Redshift, table: str) -> None:
    import redshift_connector

    def refuse(sql: str) -> None:
        if sql.startswith("COPY"):
            raise redshift_connector.ProgrammingError(
                {"C": "XX000", "M": "Spectrum: https://signed.example?X-Amz-Signature=1"}
            )

    with pytest.raises(SinkError, match="we360_iam_role is attached to the cluster") as caught:
        red.sink(table, red.hook_with(refuse)).load(load(), [batch(rows(1, 1))])
    assert "Amz" not in str(caught.value)
    assert red.files() == {}


def test_a_scale_that_rounds_is_refused_for_the_values_it_rounds(red: Redshift, table: str) -> None:
    red.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), percent numeric(5,2))"
    )
    few = tuple(
        one for one in loads.COLUMNS if one.name in ("attendance_date", "identity_id", "percent")
    )
    red.load(table, load(columns=few), rows(1, 1, percent=33.25))
    with pytest.raises(We360ConfigError, match=r"'percent' .* changes the value of 1 row"):
        red.load(table, load(columns=few), rows(1, 1, percent=33.333))


def test_settings_of_the_role_change_no_value(
    red: Redshift, postgres_server: str, table: str
) -> None:
    server = Postgres(postgres_server)
    server.execute(
        "ALTER ROLE postgres SET timezone TO 'Asia/Kolkata'",
        "ALTER ROLE postgres SET datestyle TO 'SQL, DMY'",
    )
    try:
        for _ in range(2):  # the second load reads the first one's days and instants
            assert red.load(table, load(), rows(2, 2)).days_kept_newer == ()
    finally:
        server.execute("ALTER ROLE postgres RESET ALL")
    assert red.rows(table) == sorted(batch(rows(2, 2)).rows, key=repr)
    stamps = red.execute(f"SELECT _we360_loaded_at AT TIME ZONE 'UTC' FROM {table}")
    assert {stamp for (stamp,) in stamps} == {loads.LOADED_AT.replace(tzinfo=None)}
