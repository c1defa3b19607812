"""A server that shares no code with us, at its worst: the operators' ten days are its truth, in every kind of target."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace

import pytest

from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from support.engines import DuckDB, Engine, Postgres, SQLite
from support.examples import few
from support.foreign_server import CUSTOMER_ID, PASSWORD, USERNAME, VARIANTS, ForeignServer, Variant
from support.proof import COLUMNS, trimmed
from support.stores import Store

TEN_FAULTS = Variant(
    slow_seconds=0.2,
    faults=(
        (1, "503"),
        (3, "429"),
        (5, "truncated"),
        (7, "cut_off"),
        (9, "dead_token"),
        (11, "503"),
        (13, "slow"),
        (15, "cut_off"),
        (17, "truncated"),
        (18, "dead_token"),
    ),
)
FORMS = ("full", "renamed", "has_next", "absent")
NOON = dt.datetime(2026, 7, 1, 6, 30, tzinfo=dt.UTC)


TARGETS = ("sqlite", "postgres", "duckdb", "parquet")


@pytest.fixture(params=TARGETS)
def target(request, tmp_path):
    """Loads the server's days by the real operator, and tells what a stranger reads there."""
    if request.param == "parquet":
        return lambda **more: We360ToObjectStorageOperator(
            task_id="load", path=str(tmp_path / "files"), **more
        ), lambda: Store(str(tmp_path / "files")).rows(COLUMNS)
    if request.param == "postgres":
        engine: Engine = Postgres(request.getfixturevalue("server"))
        engine.execute("DROP TABLE IF EXISTS foreign_days")
    else:
        engine = DuckDB(tmp_path) if request.param == "duckdb" else SQLite(tmp_path)
    return (
        lambda **more: We360ToSqlOperator(
            task_id="load", sql_conn_id=engine.conn_id, table="foreign_days", **more
        ),
        lambda: engine.rows("foreign_days", COLUMNS),
    )


@pytest.fixture
def load(target, monkeypatch):
    make, rows = target

    def run(server, **more):
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
        context = {
            "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id="manual", map_index=-1),
            "dag_run": SimpleNamespace(run_after=NOON, start_date=NOON),
            "outlet_events": {},
        }
        window = {
            "window_start": str(server.company.first_day),
            "window_end": str(server.company.last_day),
        }
        make(**window, **more).execute(context)
        return rows()

    return run


@pytest.fixture
def held(target):
    """What lies in the target."""
    return target[1]


def test_ten_faults_cost_neither_a_row_nor_an_airflow_retry(load):
    with ForeignServer(TEN_FAULTS) as server:
        assert load(server) == trimmed(server.truth()) != []
        assert server.data_requests >= 18, "not all ten faults were met"


# Which rows a server shows is decided before any target sees one: make test loads one kind.
@pytest.mark.parametrize("target", few(TARGETS), indirect=True)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("past_end", ["empty", "404"])
def test_a_silent_cap_of_17_rows_loses_no_row(load, form, past_end):
    with ForeignServer(Variant(form, cap=17, past_end=past_end)) as server:
        assert load(server) == trimmed(server.truth()) != []


def test_a_scope_that_turns_empty_empties_nothing_unless_told_so(load, held):
    with ForeignServer("plain") as server:
        before = load(server)
    with ForeignServer("empty_scope") as server:
        with pytest.raises(EmptyDayRefused):
            load(server)
        assert held() == before != []
        assert load(server, on_empty="keep") == before
        assert load(server, on_empty="replace") == []


def test_a_restated_past_takes_the_place_of_the_old_one(load):
    with ForeignServer("plain", seed=7) as server:
        before = load(server)
    with ForeignServer("plain", seed=8) as server:
        assert load(server, on_empty="replace") == trimmed(server.truth()) != before


@pytest.mark.parametrize("target", ["sqlite"], indirect=True)
@pytest.mark.parametrize("variant", sorted(VARIANTS.keys() - {"empty_scope"}))
def test_every_variant_of_the_server_is_loaded_whole(load, variant):
    with ForeignServer(variant) as server:
        assert load(server) == trimmed(server.truth()) != []
