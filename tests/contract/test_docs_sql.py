"""The SQL that the documentation shows does what it says, in every database that understands it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
import yaml  # type: ignore[import-untyped]

from airflow_provider_we360.cli.dbt_source import build_dbt_source
from airflow_provider_we360.rows.schema import Column, Kind
from support import documents
from support.engines import Engine, MariaDB, Postgres, needs_mariadb
from support.loads import COLUMNS, day, load, row, rows

PERSON = "6f2c1d1e-0000-4000-8000-000000000007"


def blocks(page: str) -> list[str]:
    """The SQL blocks of a page, in order, without indentation."""
    return [block.text for block in documents.blocks("sql", of=[documents.ROOT / "docs" / page])]


@pytest.fixture
def erase() -> str:
    (statement,) = [one for one in blocks("how-to/privacy.md") if one.startswith("DELETE")]
    return statement


def test_erasing_a_person_takes_that_persons_rows_and_no_other(
    engine: Engine, table: str, erase: str
) -> None:
    mine = [row(number, PERSON) for number in (1, 2)]
    engine.load(table, load(tenant="your-company"), rows(1, 3) + rows(2, 3) + mine)
    engine.load(table, load(tenant="another"), mine)
    engine.execute(erase.replace("we360_days", table))
    left = [
        (one["identity_id"], one["_we360_tenant"])
        for one in engine.rows(table, COLUMNS[:2], extra=("_we360_tenant",))
    ]
    assert [tenant for person, tenant in left if person == PERSON] == ["another", "another"]
    assert len(left) == 8


def test_dropping_a_personal_column_takes_it_out_of_all_rows(engine: Engine, table: str) -> None:
    (drop,) = [one for one in blocks("how-to/privacy.md") if one.startswith("ALTER")]
    engine.load(
        table, load(columns=(*COLUMNS, Column("email"))), [row(1, "p0", email="x@acme.example")]
    )
    engine.execute(drop.replace("we360_days", table))
    assert "email" not in engine.column_names(table)
    assert engine.load(table, load(), rows(1, 1)).rows == 1


TEAMS = ("Sales", "Support", None)
WORK = (
    *COLUMNS[:2],
    Column("group_name"),
    *(Column(f"{name}_duration", Kind.DURATION) for name in ("online", "active", "productive")),
    *(Column(f"punch_{way}", Kind.TIMESTAMP) for way in ("in", "out")),
)


@pytest.fixture
def work(engine: Engine, table: str) -> list[dict[str, Any]]:
    """Three weeks of nine people in three teams, some days without data, some without a punch out."""
    content = []
    for number in range(1, 22):
        for person in range(9):
            away = (number + person) % 7 == 0
            online = None if away else 20_000 + 1_111 * person + 37 * number
            active = online and online - 3_000 - 11 * person
            moment = None if away else dt.datetime(2026, 4, number, 22, person)
            left = moment and moment + dt.timedelta(hours=9)
            content.append(
                row(
                    number,
                    f"p{person}",
                    group_name=TEAMS[person % 3],
                    online_duration=online,
                    active_duration=active,
                    productive_duration=active and active // 2 + person,
                    punch_in=moment,
                    punch_out=None if person == 4 else left,
                )
            )
    engine.load(table, load(tenant="your-company", columns=WORK), content)
    engine.load(table, load(tenant="another", columns=WORK), content[:5])
    return content


def asked(
    engine: Engine, table: str, number: int, tenant: str = "your-company"
) -> list[tuple[Any, ...]]:
    """Return what the page's query returns for one tenant, teams without a name last."""
    query = blocks("how-to/query-the-table.md")[number].replace("we360_days", table)
    found = [tuple(row) for row in engine.execute(query.rstrip().rstrip(";"))]
    assert {row[0] for row in found} == {"your-company", "another"}
    of_tenant = [row[1:] for row in found if row[0] == tenant]
    return sorted(of_tenant, key=lambda row: (row[0] is None, row))


@pytest.mark.engines("postgres", "duckdb")
def test_hours_per_team_and_week_are_the_sum_of_the_seconds(
    engine: Engine, table: str, work: list[dict[str, Any]]
) -> None:
    seconds: dict[tuple[object, dt.date], list[int]] = defaultdict(lambda: [0, 0])
    for one in work:
        when = one["attendance_date"]
        monday = when - dt.timedelta(days=when.weekday())
        seconds[one["group_name"], monday][0] += one["online_duration"] or 0
        seconds[one["group_name"], monday][1] += one["active_duration"] or 0
    answer = asked(engine, table, 0)
    assert {(team, week): people for team, week, people, _, _ in answer} == dict.fromkeys(
        seconds, 3
    )
    for team, week, _, online, active in answer:
        expected = [total / 3600 for total in seconds[team, week]]
        assert [float(online), float(active)] == pytest.approx(expected, abs=0.051)


def model(name: str, table: str) -> str:
    """Return a model of the dbt example, as dbt renders it."""
    text = (documents.ROOT / "example_dags/dbt/models" / f"{name}.sql").read_text()
    return jinja2.Template(text).render(source=lambda _, source: {"we360_days": table}[source])


