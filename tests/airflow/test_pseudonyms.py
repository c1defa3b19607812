"""``pseudonymize``, from the Dag's argument to the table and the files."""

from __future__ import annotations

import datetime as dt
import json
import logging
from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import PseudonymKey
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from support.airflow_line import AIRFLOW

SECRET = "canary-key-0123456789-abcdefghijklmnop"
OTHER = "canary-variable-0123456789-abcdefghijk"
FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 3)
WINDOW = {"window_start": FIRST.isoformat(), "window_end": LAST.isoformat()}


@pytest.fixture(autouse=True)
def places(monkeypatch):
    """A key in a Connection, and one in a Variable that Airflow masks by its name."""
    connection = {"conn_type": "generic", "password": SECRET, "extra": {"version": "v7"}}
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_VAR_WE360_PSEUDONYM_SECRET", OTHER)


def run(operator):
    ti = SimpleNamespace(dag_id="d", task_id="load", run_id="r", map_index=-1)
    return operator.execute({"ti": ti, "dag_run": None, "outlet_events": {}})


def load(**arguments):
    return run(
        We360ToSqlOperator(
            task_id="load", sql_conn_id="duckdb_default", table="days", **(WINDOW | arguments)
        )
    )


def table(path, sql):
    with duckdb.connect(str(path)) as warehouse:
        return warehouse.execute(sql).fetchall()


NEW_KEY = json.dumps({"conn_type": "generic", "password": OTHER, "extra": {"version": "v8"}})
BOTH = {"identity_id": "conn:people", "email": "var:we360_pseudonym_secret"}
COLUMNS = ["identity_id", "email", "online_duration"]


def test_pseudonymized_columns_still_join(sandbox, duckdb_file, caplog):
    caplog.set_level(logging.DEBUG)
    result = load(columns=COLUMNS, pseudonymize=BOTH)
    ids, emails = PseudonymKey(SECRET.encode(), "v7"), PseudonymKey(OTHER.encode(), "v1")
    truth = {
        (
            row["attendance_date"],
            ids.pseudonym(row["identity_id"]),
            row["email"] and emails.pseudonym(row["email"]),
        )
        for row in sandbox.company.rows(FIRST, LAST, "detailed")
    }
    assert set(table(duckdb_file, "SELECT attendance_date, identity_id, email FROM days")) == truth
    left = caplog.text + json.dumps(result)
    clear = {person.columns["email"] for person in sandbox.company.people} | {
        person.identity_id for person in sandbox.company.people
    }
    assert [word for word in {SECRET, OTHER, *clear} - {None} if word in left] == []
    comments = dict(
        table(
            duckdb_file,
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'days'",
        )
    )
    assert comments["email"] == "Pseudonym (HMAC-SHA256) of: E-mail"


def test_plain_text_personal_columns_are_logged(sandbox, duckdb_file, capfd, caplog):
    caplog.set_level(logging.INFO)
    load(columns=[*COLUMNS, "first_name"], pseudonymize=BOTH)
    told = (
        "".join(capfd.readouterr()) + caplog.text
    )  # a task logs by structlog in Airflow 3, by logging in 2.11
    assert "Personal columns loaded in plain text: first_name" in told
    assert "first_name, email" not in told


def test_user_ids_select_people_stored_as_pseudonyms(sandbox, duckdb_file):
    load(pseudonymize={"identity_id": "conn:people"})
    before = table(duckdb_file, "SELECT count(*), count(DISTINCT identity_id) FROM days")
    person = next(row["identity_id"] for row in sandbox.company.rows(FIRST, FIRST, "detailed"))
    result = load(pseudonymize={"identity_id": "conn:people"}, user_ids=[person])
    assert result["rows"] > 0
    assert table(duckdb_file, "SELECT count(*), count(DISTINCT identity_id) FROM days") == before


def test_pseudonymize_accepts_json(sandbox, duckdb_file):
    load(pseudonymize=json.dumps({"identity_id": "conn:people"}))
    assert table(
        duckdb_file, "SELECT count(*) FROM days WHERE identity_id NOT LIKE 'v7\\_%' ESCAPE '\\'"
    ) == [(0,)]


