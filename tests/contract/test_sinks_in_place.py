"""Rows of an equal key are updated in place, and rows that are equal are not touched."""

from __future__ import annotations

import pytest

from airflow_provider_we360.errors import SinkError, We360ConfigError
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks.base import WriteMode
from support import loads
from support.engines import Engine
from support.loads import append, batch, day, load, row, rows

IN_PLACE = pytest.mark.engines("postgres", "postgres over adbc", "sqlite", "duckdb", "mysql")
UPDATES = [WriteMode.REPLACE_WINDOW, WriteMode.MERGE]


@IN_PLACE
@pytest.mark.parametrize("mode", UPDATES)
def test_only_rows_that_differ_are_changed(engine: Engine, table: str, mode: WriteMode) -> None:
    content = [row(1, name, **values) for name, values in loads.NASTY.items()]
    plan = load(write_mode=mode)
    assert engine.load(table, plan, content).rows_changed == len(content)
    assert engine.load(table, plan, content).rows_changed == 0
    changed = [*content[:-1], {**content[-1], "note": "changed"}]
    result = engine.load(table, plan, changed)
    assert (result.rows_changed, result.rows) == (1, len(content))
    assert engine.rows(table) == sorted(batch(changed).rows, key=repr)


@IN_PLACE
def test_only_rows_that_are_gone_are_deleted(engine: Engine, table: str) -> None:
    plan = load(window=(day(1), day(1)))
    engine.load(table, plan, rows(1, 4))
    result = engine.load(table, plan, [*rows(1, 3), row(1, "new")])
    assert (result.rows_changed, result.rows, result.rows_removed) == (2, 4, 4)


@IN_PLACE
@pytest.mark.parametrize("mode", UPDATES)
def test_columns_of_the_user_stay(engine: Engine, table: str, mode: WriteMode) -> None:
    engine.load(table, load(write_mode=mode), rows(1, 2, note="a"))
    engine.execute(
        f"ALTER TABLE {table} ADD COLUMN mine {engine.text}", f"UPDATE {table} SET mine = 'kept'"
    )
    engine.load(table, load(write_mode=mode), rows(1, 3, note="b"))
    found = engine.rows(table, loads.COLUMNS[2:3], extra=("mine",))
    assert [one["mine"] for one in found if one["mine"]] == ["kept", "kept"]
    assert {one["note"] for one in found} == {"b"}


@IN_PLACE
def test_columns_of_another_task_stay(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 2, note="a", seconds=5))
    fewer = tuple(column for column in loads.COLUMNS if column.name != "seconds")
    engine.load(table, load(columns=fewer, run_id="other"), rows(1, 2, note="b"))
    assert engine.rows(table) == sorted(batch(rows(1, 2, note="b", seconds=5)).rows, key=repr)


@pytest.mark.parametrize("mode", UPDATES)
def test_a_refused_column_keeps_no_old_value(engine: Engine, table: str, mode: WriteMode) -> None:
    engine.load(table, load(write_mode=mode), rows(1, 2, note="a", seconds=5))
    fewer = tuple(column for column in loads.COLUMNS if column.name != "seconds")
    plan = load(columns=fewer, refused=("seconds", "never_there"), write_mode=mode, run_id="other")
    engine.load(table, plan, rows(1, 2, note="a"))
    assert engine.rows(table) == sorted(batch(rows(1, 2, note="a")).rows, key=repr)
    if engine.load(table, plan, rows(1, 2, note="a")).rows_changed is not None:
        assert engine.load(table, plan, rows(1, 2, note="a")).rows_changed == 0


@pytest.mark.engines("postgres", "postgres over adbc", "mysql")
@pytest.mark.parametrize("mode", UPDATES)
def test_a_child_table_is_not_emptied(engine: Engine, table: str, mode: WriteMode) -> None:
    engine.load(table, load(write_mode=mode), rows(1, 2, note="a"))
    engine.execute(
        f"ALTER TABLE {table} ADD COLUMN number BIGINT DEFAULT 1",
        f"UPDATE {table} SET number = 2 WHERE identity_id = 'p1'",
        f"CREATE UNIQUE INDEX {table}_i ON {table} (number)",
        f"CREATE TABLE {table}_child (number BIGINT, FOREIGN KEY (number) REFERENCES {table}"
        " (number) ON DELETE CASCADE)",
        f"INSERT INTO {table}_child VALUES (1), (2)",
    )
    for note in ("a", "b"):
        engine.load(table, load(write_mode=mode), rows(1, 2, note=note))
    assert len(engine.execute(f"SELECT number FROM {table}_child")) == 2


def test_duplicates_of_a_table_without_key_are_replaced(engine: Engine, table: str) -> None:
    engine.load(table, append(run_id="one"), rows(1, 2, note="a"))
    engine.load(table, append(run_id="two"), rows(1, 2, note="b"))
    result = engine.load(table, load(), rows(1, 2, note="c"))
    assert (result.rows, result.rows_removed) == (2, 4)
    assert engine.rows(table) == sorted(batch(rows(1, 2, note="c")).rows, key=repr)