@pytest.mark.engines("postgres", "duckdb")
@pytest.mark.parametrize(
    ("name", "of"), [("team_weeks", "group_name"), ("person_weeks", "identity_id")]
)
def test_a_dbt_model_adds_up_weeks(
    engine: Engine, table: str, work: list[dict[str, Any]], name: str, of: str
) -> None:
    seconds: dict[tuple[object, dt.date], int] = defaultdict(int)
    for one in work:
        when = one["attendance_date"]
        monday = when - dt.timedelta(days=when.weekday())
        seconds[one[of], monday] += one["online_duration"] or 0
    found = engine.execute(
        f"SELECT {of}, week, online_hours FROM ({model(name, table)}) AS weeks "
        "WHERE _we360_tenant = 'your-company'"
    )
    hours = {(who, week): float(online) for who, week, online in found}
    assert hours == pytest.approx({key: total / 3600 for key, total in seconds.items()})


@pytest.mark.engines("postgres", "duckdb", "mariadb")
def test_the_key_that_dbt_tests_is_unique(
    engine: Engine, table: str, work: list[dict[str, Any]]
) -> None:
    (source,) = yaml.safe_load(build_dbt_source(table))["sources"]
    (test,) = source["tables"][0]["data_tests"]
    key = test["unique"]["arguments"]["column_name"]
    counted = engine.execute(f"SELECT count(*), count(DISTINCT {key}) FROM {table}")
    assert [tuple(one) for one in counted] == [(len(work) + 5, len(work) + 5)]


@pytest.mark.engines("postgres", "duckdb")
def test_the_productive_share_is_of_sums(
    engine: Engine, table: str, work: list[dict[str, Any]]
) -> None:
    for team, percent in asked(engine, table, 1):
        of_team = [one for one in work if one["group_name"] == team and one["active_duration"]]
        share = (
            100
            * sum(one["productive_duration"] for one in of_team)
            / sum(one["active_duration"] for one in of_team)
        )
        assert float(percent) == pytest.approx(share, abs=0.051)


@pytest.mark.engines("postgres", "duckdb")
def test_a_missing_punch_out_is_found_once(
    engine: Engine, table: str, work: list[dict[str, Any]]
) -> None:
    expected = [
        (one["attendance_date"], "p4", one["punch_in"])
        for one in work
        if one["punch_in"] and not one["punch_out"]
    ]
    assert asked(engine, table, 2) == sorted(expected)
    assert expected[0][0] == day(1)


@needs_mariadb
@pytest.mark.long
def test_the_grants_for_mysql_are_all_that_a_load_needs(mariadb_port: int, table: str) -> None:
    (grants,) = blocks("how-to/mysql.md")
    user, maria = f"u_{uuid.uuid4().hex[:8]}", MariaDB(mariadb_port)
    here = {
        "'airflow'@'%'": f"'{user}'@'127.0.0.1'",
        "hr.we360_days": f"warehouse.{table}",
        "hr.*": "warehouse.*",
    }
    for shown, name in here.items():
        assert shown in grants
        grants = grants.replace(shown, name)
    maria.execute(
        f"CREATE USER '{user}'@'127.0.0.1'",
        *(line.partition(";")[0] for line in grants.splitlines()),
    )
    airflow = MariaDB(mariadb_port, login=user, password="")
    assert airflow.load(table, load(), rows(1, 1)).rows == 1
    assert (
        airflow.load(table, load(columns=(*COLUMNS, Column("late"))), rows(1, 1)).rows_removed == 1
    )


@pytest.fixture
def no_temporary_tables_for_all(postgres_server: str) -> Iterator[None]:
    """As a careful administrator has it."""
    Postgres(postgres_server).execute("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    yield
    Postgres(postgres_server).execute("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")


@pytest.mark.usefixtures("no_temporary_tables_for_all")
def test_the_grants_for_postgresql_are_all_that_a_load_needs(postgres_server: str) -> None:
    made, theirs = blocks("how-to/postgres.md")
    schema, role, admin = (
        f"s_{uuid.uuid4().hex[:8]}",
        f"r_{uuid.uuid4().hex[:8]}",
        Postgres(postgres_server),
    )
    here = {"TO airflow": f"TO {role}", "hr": schema, "DATABASE analytics": "DATABASE postgres"}
    for shown, name in here.items():
        assert shown in made
        made, theirs = made.replace(shown, name), theirs.replace(shown, name)
    admin.execute(f"CREATE ROLE {role} LOGIN", made)
    airflow = Postgres(postgres_server, login=role)
    assert airflow.load(f"{schema}.own", load(), rows(1, 1)).rows == 1
    assert (
        airflow.load(
            f"{schema}.own", load(columns=(*COLUMNS, Column("late"))), rows(1, 1)
        ).rows_removed
        == 1
    )
    admin.load(f"{schema}.we360_days", load(), rows(1, 1))
    admin.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM {role}", theirs)
    assert airflow.load(f"{schema}.we360_days", load(), rows(1, 1)).rows_removed == 1
