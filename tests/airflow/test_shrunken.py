"""What We360 shows is less than before, or another's, or elsewhere: each load ends right, or stops with words that help."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from types import SimpleNamespace

import duckdb
import pytest

from airflow_provider_we360.errors import EmptyDayRefused, We360ConfigError
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve

FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 3)


@pytest.fixture
def company(monkeypatch):
    """Sixty people: their days are large enough to be guarded against losing half of their rows."""
    sandbox = Simulator(SimulatorConfig(employees=60))
    with serve(sandbox) as server:
        monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", connection(server.url))
        yield sandbox


@pytest.fixture
def other_company(monkeypatch):
    """Another customer of We360, behind the Connection ``we360_other``."""
    sandbox = Simulator(SimulatorConfig(employees=30, seed=7, customer_id="other-co"))
    with serve(sandbox) as server:
        monkeypatch.setenv(
            "AIRFLOW_CONN_WE360_OTHER", connection(server.url, customer_id="other-co")
        )
        yield sandbox


def connection(url, **extra):
    config = SimulatorConfig()
    known = {
        "customer_id": config.customer_id,
        "auth_url": url,
        "allow_http": True,
        "token_cache": "memory",
    }
    account = {
        "conn_type": "we360",
        "host": url,
        "login": config.login,
        "password": config.password,
    }
    return json.dumps(account | {"extra": known | extra})


def load(run_id="manual", **arguments):
    given = {
        "task_id": "load",
        "sql_conn_id": "duckdb_default",
        "table": "days",
        "load_log_table": "log",
        "window_start": str(FIRST),
        "window_end": str(LAST),
    }
    noon = dt.datetime(2026, 6, 4, 6, 30, tzinfo=dt.UTC)
    context = {
        "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id=run_id, map_index=-1),
        "dag_run": SimpleNamespace(run_after=noon, start_date=noon),
        "outlet_events": {},
    }
    return We360ToSqlOperator(**(given | arguments)).execute(context)


@pytest.fixture
def ask(duckdb_file):
    def query(sql):
        with duckdb.connect(str(duckdb_file)) as database:
            return database.execute(sql).fetchall()

    return query


@pytest.fixture
def table(ask):
    """Day, person and team of all rows of a tenant."""

    def rows(tenant="acme-demo"):
        return ask(
            f"SELECT attendance_date, identity_id, group_name FROM days WHERE _we360_tenant = '{tenant}' ORDER BY 1, 2"
        )

    return rows


def truth(sandbox, sees=lambda row: True):
    rows = sandbox.company.rows(FIRST, LAST)
    return sorted(
        (row["attendance_date"], row["identity_id"], row["group_name"]) for row in rows if sees(row)
    )


# An account that sees fewer people


def test_narrowed_account_changes_nothing_and_is_named(company, table, ask):
    load()
    before, log = table(), ask("SELECT * FROM log ORDER BY ALL")
    company.identity.change_account(sees=(company.company.groups[0].name,))
    with pytest.raises(
        EmptyDayRefused,
        match=r"2026-06-01: the target holds \d+ rows, We360 returned \d+.*role.*filters.*on_empty",
    ):
        load("later")
    assert table() == before == truth(company)
    assert ask("SELECT * FROM log ORDER BY ALL") == log


def test_kept_days_stay_and_are_logged_as_kept(company, table, ask):
    load()
    company.identity.change_account(sees=())
    assert load("later", on_empty="keep", window_end=str(LAST + dt.timedelta(days=1)))["rows"] == 0
    assert table() == truth(company)
    assert ask(
        "SELECT day, outcome, row_count FROM log WHERE _we360_run_id LIKE '%later%' ORDER BY day"
    ) == [
        (FIRST, "kept", 0),
        (FIRST + dt.timedelta(days=1), "kept", 0),
        (LAST, "kept", 0),
        (LAST + dt.timedelta(days=1), "loaded", 0),
    ]


def test_replace_accepts_a_narrowed_role_once(company, table):
    load()
    team = company.company.groups[0].name
    company.identity.change_account(sees=(team,))
    load(on_empty="replace")
    assert table() == truth(company, lambda row: row["group_name"] == team) != []
    load()
    assert table() == truth(company, lambda row: row["group_name"] == team)


def test_account_without_rows_logs_loaded_empty_days(company, ask):
    company.identity.change_account(sees=())
    assert load()["rows"] == 0
    assert ask("SELECT outcome, row_count, count(*) FROM log GROUP BY ALL") == [("loaded", 0, 3)]


# Two tenants in one table


def test_tenants_in_one_table_are_judged_separately(company, other_company, table, ask):
    load()
    load(we360_conn_id="we360_other", run_id="other")
    assert (table(), table("other-co")) == (truth(company), truth(other_company))
    other_company.identity.change_account(sees=())
    with pytest.raises(EmptyDayRefused):
        load(we360_conn_id="we360_other", run_id="other")
    load(we360_conn_id="we360_other", run_id="other", on_empty="replace")
    assert (table(), table("other-co")) == (truth(company), [])
    load()
    assert table() == truth(company)
    assert ask("SELECT DISTINCT _we360_tenant, count(*) FROM log GROUP BY ALL ORDER BY 1") == [
        ("acme-demo", 3),
        ("other-co", 3),
    ]


# Filtered extracts


def test_load_of_some_people_replaces_only_them(company, table):
    load()
    people = sorted({person for _, person, _ in truth(company)})[:2]
    company.company.people = tuple(
        one for one in company.company.people if one.identity_id != people[0]
    )
    before = table()
    load(user_ids=[people[1]])
    assert table() == before, "the one who is gone was not asked for, and stays"
    with pytest.raises(We360ConfigError, match=r"write_mode: .*'merge'"):
        load(group_ids=[company.company.groups[0].id])
    assert table() == before


def test_load_of_one_team_merges_into_the_table(company, table, ask):
    load()
    team = company.company.groups[0]
    # Rows that did not change keep their run: the team is out of date here.
    ask(f"UPDATE days SET group_name = 'Old name' WHERE group_name = '{team.name}'")
    load("later", group_ids=[team.id], write_mode="merge")
    assert table() == truth(company)
    newer = ask("SELECT DISTINCT group_name FROM days WHERE _we360_run_id LIKE '%later%'")
    assert newer == [(team.name,)]
    assert ask("SELECT DISTINCT split_part(filters, ' ', 1) FROM log ORDER BY 1") == [
        ("",),
        ("group_ids",),
    ]


# Somebody moved, and something was taken back


def test_person_who_moved_teams_is_stored_once(company, table):
    load()
    moved = next(
        one
        for one in company.company.people
        if one.group and (FIRST, one.identity_id) in {row[:2] for row in table()}
    )
    team = next(group for group in company.company.groups if group != moved.group)
    company.company.people = tuple(
        replace(one, group=team) if one.identity_id == moved.identity_id else one
        for one in company.company.people
    )
    load("of the old team", group_ids=[moved.group.id], write_mode="merge")
    assert (FIRST, moved.identity_id, moved.group.name) in table(), (
        "a load of one team cannot know who left it"
    )
    load("of the new team", group_ids=[team.id], write_mode="merge")
    assert table() == truth(company)
    load("of all")
    assert table() == truth(company)
    assert (FIRST, moved.identity_id, team.name) in table()


def test_withdrawn_rows_go_on_replace_and_stay_on_merge(company, table):
    load()
    gone = truth(company)[0][1]
    before = table()
    company.company.people = tuple(one for one in company.company.people if one.identity_id != gone)
    load("merged", write_mode="merge")
    assert table() == before
    load("replaced")
    assert table() == truth(company)
    assert gone not in {person for _, person, _ in table()}


# The log's argument


@pytest.mark.parametrize("nothing", [None, "", " ", "None"])
def test_load_log_rendered_to_nothing_is_off(company, ask, nothing):
    assert "load_log_table" in We360ToSqlOperator.template_fields
    load(load_log_table=nothing)
    assert ask("SELECT table_name FROM information_schema.tables") == [("days",)]
