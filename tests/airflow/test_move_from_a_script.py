"""Run docs/how-to/move-from-a-script.md on a table as such scripts leave it, in PostgreSQL."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to/move-from-a-script.md"
FIRST, LAST = dt.date(2026, 6, 1), dt.date(2026, 6, 10)
DOUBLED, MISSED, SHORT, HAUNTED = (dt.date(2026, 6, number) for number in (2, 3, 4, 5))
"""Days on which the script ran twice, failed, lost a page, and kept a row that We360 has taken back."""


@pytest.fixture
def steps(sandbox):
    """The page's SQL in order, for the sandbox's Customer ID."""
    found = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = ("script's table", "compare", "new table, old name", "types", "adopt", "left", "key")
    assert len(found) == len(names)
    return dict(
        zip(
            names,
            (one.replace("your-company", sandbox.config.customer_id) for one in found),
            strict=True,
        )
    )


@pytest.fixture
def script_table(sandbox, postgres, steps):
    """As the script left it."""
    do(postgres, steps["script's table"])
    rows = [row for row in sandbox.company.rows(FIRST, LAST) if row["attendance_date"] != MISSED]
    rows += [row for row in rows if row["attendance_date"] == DOUBLED]
    rows.remove(next(row for row in rows if row["attendance_date"] == SHORT))
    ghost = next(row for row in rows if row["attendance_date"] == HAUNTED) | {
        "identity_id": "gone",
        "online_duration": None,
    }
    values = ", ".join(
        f"('{row['attendance_date']}', '{row['identity_id']}', 'x@acme.example', '{as_sent(row['online_duration'])}')"
        for row in [*rows, ghost]
    )
    do(postgres, f"INSERT INTO hr.attendance VALUES {values}")
    return rows


def as_sent(seconds):
    return (
        "-" if seconds is None else f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    )


def do(postgres, statements):
    """What the last statement answers."""
    return postgres.execute(
        *(one for one in re.sub(r"\b(BEGIN|COMMIT);", "", statements).split(";\n") if one.strip())
    )


def load(table, **arguments):
    given = {
        "task_id": "load",
        "sql_conn_id": "postgres_default",
        "window_start": str(FIRST),
        "window_end": str(LAST),
    }
    context = {
        "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id="manual", map_index=-1),
        "dag_run": SimpleNamespace(
            run_after=dt.datetime(2026, 6, 20, tzinfo=dt.UTC), start_date=None
        ),
        "outlet_events": {},
    }
    return We360ToSqlOperator(table=table, **(given | arguments)).execute(context)


def held(postgres, table):
    return postgres.execute(
        f"SELECT attendance_date, identity_id, online_duration FROM {table} ORDER BY 1, 2"
    )


def truth(sandbox):
    return sorted(
        (row["attendance_date"], row["identity_id"], row["online_duration"])
        for row in sandbox.company.rows(FIRST, LAST)
    )


@pytest.mark.usefixtures("script_table")
def test_the_comparison_names_only_the_days_that_differ(postgres, steps):
    load("hr.we360_days")
    found = {
        row[0]: row[1:4]
        for row in do(
            postgres, "SELECT * FROM (" + steps["compare"].rstrip().rstrip(";") + ") AS differing"
        )
    }
    assert found.keys() == {DOUBLED, MISSED, SHORT, HAUNTED}
    rows, people, ours = found[DOUBLED]
    assert (rows, people) == (2 * people, ours)
    assert found[MISSED][:2] == (None, None)
    assert found[SHORT][1] == found[SHORT][2] - 1
    assert found[HAUNTED][1] == found[HAUNTED][2] + 1


@pytest.mark.usefixtures("script_table")
def test_readers_find_the_new_rows_under_the_old_name(sandbox, postgres, steps):
    load("hr.we360_days")
    before = postgres.execute("SELECT count(*) FROM hr.attendance")
    do(postgres, steps["new table, old name"])
    assert held(postgres, "hr.attendance") == truth(sandbox) != []
    assert postgres.execute("SELECT count(*) FROM hr.attendance_of_the_script") == before


@pytest.mark.usefixtures("script_table")
@pytest.mark.parametrize("beforehand", [True, False])
def test_the_statement_in_the_error_adopts_the_old_table(sandbox, postgres, steps, beforehand):
    do(postgres, steps["types"])
    before = postgres.execute(
        "SELECT count(*), count(online_duration), sum(online_duration) FROM hr.attendance"
    )
    if not beforehand:
        with pytest.raises(AirflowFailException, match="Adopt them once") as refused:
            load("hr.attendance")
        (adopt,) = re.findall(r"UPDATE .*;", str(refused.value))
        assert adopt in " ".join(steps["adopt"].split())
    do(postgres, steps["adopt"])
    assert (
        postgres.execute(
            "SELECT count(*), count(online_duration), sum(online_duration) FROM hr.attendance"
        )
        == before
    )
    load("hr.attendance", window_end=str(SHORT))
    left = do(postgres, "SELECT * FROM (" + steps["left"].rstrip().rstrip(";") + ") AS unloaded")
    assert left[0][0] == HAUNTED
    load("hr.attendance")
    assert (
        do(postgres, "SELECT * FROM (" + steps["left"].rstrip().rstrip(";") + ") AS unloaded") == []
    )
    assert held(postgres, "hr.attendance") == truth(sandbox) != []
    do(postgres, steps["key"])
    load("hr.attendance")
    assert held(postgres, "hr.attendance") == truth(sandbox)
    assert postgres.execute("SELECT count(email) FROM hr.attendance") != [(0,)]
    postgres.execute("ALTER TABLE hr.attendance DROP COLUMN email")
    load("hr.attendance")
    assert held(postgres, "hr.attendance") == truth(sandbox)
