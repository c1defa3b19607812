"""The SQL that the documentation shows does what it says, in every database that understands it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_we360.rows.schema import Column
from support.engines import Engine
from support.loads import COLUMNS, load, row, rows

DOCS = Path(__file__).parents[2] / "docs"
PERSON = "6f2c1d1e-0000-4000-8000-000000000007"


def blocks(page: str) -> list[str]:
    """The SQL blocks of a page, in order, without indentation."""
    found = re.findall(r"^( *)```sql\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(f"(?m)^{indent}", "", text) for indent, text in found]


@pytest.fixture
def erase() -> str:
    (statement,) = [one for one in blocks("how-to/privacy.md") if one.startswith("DELETE")]
    return statement


def test_erasing_a_person_takes_that_persons_rows_and_no_other(engine: Engine, table: str, erase: str) -> None:
    mine = [row(number, PERSON) for number in (1, 2)]
    engine.load(table, load(tenant="your-company"), rows(1, 3) + rows(2, 3) + mine)
    engine.load(table, load(tenant="another"), mine)
    engine.execute(erase.replace("hr.we360_days", table))
    left = [(one["identity_id"], one["_we360_tenant"]) for one in engine.rows(table, COLUMNS[:2], extra=("_we360_tenant",))]
    assert [tenant for person, tenant in left if person == PERSON] == ["another", "another"]
    assert len(left) == 8


def test_dropping_a_personal_column_takes_it_out_of_all_rows(engine: Engine, table: str) -> None:
    (drop,) = [one for one in blocks("how-to/privacy.md") if one.startswith("ALTER")]
    engine.load(table, load(columns=(*COLUMNS, Column("email"))), [row(1, "p0", email="x@acme.example")])
    engine.execute(drop.replace("hr.we360_days", table))
    assert "email" not in engine.column_names(table)
    assert engine.load(table, load(), rows(1, 1)).rows == 1
