from __future__ import annotations

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.sinks.dialect import Dialect
from airflow_provider_we360.sinks.table_schema import (
    ColumnSchema,
    TableSchema,
    check_schema,
    find_missing_columns,
)
from airflow_provider_we360.sinks.target import TableName, TableRef
from support.loads import COLUMNS, load, summary


def holds(kind: Kind, type_name: str) -> bool:
    return type_name in ("any", kind.value)


DIALECT = Dialect(types={}, holding_types=dict.fromkeys(Kind, frozenset()), holds=holds)
REF = TableRef(TableName("t", "hr"), ("hr", "t"), "hr.t")


def stored(*columns: ColumnSchema) -> TableSchema:
    return TableSchema(REF, {column.name.lower(): column for column in columns})


def made_for(of: LoadPlan) -> TableSchema:
    return stored(*(ColumnSchema(column.name, column.kind.value) for column in of.all_columns))


def test_a_table_made_for_a_load_takes_it_and_lacks_nothing() -> None:
    check_schema(made_for(load()), load(), DIALECT)
    assert find_missing_columns(made_for(load()), load()) == []


def test_case_makes_no_difference() -> None:
    loud = stored(*(ColumnSchema(column.name.upper(), "any") for column in load().all_columns))
    assert find_missing_columns(loud, load()) == []


def test_what_is_lacking_comes_in_the_order_of_the_load() -> None:
    table = stored(ColumnSchema("note", "text"))
    assert [c.name for c in find_missing_columns(table, load(columns=COLUMNS[:4]))] == [
        "_we360_tenant",
        "_we360_run_id",
        "_we360_loaded_at",
        "attendance_date",
        "identity_id",
        "seconds",
    ]


@pytest.mark.parametrize(("there", "comes"), [(load(), summary()), (summary(), load())])
def test_sums_and_days_do_not_share_a_table(there: LoadPlan, comes: LoadPlan) -> None:
    with pytest.raises(We360ConfigError, match="one table holds one mode"):
        check_schema(made_for(there), comes, DIALECT)


def test_a_table_that_was_not_made_by_us_may_take_either() -> None:
    by_hand = stored(ColumnSchema("identity_id", "text"))
    check_schema(by_hand, load(), DIALECT)
    check_schema(by_hand, summary(), DIALECT)


def test_our_own_column_of_another_type_offers_no_column_types() -> None:
    with pytest.raises(We360ConfigError, match="_we360_loaded_at") as caught:
        own = (ColumnSchema("_we360_loaded_at", "text"), ColumnSchema("_we360_tenant", "text"))
        check_schema(stored(*own), load(), DIALECT)
    assert "column_types" not in str(caught.value)
