"""People under pseudonyms, in every warehouse: nobody is there twice, nobody else's rows go."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import PseudonymKey
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks.base import WriteMode
from support.engines import Engine
from support.loads import COLUMNS, append, day, load, merge, row, rows, summary

OLD, NEW = PseudonymKey(b"o" * 32, "v1"), PseudonymKey(b"n" * 32, "V2")


def under(key: PseudonymKey, number: int, people: int, **values):
    return [
        one | {"identity_id": key.pseudonym(one["identity_id"])}
        for one in rows(number, people, **values)
    ]


def named(key: PseudonymKey):
    return {"pseudonyms": {"identity_id": key.prefix}}


def people(engine: Engine, table: str) -> list[str]:
    return sorted(one["identity_id"] for one in engine.rows(table, COLUMNS[:2]))


@pytest.mark.parametrize("mode", [WriteMode.REPLACE_WINDOW, WriteMode.MERGE])
def test_rows_of_the_same_key_take_each_others_place(
    engine: Engine, table: str, mode: WriteMode
) -> None:
    for _ in range(2):
        engine.load(table, load(write_mode=mode, **named(OLD)), under(OLD, 1, 3))
    assert people(engine, table) == sorted(one["identity_id"] for one in under(OLD, 1, 3))


@pytest.mark.parametrize("before", ["clear", "old key", "pseudonyms, now clear"])
@pytest.mark.parametrize("way", ["merge", "user_ids"])
def test_other_pseudonyms_within_the_window_stop_the_load(
    engine: Engine, table: str, before: str, way: str
) -> None:
    there = rows(1, 3) if before == "clear" else under(OLD, 1, 3)
    engine.load(table, load(**({} if before == "clear" else named(OLD))), there)
    now = rows(1, 1) if before == "pseudonyms, now clear" else under(NEW, 1, 1)
    told = {} if before == "pseudonyms, now clear" else named(NEW)
    with pytest.raises(We360ConfigError, match=r"pseudonymize: .* 3 rows .*replace_window"):
        if way == "merge":
            engine.load(table, merge(**told), now)
        else:
            engine.load(table, load(user_ids=(now[0]["identity_id"],), **told), now)
    assert people(engine, table) == sorted(one["identity_id"] for one in there)


def test_a_replace_of_whole_days_moves_them_to_the_new_key(engine: Engine, table: str) -> None:
    engine.load(table, load(**named(OLD)), under(OLD, 1, 2) + under(OLD, 2, 2))
    engine.load(table, load(window=(day(1), day(1)), **named(NEW)), under(NEW, 1, 2))
    assert people(engine, table) == sorted(
        one["identity_id"] for one in under(NEW, 1, 2) + under(OLD, 2, 2)
    )
    engine.load(table, merge(window=(day(1), day(1)), **named(NEW)), under(NEW, 1, 1))
    assert len(people(engine, table)) == 4


def test_user_ids_replace_only_those_people_under_pseudonyms(engine: Engine, table: str) -> None:
    engine.load(table, load(**named(NEW)), under(NEW, 1, 3, note="old"))
    one = NEW.pseudonym("p1")
    engine.load(table, load(user_ids=(one,), **named(NEW)), [row(1, one, note="new")])
    notes = {found["identity_id"]: found["note"] for found in engine.rows(table)}
    assert notes == {
        NEW.pseudonym(f"p{number}"): "new" if number == 1 else "old" for number in range(3)
    }


def test_another_tenants_people_do_not_count(engine: Engine, table: str) -> None:
    engine.load(table, load(tenant="other"), rows(1, 3))
    assert engine.load(table, merge(**named(NEW)), under(NEW, 1, 2)).rows == 2


def test_a_merged_sum_is_held_to_it_in_its_own_window(engine: Engine, table: str) -> None:
    engine.load(table, summary(1, 7), [{"identity_id": "p0"}])
    engine.load(table, summary(8, 14, **named(NEW)), [{"identity_id": NEW.pseudonym("p0")}])
    with pytest.raises(We360ConfigError, match="pseudonymize"):
        engine.load(
            table,
            summary(1, 7, write_mode=WriteMode.MERGE, **named(NEW)),
            [{"identity_id": NEW.pseudonym("p0")}],
        )


def test_an_append_adds_whatever_comes(engine: Engine, table: str) -> None:
    engine.load(table, append(run_id="one"), rows(1, 1))
    assert engine.load(table, append(run_id="two", **named(NEW)), under(NEW, 1, 1)).rows == 1


def test_a_personal_column_that_is_no_longer_asked_for_is_told(
    engine: Engine, table: str, caplog
) -> None:
    caplog.set_level(logging.WARNING, "airflow_provider_we360")
    wide = (*COLUMNS, Column("email", personal=True))
    personal = frozenset({"email", "gender"})
    engine.load(
        table,
        load(columns=wide, personal=personal),
        [row(1, "p0", email="meera.canary@acme.example")],
    )
    assert "personal" not in caplog.text
    engine.load(table, load(window=(day(2), day(2)), personal=personal), rows(2, 1))
    assert (
        "has personal columns that this task does not load: email. Rows of earlier loads"
        in caplog.text
    )
    assert "meera" not in caplog.text