@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_key_that_comes_twice_is_refused(engine: Engine, table: str, mode: WriteMode) -> None:
    twice = [row(1, "secret-person", note="a"), row(1, "secret-person", note="b")]
    plan = load(write_mode=mode, window=(day(1), day(1)))
    for answers in ([batch(twice)], [batch(twice[:1]), batch(twice[1:])]):
        with pytest.raises(SinkError, match=r"1 row of the load has the same key") as caught:
            engine.sink(table).load(plan, answers)
        assert "secret-person" not in str(caught.value)
    assert engine.rows(table) == []


def test_a_twin_of_pseudonyms_names_the_remedy(engine: Engine, table: str) -> None:
    prefix = "v1_"
    twins = [row(1, f"{prefix}{'a' * 64}"), row(1, f"{prefix}{'a' * 64}")]
    with pytest.raises(SinkError, match="Pseudonyms of identity_id ignore case"):
        engine.load(table, load(pseudonyms={"identity_id": prefix}), twins)


@pytest.mark.engines("postgres", "postgres over adbc")
@pytest.mark.parametrize("action", ["drops", "moves", "adds"])
def test_a_trigger_that_changes_the_rows_fails_the_load(
    engine: Engine, table: str, action: str
) -> None:
    engine.load(table, load(), rows(1, 2, note="old"))
    body = {
        "drops": "RETURN NULL;",
        "moves": "NEW.attendance_date = '2026-04-09'; RETURN NEW;",
        "adds": f"DELETE FROM {table} WHERE identity_id = 'p0'; RETURN NEW;",
    }[action]
    engine.execute(
        f"CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
        f"CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_f()",
    )
    with pytest.raises(SinkError, match=r"trigger, rule or policy .* rolled back"):
        engine.load(table, load(), rows(1, 4, note="new"))
    assert engine.rows(table) == sorted(batch(rows(1, 2, note="old")).rows, key=repr)


PEOPLE = ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3f2504e0-4f89-11d3-9a0c-0305e82c3302")


@pytest.mark.engines("postgres", "postgres over adbc", "duckdb", "mysql")
@pytest.mark.parametrize("mode", UPDATES)
@pytest.mark.parametrize("type_name", ["uuid", "char(36)"])
def test_a_key_of_another_type_holds_what_fits(
    engine: Engine, table: str, type_name: str, mode: WriteMode
) -> None:
    if type_name == "uuid" and engine.conn_type == "mysql":
        type_name = "char(36) CHARACTER SET ascii"
    engine.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id {type_name},"
        f" note {'text' if engine.conn_type == 'mysql' else engine.text})"
    )
    few: tuple[Column, ...] = loads.COLUMNS[:3]
    plan = load(columns=few, write_mode=mode, user_ids=(PEOPLE[0].upper(), PEOPLE[1]))
    for note, changed in (("a", 2), ("a", 0), ("b", 2)):
        content = [row(1, person, note=note) for person in PEOPLE]
        assert engine.load(table, plan, content).rows_changed == changed
        assert engine.rows(table, few[2:]) == [{"note": note}, {"note": note}]
    found = engine.execute(f"SELECT identity_id FROM {table}")
    assert sorted(str(person) for (person,) in found) == sorted(PEOPLE)


@pytest.mark.engines("postgres", "postgres over adbc", "mysql", "duckdb")
def test_a_key_that_its_type_would_change_is_refused(engine: Engine, table: str) -> None:
    kind, person = (
        ("char(36)", "p1 ") if engine.conn_type == "mysql" else ("uuid", PEOPLE[0].upper())
    )
    engine.execute(f"CREATE TABLE {table} (attendance_date date, identity_id {kind})")
    with pytest.raises(We360ConfigError, match=r"'identity_id' .* changes the value of 1 row"):
        engine.load(table, load(columns=loads.COLUMNS[:2]), [row(1, person)])
    assert engine.execute(f"SELECT * FROM {table}") == []


@pytest.mark.engines("postgres", "postgres over adbc")
def test_a_type_that_rounds_is_refused_for_the_values_it_rounds(engine: Engine, table: str) -> None:
    engine.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id text, percent numeric(5,2),"
        " punch_in timestamp(0))"
    )
    engine.load(table, load(), rows(1, 1, percent=33.25))
    with pytest.raises(
        Exception, match=r"'percent' .* numeric\(5,2\), which changes the value of 1 row"
    ):
        engine.load(table, load(), rows(1, 1, percent=33.333))
    moment = loads.NASTY["fine moment"]["punch_in"]
    with pytest.raises(
        Exception, match=r"'punch_in' .* timestamp\(0\).*, which changes the value of 1 row"
    ):
        engine.load(table, load(), rows(1, 1, punch_in=moment))


@pytest.mark.engines("postgres", "postgres over adbc")
def test_columns_of_a_collation_of_their_own_are_compared(engine: Engine, table: str) -> None:
    engine.execute(
        f'CREATE TABLE {table} (attendance_date date, identity_id text COLLATE "C",'
        ' note text COLLATE "C")'
    )
    few: tuple[Column, ...] = loads.COLUMNS[:3]
    for note in ("Old", "old", "Zoë"):
        for mode in UPDATES:
            engine.load(table, load(columns=few, write_mode=mode), rows(1, 2, note=note))
            assert {one["note"] for one in engine.rows(table, few)} == {note}
