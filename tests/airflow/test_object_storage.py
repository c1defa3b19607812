"""The operator that writes files: what lands is the company's truth, and each wrong argument is named."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import logging
from collections import defaultdict
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset

from airflow_provider_we360.errors import EmptyDayRefused, We360ConfigError
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from support.dag_runs import OneEvent
from support.foreign_server import CUSTOMER_ID, PASSWORD, USERNAME, ForeignServer
from support.stores import read

NOON = dt.datetime(2026, 6, 3, 6, 30, tzinfo=dt.UTC)
FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 10)
COLUMNS = [
    Column("attendance_date", Kind.DATE),
    Column("identity_id"),
    Column("employee_id"),
    Column("group_name"),
    Column("punch_in", Kind.TIMESTAMP),
    Column("online_duration", Kind.DURATION),
    Column("productive_percent", Kind.DOUBLE),
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "we360"


@pytest.fixture
def load(folder):
    """Loads ten days into ``folder``, or what the arguments say."""

    def run(outlet_events=None, **arguments):
        given = {
            "task_id": "load",
            "path": str(folder),
            "window_start": str(FIRST),
            "window_end": str(LAST),
        }
        context = {
            "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id="manual", map_index=-1),
            "dag_run": SimpleNamespace(run_after=NOON, start_date=NOON),
            "outlet_events": outlet_events or {},
        }
        return We360ToObjectStorageOperator(**(given | arguments)).execute(context)

    return run


def truth(sandbox, first=FIRST, last=LAST):
    return sorted(
        (
            {column.name: one[column.name] for column in COLUMNS}
            for one in sandbox.company.rows(first, last, "detailed")
        ),
        key=repr,
    )


def loaded(folder, file_format="parquet"):
    found = [
        one
        for path in folder.glob(f"*/*.{file_format}")
        for one in read(path.read_bytes(), file_format, COLUMNS)
    ]
    return sorted(
        ({column.name: one[column.name] for column in COLUMNS} for one in found), key=repr
    )


def without_time(folder, file_format="parquet"):
    """All files, without the one column that each load stamps anew."""
    return {
        str(path.relative_to(folder)): [
            {name: value for name, value in one.items() if name != "_we360_loaded_at"}
            for one in read(path.read_bytes(), file_format, COLUMNS)
        ]
        for path in folder.rglob("*.*")
        if path.is_file()
    }


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "csv"])
def test_ten_days_loaded_twice_equal_the_truth(sandbox, folder, load, file_format):
    result = load(file_format=file_format)
    assert loaded(folder, file_format) == truth(sandbox) != []
    assert result.pop("seconds") >= 0
    assert result.pop("requests") >= 10
    assert result == {
        "report": "dynamic_report",
        "window": ["2026-06-01", "2026-06-10"],
        "rows": len(truth(sandbox)),
        "days": 10,
        "slices": 10,
        "path": str(folder),
    }
    once = without_time(folder, file_format)
    load(file_format=file_format)
    assert without_time(folder, file_format) == once
    assert {name.partition("/")[0] for name in once} <= {
        f"attendance_date=2026-06-{day:02}" for day in range(1, 11)
    }


def test_ten_days_of_another_server_equal_its_truth(folder, load, monkeypatch):
    with ForeignServer("capped") as server:
        extra = {
            "customer_id": CUSTOMER_ID,
            "auth_url": server.url,
            "allow_http": True,
            "token_cache": "memory",
        }
        account = {
            "conn_type": "we360",
            "host": server.url,
            "login": USERNAME,
            "password": PASSWORD,
            "extra": extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(account))
        first = server.company.first_day
        last = first + dt.timedelta(days=9)
        load(window_start=str(first), window_end=str(last))
        truth = sorted(
            server.truth(first, last), key=lambda row: (row["attendance_date"], row["identity_id"])
        )
    found = [
        row
        for path in folder.glob("*/*.parquet")
        for row in pq.ParquetFile(path).read().to_pylist()
    ]
    names = [name for name in found[0] if not name.startswith("_we360_")]
    found.sort(key=lambda row: (row["attendance_date"], row["identity_id"]))
    assert len(names) > 10
    assert [[row[name] for name in names] for row in found] == [
        [row[name] for name in names] for row in truth
    ]


def test_longer_window_replaces_only_its_days(sandbox, folder, load):
    load(path=f"file://{folder}", window_end="2026-06-05")
    (folder / "mine.txt").write_text("mine")
    load(path=f"file://{folder}/", window_start="2026-06-05", lookback_days="1")
    assert loaded(folder) == truth(sandbox)
    assert (folder / "mine.txt").exists()


def test_rows_hold_tenant_and_run(sandbox, folder, load):
    load(window_end=str(FIRST))
    (path,) = folder.glob("*/*.parquet")
    rows = pq.ParquetFile(path).read().to_pylist()
    assert {(row["_we360_tenant"], row["_we360_run_id"]) for row in rows} == {
        (sandbox.config.customer_id, "dag|manual|load")
    }
    assert all(row["_we360_loaded_at"].tzinfo is not None for row in rows)


def test_summary_is_one_file_with_its_window(sandbox, folder, load):
    result = load(mode="summary")
    (path,) = folder.rglob("*.parquet")
    assert path.parent.name == "_we360_window_start=2026-06-01"
    rows = pq.ParquetFile(path).read().to_pylist()
    assert {(row["_we360_window_start"], row["_we360_window_end"]) for row in rows} == {
        (FIRST, LAST)
    }
    assert (result["slices"], result["rows"]) == (1, len(rows))
    assert {row["identity_id"] for row in rows} == {
        row["identity_id"] for row in sandbox.company.rows(FIRST, LAST, "summary")
    }


def test_each_set_of_filters_has_its_own_files(sandbox, folder, load):
    people = sorted({row["identity_id"] for row in truth(sandbox)})[:2]
    load()
    load(user_ids=people)
    load(user_ids=f"{people[1]},{people[0]}")
    by_name = defaultdict(list)
    for path in folder.glob("*/*.parquet"):
        by_name[path.name] += pq.ParquetFile(path).read().to_pylist()
    assert len(by_name) == 2
    smaller = min(by_name.values(), key=len)
    assert {row["identity_id"] for row in smaller} == set(people)


def test_group_is_reloaded_with_current_members(sandbox, folder, load):
    group = sandbox.company.groups[0]
    for _ in range(2):
        result = load(group_ids=[group.id])
        assert {row["group_name"] for row in loaded(folder)} == {group.name}
        assert len(loaded(folder)) == result["rows"]


def test_outlet_events_hold_rows_and_window(sandbox, folder, load):
    asset = Asset(uri=f"file://{folder}")
    event = SimpleNamespace(extra={})
    result = load(OneEvent(event), outlets=[asset])
    assert event.extra == {
        "report": "dynamic_report",
        "window": ["2026-06-01", "2026-06-10"],
        "rows": result["rows"],
    }


def test_day_that_would_lose_its_rows_changes_nothing(sandbox, folder, load):
    load()
    before = without_time(folder)
    sandbox.identity.change_account(sees=())
    with pytest.raises(EmptyDayRefused, match="on_empty"):
        load()
    assert without_time(folder) == before
    assert load(on_empty="keep")["rows"] == 0
    assert without_time(folder) == before
    load(on_empty="replace")
    assert without_time(folder) == {}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"file_format": "xlsx"}, "file_format: 'xlsx' is unknown; use one of parquet, jsonl, csv"),
        ({"path": ""}, "path: is empty"),
        ({"path": "data/we360"}, "path: .*absolute"),
        ({"path": "file://data/we360"}, "path: .*absolute"),
        ({"path": "/dev/null"}, "path: /dev/null cannot be a folder, because /dev/null is a file"),
        ({"path": "/dev/null/we360"}, "path: .* because /dev/null is a file"),
        ({"path": "ftp9://host/we360"}, "path: .*ftp9://"),
        (
            {"object_storage_conn_id": "nowhere"},
            "object_storage_conn_id: Connection 'nowhere' does not exist",
        ),
        ({"path": "s3://nowhere@bucket/we360"}, "path: Connection 'nowhere' does not exist"),
        ({"path": "s3://key:secret@bucket/we360"}, "path: contains a password"),
        (
            {"path": "s3://one@bucket/we360", "object_storage_conn_id": "two"},
            "object_storage_conn_id: .*set it in one place",
        ),
        ({"mode": "summary", "lookback_days": 7}, "lookback_days"),
        ({"on_empty": "ignore"}, "on_empty"),
        ({"max_parallel_requests": 0}, "max_parallel_requests"),
    ],
)
def test_wrong_argument_is_named_and_leaves_nothing(sandbox, folder, load, arguments, names):
    with pytest.raises(AirflowFailException, match=names) as caught:
        load(**arguments)
    assert isinstance(caught.value, We360ConfigError)
    assert "secret" not in str(caught.value)
    assert not folder.exists()
    assert sandbox.request_log.logins == 0


@pytest.mark.parametrize(
    ("scheme", "extra"), [("s3", "amazon"), ("gs", "google"), ("abfs", "microsoft-azure")]
)
def test_missing_provider_says_what_to_install(sandbox, load, scheme, extra):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        assert ObjectStoragePath(f"{scheme}://bucket/we360").fs
    except (ImportError, ValueError):
        with pytest.raises(
            AirflowFailException, match=rf'path: .*pip install "airflow-provider-we360\[{extra}\]"'
        ):
            load(path=f"{scheme}://bucket/we360")
    else:
        pytest.skip(f"{scheme}:// is served here")


def test_incompatible_universal_pathlib_is_named(sandbox, load, mocker):
    error = getattr(importlib.import_module("upath.core"), "_IncompatibleProtocolError", None)
    if error is None:
        pytest.skip(
            "universal-pathlib 0.3 and later: an older one works with every Airflow that takes it"
        )
    mocker.patch(
        "airflow.providers.common.compat.sdk.ObjectStoragePath",
        side_effect=error("no path of this protocol"),
    )
    with pytest.raises(
        AirflowFailException,
        match=r"path: Airflow [\w.]+ cannot open URLs with .*'universal-pathlib<0\.3'",
    ):
        load(path="s3://bucket/we360")


def test_unneeded_store_connection_is_accepted(sandbox, folder, load, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DISK", json.dumps({"conn_type": "fs"}))
    load(object_storage_conn_id="disk", window_end=str(FIRST))
    assert loaded(folder) == truth(sandbox, FIRST, FIRST)


def test_path_connection_and_format_are_templated():
    assert {"path", "object_storage_conn_id", "file_format", "window_start"} <= set(
        We360ToObjectStorageOperator.template_fields
    )


def test_log_holds_no_row(sandbox, folder, load, caplog):
    caplog.set_level(logging.DEBUG)
    load(columns=["first_name", "email"])
    people = sandbox.company.rows(FIRST, LAST, "detailed")
    personal = {str(row[name]) for row in people for name in ("identity_id", "email") if row[name]}
    assert personal
    assert not {one for one in personal if one in caplog.text}