def test_merge_across_key_versions_is_refused(sandbox, duckdb_file, monkeypatch):
    load(pseudonymize={"identity_id": "conn:people"})
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", NEW_KEY)
    with pytest.raises(We360ConfigError, match="pseudonymize: this load has pseudonyms v8_"):
        load(pseudonymize={"identity_id": "conn:people"}, write_mode="merge")
    load(pseudonymize={"identity_id": "conn:people"})
    assert table(duckdb_file, "SELECT DISTINCT left(identity_id, 3) FROM days") == [("v8_",)]


def test_new_key_overwrites_the_same_file(sandbox, tmp_path, monkeypatch):
    def files(**arguments):
        run(
            We360ToObjectStorageOperator(
                task_id="load", path=str(tmp_path / "out"), **(WINDOW | arguments)
            )
        )
        return sorted((tmp_path / "out").rglob("*.parquet"))

    first = files(pseudonymize={"identity_id": "conn:people"})
    monkeypatch.setenv("AIRFLOW_CONN_PEOPLE", NEW_KEY)
    assert files(pseudonymize={"identity_id": "conn:people"}) == first
    with duckdb.connect() as reader:
        found = reader.execute(
            f"SELECT DISTINCT left(identity_id, 3) FROM '{tmp_path}/out/*/*.parquet'"
        ).fetchall()
    assert found == [("v8_",)]


ASKS_A_TASK = pytest.mark.only_if(
    not (3, 0) <= AIRFLOW < (3, 1),
    reason="outside of a task Airflow 3.0 does not say that there is no Variable, but ImportError",
)


@pytest.mark.parametrize(
    ("pseudonymize", "words"),
    [
        (
            {"identity_id": "people"},
            r"pseudonymize\['identity_id'\]: does not refer to a key; write 'conn:ID'",
        ),
        ({"identity_id": "conn:"}, "does not refer to a key"),
        (
            {"identity_id": "conn:nobody"},
            "conn:nobody: there is no Connection 'nobody'; create one whose Password is the key",
        ),
        (
            {"identity_id": "conn:we360_default"},
            "is a We360 account; give the key a Connection of its own",
        ),
        ({"identity_id": "conn:short"}, "less than 32 characters"),
        ({"identity_id": "conn:odd"}, "version must be 1 to 16 letters and digits"),
        ({"identity_id": "var:pseudonyms"}, "Airflow would show this Variable in plain text"),
        pytest.param(
            {"identity_id": "var:missing_secret"}, "there is no such Variable", marks=ASKS_A_TASK
        ),
        ({"email": "conn:people"}, "'email' is not among the requested columns"),
        ({"online_duration": "conn:people"}, "'online_duration' holds duration"),
        ("no json", "expected a mapping"),
        (["identity_id"], "expected a mapping"),
    ],
)
def test_wrong_pseudonymize_is_named_before_any_request(
    sandbox, duckdb_file, monkeypatch, pseudonymize, words
):
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHORT", json.dumps({"conn_type": "generic", "password": "canary-too-short"})
    )
    odd = {"conn_type": "generic", "password": SECRET, "extra": {"version": "v 1"}}
    monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps(odd))
    monkeypatch.setenv("AIRFLOW_VAR_PSEUDONYMS", OTHER)
    with pytest.raises(We360ConfigError, match=words) as caught:
        load(pseudonymize=pseudonymize)
    assert "canary" not in str(caught.value)
    assert sandbox.request_log.counts["data_requests"] == 0


def test_variable_may_hold_a_version(sandbox, duckdb_file, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_VAR_WE360_PSEUDONYM_SECRET", json.dumps({"key": OTHER, "version": "2027"})
    )
    load(pseudonymize={"identity_id": "var:we360_pseudonym_secret"})
    assert table(duckdb_file, "SELECT DISTINCT left(identity_id, 5) FROM days") == [("2027_",)]
