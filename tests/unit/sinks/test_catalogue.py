from __future__ import annotations

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks.base import Load
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from support.loads import COLUMNS, load, summary


def holds(kind: Kind, type_name: str) -> bool:
    return type_name in ("any", kind.value)


def stored(*columns: StoredColumn) -> StoredTable:
    return StoredTable("hr.t", {column.name.lower(): column for column in columns})


def made_for(of: Load) -> StoredTable:
    return stored(*(StoredColumn(column.name, column.kind.value) for column in of.all_columns))


def test_a_table_made_for_a_load_takes_it_and_lacks_nothing() -> None:
    made_for(load()).require_takes(load(), holds)
    assert made_for(load()).lacks(load()) == []


def test_case_makes_no_difference() -> None:
    loud = stored(*(StoredColumn(column.name.upper(), "any") for column in load().all_columns))
    assert loud.lacks(load()) == []


def test_what_is_lacking_comes_in_the_order_of_the_load() -> None:
    table = stored(StoredColumn("note", "text"))
    assert [c.name for c in table.lacks(load(columns=COLUMNS[:4]))] == [
        "_we360_tenant",
        "_we360_run_id",
        "_we360_loaded_at",
        "attendance_date",
        "identity_id",
        "seconds",
    ]


@pytest.mark.parametrize(("there", "comes"), [(load(), summary()), (summary(), load())])
def test_sums_and_days_do_not_share_a_table(there: Load, comes: Load) -> None:
    with pytest.raises(We360ConfigError, match="one table holds one mode"):
        made_for(there).require_takes(comes, holds)


def test_a_table_that_was_not_made_by_us_may_take_either() -> None:
    by_hand = stored(StoredColumn("identity_id", "text"))
    by_hand.require_takes(load(), holds)
    by_hand.require_takes(summary(), holds)


def test_our_own_column_of_another_type_offers_no_column_types() -> None:
    with pytest.raises(We360ConfigError, match="_we360_loaded_at") as caught:
        stored(
            StoredColumn("_we360_loaded_at", "text"), StoredColumn("_we360_tenant", "text")
        ).require_takes(load(), holds)
    assert "column_types" not in str(caught.value)
