"""What Airflow's own OpenLineage provider writes to a file while a Dag of ours runs in a process of its own."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve

# Twenty seconds of Airflow in a process of its own; test_assets.py has what a load hands to OpenLineage.
pytestmark = pytest.mark.long

REPORT = ("we360://acme-demo", "dynamic_report")
PERSONAL = (
    "first_name",
    "last_name",
    "email",
    "phone_number",
    "identity_id",
    "employee_id",
    "manager",
)
PSEUDONYM_KEY = "a-key-of-forty-characters-for-tests-only"


def named(dataset):
    return dataset["namespace"], dataset["name"]


class Events:
    """What was written.

    :param folder: where the targets lie.
    """

    def __init__(self, folder: Path, app: Simulator, text: str) -> None:
        self.folder = folder
        self.app = app
        self.text = text
        self._events = [json.loads(line) for line in text.splitlines()]

    def of(self, task: str, kind: str):
        (event,) = [
            e
            for e in self._events
            if e["job"]["name"] == f"lineage.{task}" and e["eventType"] == kind
        ]
        return event


@pytest.fixture(scope="module")
def events(airflow_db, tmp_path_factory):
    """The events of one run, which all workers of pytest-xdist share."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "lineage"
    app = Simulator(SimulatorConfig(employees=12))
    with (shared / "lineage.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker waits, then reads
        if not folder.exists():
            folder.mkdir()
            write_events(folder, app)
    return Events(folder, app, (folder / "events").read_text())


def write_events(folder, app):
    with serve(app) as server:
        account = {"login": app.config.login, "password": app.config.password}
        extra = {"customer_id": app.config.customer_id, "auth_url": server.url, "allow_http": True}
        env = os.environ | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags_lineage"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(folder / "events"), "append": True}
            ),
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(
                {"conn_type": "we360", "host": server.url, "extra": extra, **account}
            ),
            "AIRFLOW_CONN_WE360_PSEUDONYMS": json.dumps(
                {"conn_type": "generic", "password": PSEUDONYM_KEY, "extra": {"version": "v1"}}
            ),
            "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps(
                {"conn_type": "duckdb", "host": str(folder / "w.duckdb")}
            ),
            "AIRFLOW_CONN_SQLITE_DEFAULT": json.dumps(
                {"conn_type": "sqlite", "host": str(folder / "w.sqlite")}
            ),
            "LINEAGE_FILES": str(folder / "files"),
        }
        command = [sys.executable, "-m", "airflow", "dags", "test", "lineage"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    written = folder / "events"
    assert written.exists(), done.stdout[-3000:] + done.stderr[-3000:]


def test_start_and_complete_events_name_input_and_output(events):
    start, complete = events.of("sql", "START"), events.of("sql", "COMPLETE")
    with duckdb.connect(str(events.folder / "w.duckdb"), read_only=True) as database:
        (rows,) = database.execute("SELECT count(*) FROM w.main.days").fetchone()
    assert rows > 20
    assert (
        [named(one) for one in start["inputs"]]
        == [named(one) for one in complete["inputs"]]
        == [REPORT]
    )
    (output,) = complete["outputs"]
    assert named(output) == (f"duckdb://{events.folder / 'w.duckdb'}", "w.main.days")
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == rows


def test_events_hold_columns_with_types_and_descriptions(events):
    complete = events.of("sql", "COMPLETE")
    (read,), (landed,) = (
        [one["facets"]["schema"]["fields"] for one in complete[side]]
        for side in ("inputs", "outputs")
    )
    asked = {field["name"]: (field["type"], field["description"]) for field in read}
    stored = {field["name"]: (field["type"], field["description"]) for field in landed}
    assert asked["online_duration"] == ("duration", "Online, seconds")
    assert stored["online_duration"] == ("BIGINT", "Online, seconds")
    assert set(stored) - set(asked) == {"_we360_tenant", "_we360_run_id", "_we360_loaded_at"}
    with duckdb.connect(str(events.folder / "w.duckdb"), read_only=True) as database:
        described = {row[0]: row[1] for row in database.execute("DESCRIBE days").fetchall()}
    assert {name: kind for name, (kind, _) in stored.items()} == described


def test_file_events_hold_folder_rows_bytes_and_count(events):
    complete = events.of("files", "COMPLETE")
    (output,) = complete["outputs"]
    files = list((events.folder / "files").rglob("*.parquet"))
    assert [named(one) for one in complete["inputs"]] == [REPORT]
    assert named(output) == ("file", str(events.folder / "files"))
    told = output["outputFacets"]["outputStatistics"]
    assert (told["fileCount"], told["size"]) == (3, sum(path.stat().st_size for path in files))
    (landed,) = events.of("sql", "COMPLETE")["outputs"]
    assert told["rowCount"] == landed["outputFacets"]["outputStatistics"]["rowCount"]


def test_pseudonymized_columns_are_masked_in_lineage(events):
    (output,) = events.of("masked", "COMPLETE")["outputs"]
    origins = output["facets"]["columnLineage"]["fields"]
    assert {name: origin["transformationType"] for name, origin in origins.items()} == {
        "attendance_date": "IDENTITY",
        "identity_id": "IDENTITY",
        "email": "MASKED",
        "first_name": "IDENTITY",
        "online_duration": "IDENTITY",
    }
    assert [
        (one["namespace"], one["name"], one["field"]) for one in origins["email"]["inputFields"]
    ] == [(*REPORT, "email")]


def test_failed_load_has_no_counts(events):
    failed = events.of("refused", "FAIL")
    assert [named(one) for one in failed["inputs"]] == [REPORT]
    assert failed["outputs"] == []


def test_hook_only_task_is_covered_by_hook_lineage(events):
    complete = events.of("read", "COMPLETE")
    assert {named(one) for one in complete["inputs"]} == {REPORT}


def test_events_hold_no_secret_and_no_person(events):
    config = events.app.config
    rows = events.app.company.rows(dt.date(2026, 6, 1), dt.date(2026, 6, 3), "detailed")
    people = {
        str(row[name]) for row in rows for name in PERSONAL if len(str(row.get(name) or "")) > 4
    }
    assert people
    assert not {
        secret
        for secret in people | {config.password, config.login, PSEUDONYM_KEY}
        if secret in events.text
    }
    assert not re.search(r"eyJ[\w-]{10,}|[\w.]+@[\w.]+\.\w+", events.text)
