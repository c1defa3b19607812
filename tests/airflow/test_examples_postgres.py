"""Every example Dag whose warehouse is PostgreSQL runs as it stands, on a real one."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict

import pytest
from airflow.models.pool import Pool

from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.run_days import DAY, INDIA, days_of, run_as_of

pytestmark = pytest.mark.usefixtures("airflow_db")


@pytest.fixture
def companies(monkeypatch):
    """Two companies, each with a server, a Connection and a pool of its own: by the name that the example gives them."""
    seeds = {"north-inc": 1, "south-inc": 2}
    north, south = (
        Simulator(SimulatorConfig(customer_id=name, employees=12, seed=seed))
        for name, seed in seeds.items()
    )
    with serve(north) as at_north, serve(south) as at_south:
        for name, app, server in (("north", north, at_north), ("south", south, at_south)):
            extra = {
                "customer_id": app.config.customer_id,
                "auth_url": server.url,
                "allow_http": True,
            }
            account = {
                "login": app.config.login,
                "password": app.config.password,
                "host": server.url,
                "extra": extra,
            }
            monkeypatch.setenv(
                f"AIRFLOW_CONN_WE360_{name.upper()}", json.dumps({"conn_type": "we360", **account})
            )
            Pool.create_or_update_pool(f"we360_{name}", 2, "", include_deferred=False)
        yield {"north": north, "south": south}


def states(run):
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def truth(app, first, last):
    found = app.company.rows(first, last, "detailed")
    return sorted(
        (row["attendance_date"], row["identity_id"], row["online_duration"]) for row in found
    )


def held(postgres, table, where="true"):
    return postgres.execute(
        f"SELECT attendance_date, identity_id, online_duration FROM {table} WHERE {where} ORDER BY 1, 2"
    )


def test_the_daily_load_is_idempotent_over_eight_days(example, sandbox, postgres):
    for _ in range(2):
        run = example("we360_to_postgres").test()
        assert run.state == "success"
    first, last = days_of(run, lookback_days=7)
    assert held(postgres, "hr.we360_days") == truth(sandbox, first, last) != []
    logged = postgres.execute(
        "SELECT count(*), min(day), max(day), count(DISTINCT load_id) FROM hr.we360_load_log"
    )
    assert logged == [(16, first, last, 2)]


@pytest.mark.parametrize("sandbox", [60], indirect=True)
@pytest.mark.long
def test_the_dashboard_has_four_weeks_of_teams_and_nobodys_own(example, sandbox, postgres):
    wednesday = dt.datetime(2026, 6, 3, 12, tzinfo=INDIA)
    mondays = [dt.date(2026, 5, number) for number in (4, 11, 18, 25)]
    for hours in range(2):
        assert (
            run_as_of(example("we360_dashboard"), wednesday + dt.timedelta(hours=hours)).state
            == "success"
        )
    weeks = postgres.execute(
        "SELECT DISTINCT _we360_window_start, _we360_window_end FROM hr.we360_weeks ORDER BY 1"
    )
    assert weeks == [(monday, monday + 6 * DAY) for monday in mondays]
    expected, small = {}, set()
    for first, last in weeks:
        teams = defaultdict(list)
        for row in sandbox.company.rows(first, last, "summary"):
            teams[row["group_name"] or "no team"].append(row)
        expected |= {(first, team): people for team, people in teams.items() if len(people) >= 5}
        small |= {(first, team) for team, people in teams.items() if len(people) < 5}
    board = postgres.execute("SELECT * FROM hr.we360_team_weeks ORDER BY 1, 2")
    assert (
        {(week, team): people for week, team, people, *_ in board}
        == {key: len(rows) for key, rows in expected.items()}
        != {}
    )
    assert small
    for week, team, people, hours, productive in board:
        active, in_use = (
            sum(row[f"{kind}_duration"] or 0 for row in expected[week, team])
            for kind in ("active", "productive")
        )
        assert (float(hours), float(productive)) == pytest.approx(
            (active / 3600 / people, 100 * in_use / active)
        )


@pytest.mark.long
def test_companies_share_a_table_and_never_a_row(example, companies, postgres):
    for _ in range(2):
        run = example("we360_accounts").test()
        assert run.state == "success"
    north, south = (truth(app, *days_of(run, lookback_days=7)) for app in companies.values())
    assert held(postgres, "hr.we360_companies", "_we360_tenant = 'north-inc'") == north != []
    assert held(postgres, "hr.we360_companies", "_we360_tenant = 'south-inc'") == south != north
    assert postgres.execute("SELECT count(*) FROM hr.we360_companies") == [
        (len(north) + len(south),)
    ]


def test_a_company_that_is_refused_holds_up_no_other(example, companies, postgres):
    companies["north"].faults.add("report", "http_403")
    run = example("we360_accounts").test()
    assert states(run) == {"load_north": "failed", "load_south": "success"}
    assert (
        held(postgres, "hr.we360_companies")
        == truth(companies["south"], *days_of(run, lookback_days=7))
        != []
    )
