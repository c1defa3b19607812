"""The name that a target gives to those who keep lineage is the one under which it has the rows."""

from __future__ import annotations

import pytest

from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.sinks.dataset import DatasetRef
from support.engines import Engine
from support.loads import batches, load, rows


def told(engine: Engine, table: str) -> DatasetRef:
    """Where three rows landed."""
    sink = engine.sink(table)
    assert sink.dataset() is None
    sink.load(load(), batches(rows(1, 3)))
    place = sink.dataset()
    assert place is not None
    return place


def count(engine: Engine, place: DatasetRef) -> int:
    name = (
        f"`{place.name}`" if engine.conn_type == "gcpbigquery" else place.name
    )  # its project has a hyphen
    ((found,),) = engine.execute(f"SELECT count(*) FROM {name}")
    return int(found)


def test_the_database_has_the_rows_under_the_name_that_is_told(engine: Engine, table: str) -> None:
    place = told(engine, table)
    assert (
        "." in place.name or engine.conn_type == "elsewhere"
    )  # there nothing is known but what the user wrote
    assert count(engine, place) == 3
    assert place.uri.endswith("/".join(["", *place.name.split(".")]))


def test_the_columns_are_told_as_the_table_spells_them(engine: Engine, table: str) -> None:
    place = told(engine, table)
    names = engine.column_names(table)
    if engine.conn_type == "snowflake":
        names = [name.upper() for name in names]  # the engine hands them out in lower case
    assert [stored.name for stored in place.columns.values()] == names
    assert list(place.columns) == [column.name for column in load().all_columns]


def test_the_server_or_file_is_told_and_nobody_s_password(engine: Engine, table: str) -> None:
    place = told(engine, table)
    scheme = {"gcpbigquery": "bigquery"}.get(engine.conn_type, engine.conn_type)
    assert place.namespace.partition(":")[0] == scheme
    assert not [
        secret
        for name in ("login", "password")
        if (secret := engine.connection.get(name)) and f"{secret}@" in place.uri
    ]


def test_a_load_that_changes_nothing_still_has_a_dataset(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 3))
    sink = engine.sink(table)
    with pytest.raises(EmptyDayRefused):
        sink.load(load(), batches([]))
    place = sink.dataset()
    assert place is not None
    assert count(engine, place) == 3
