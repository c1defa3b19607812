"""What every warehouse must do, on the real database: rows, scope, types, and the shape of the table."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_we360.errors import EmptyDayRefused, SinkError, We360ConfigError
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import OnEmpty, WriteMode
from support import loads
from support.engines import Engine
from support.loads import COLUMNS, LOADED_AT, append, batch, day, load, merge, row, rows, summary

MODES = list(WriteMode)
NASTY = loads.NASTY | {
    "commas": {"note": ',,",\n,'},
    "end of copy": {"note": "\\."},
    "end of copy on a line": {"note": "a\n\\.\nb"},
    "backslash N": {"note": "\\N"},
    "unicode": {"note": "नमस्ते 👩‍💻 ẞ é e\u0301 \u202e \ufeff"},
    "placeholders": {"note": "%s %(x)s ? :a $1 100%"},
}


def values(content: list[loads.Row], columns: tuple[Column, ...] = COLUMNS) -> list[loads.Row]:
    """Rows as the table shall hold them: every column, sorted."""
    return sorted(
        ({column.name: one.get(column.name) for column in columns} for one in content), key=repr
    )


# Rows


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.core
def test_rows_arrive_unchanged_with_tenant_time_and_run(
    engine: Engine, table: str, mode: WriteMode
) -> None:
    content = [row(1, name, **nasty) for name, nasty in NASTY.items()]
    content.append(row(1, "huge", note=("x'\"\n" * 250_000)[: engine.longest_text]))
    result = engine.load(table, load(write_mode=mode), content)
    assert engine.rows(table) == values(content)
    assert (result.rows, result.rows_removed, result.days_kept, result.where) == (
        len(content),
        0,
        (),
        engine.full_name(table),
    )
    ours = engine.rows(table, (), extra=("_we360_tenant", "_we360_run_id", "_we360_loaded_at"))
    assert ours == [
        {
            "_we360_tenant": loads.TENANT,
            "_we360_run_id": "dag|run|task|-1",
            "_we360_loaded_at": LOADED_AT,
        },
    ] * len(content)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.core
def test_a_retry_of_a_run_leaves_the_same_rows(engine: Engine, table: str, mode: WriteMode) -> None:
    content = rows(1, 3, count=1) + rows(2, 3, count=2)
    engine.load(table, load(write_mode=mode), content)
    again = engine.load(table, load(write_mode=mode), content)
    assert engine.rows(table) == values(content)
    assert (again.rows, again.rows_removed) == (6, 6)


@pytest.mark.parametrize("mode", MODES)
def test_a_load_without_rows_makes_the_table_and_succeeds(
    engine: Engine, table: str, mode: WriteMode
) -> None:
    result = engine.load(table, load(write_mode=mode), [])
    assert (result.rows, result.rows_removed) == (0, 0)
    assert engine.rows(table) == []


def test_a_load_without_a_single_batch_succeeds(engine: Engine, table: str) -> None:
    assert engine.sink(table).load(load(), []).rows == 0


def test_many_batches_and_empty_ones_between_are_one_load(engine: Engine, table: str) -> None:
    content = [one for number in range(1, 31, 2) for one in rows(number, 40, note="x" * 2000)]
    stream = (
        batch([one for one in content if one["attendance_date"] == day(number)])
        for number in range(1, 31)
    )
    assert engine.sink(table).load(load(), stream).rows == 600
    assert engine.rows(table) == values(content)


def test_batches_of_other_columns_than_announced_are_refused(engine: Engine, table: str) -> None:
    fewer = COLUMNS[:-1]
    engine.load(table, load(), [])
    with pytest.raises(SinkError, match="columns of the answer changed"):
        engine.sink(table).load(load(), [batch(rows(1, 1)), batch(rows(2, 1), fewer)])
    assert engine.rows(table) == []


# Scope


@pytest.mark.core
def test_replace_window_replaces_only_the_days_of_the_window(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 2) + rows(2, 2) + rows(3, 2) + rows(4, 2))
    result = engine.load(
        table, load(window=(day(2), day(3))), [row(2, "new"), row(3, "p0", count=9)]
    )
    assert (result.rows, result.rows_removed) == (2, 4)
    assert engine.rows(table) == values(
        [*rows(1, 2), row(2, "new"), row(3, "p0", count=9), *rows(4, 2)]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.core
def test_two_tenants_in_one_table_never_touch_each_other(
    engine: Engine, table: str, mode: WriteMode
) -> None:
    engine.load(table, load(tenant="it's another", run_id="other"), rows(1, 3, note="theirs"))
    for _ in range(2):
        engine.load(table, load(write_mode=mode), rows(1, 2, note="ours"))
    assert engine.rows(table) == values(rows(1, 3, note="theirs") + rows(1, 2, note="ours"))


def test_with_user_ids_only_those_people_are_replaced(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 4, note="old"))
    engine.load(
        table, load(user_ids=("p1", "P2")), [row(1, "p1", note="new"), row(1, "p2", note="new")]
    )
    assert engine.rows(table) == values(
        [
            row(1, "p0", note="old"),
            row(1, "p1", note="new"),
            row(1, "p2", note="new"),
            row(1, "p3", note="old"),
        ]
    )


def test_rows_of_people_whom_user_ids_does_not_name_are_refused(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 3, note="old"))
    with pytest.raises(SinkError, match="user_ids"):
        engine.load(table, load(user_ids=("p1",)), rows(1, 2, note="new"))
    assert engine.rows(table) == values(rows(1, 3, note="old"))


def test_rows_from_outside_of_the_window_are_refused(engine: Engine, table: str) -> None:
    with pytest.raises(SinkError, match="outside of 2026-04-01 to 2026-04-02"):
        engine.load(table, load(window=(day(1), day(2))), rows(1, 1) + rows(3, 1))
    assert engine.rows(table) == []


@pytest.mark.core
def test_merge_replaces_only_rows_of_the_same_key(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 3, note="old") + rows(2, 3, note="old"))
    result = engine.load(table, merge(), [row(1, "p1", note="new"), row(1, "p9", note="new")])
    assert (result.rows, result.rows_removed) == (2, 1)
    assert engine.rows(table) == values(
        [
            *(
                row(1, f"p{person}", note="new" if person in (1, 9) else "old")
                for person in (0, 1, 2, 9)
            ),
            *rows(2, 3, note="old"),
        ]
    )


@pytest.mark.core
def test_an_append_of_another_run_adds(engine: Engine, table: str) -> None:
    engine.load(table, append(run_id="one"), rows(1, 2))
    engine.load(table, append(run_id="two"), rows(1, 2))
    assert engine.rows(table) == values(rows(1, 2) * 2)


def test_an_append_that_breaks_the_key_names_the_alternative(engine: Engine, table: str) -> None:
    engine.load(table, load(run_id="one"), [row(1, "secret-person")])
    with pytest.raises(SinkError, match=r"Use write_mode='replace_window' or 'merge'") as caught:
        engine.load(table, append(run_id="two"), [row(1, "secret-person")])
    assert "secret-person" not in str(caught.value)
    # No driver's words: where the database does not enforce the key, there is no driver's error.
    shown = None if caught.value.__suppress_context__ else caught.value.__context__
    assert (caught.value.__cause__, shown) == (None, None)
    assert engine.rows(table) == values([row(1, "secret-person")])


def test_replace_window_of_a_filtered_group_offers_merge(engine: Engine, table: str) -> None:
    with pytest.raises(We360ConfigError, match=r"write_mode: .*'merge'"):
        load(group_filtered=True)
    assert engine.load(table, merge(group_filtered=True), rows(1, 1)).rows == 1


# Empty and shrunken days


@pytest.mark.core
def test_an_empty_day_that_held_rows_changes_nothing_and_fails(engine: Engine, table: str) -> None:
    old = rows(1, 3, note="old") + rows(2, 5, note="old")
    engine.load(table, load(), old)
    with pytest.raises(
        EmptyDayRefused,
        match=r"2026-04-02: the target holds 5 rows, We360 returned 0.*role.*filters",
    ):
        engine.load(table, load(), rows(1, 3, note="new"))
    assert engine.rows(table) == values(old)


@pytest.mark.core
def test_an_empty_day_is_kept_if_asked_and_the_others_are_loaded(
    engine: Engine, table: str
) -> None:
    engine.load(
        table, load(), rows(1, 3, note="old") + rows(2, 30, note="old") + rows(3, 1, note="old")
    )
    result = engine.load(
        table,
        load(on_empty=OnEmpty.KEEP),
        rows(1, 3, note="new") + rows(2, 14, note="new") + rows(4, 2),
    )
    assert (result.rows, result.rows_removed, result.days_kept) == (5, 3, (day(2), day(3)))
    assert engine.rows(table) == values(
        rows(1, 3, note="new") + rows(2, 30, note="old") + rows(3, 1, note="old") + rows(4, 2)
    )


@pytest.mark.core
def test_an_empty_day_goes_if_asked(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 3) + rows(2, 30))
    result = engine.load(table, load(on_empty=OnEmpty.REPLACE), rows(2, 1))
    assert (result.rows, result.rows_removed, result.days_kept) == (1, 33, ())
    assert engine.rows(table) == values(rows(2, 1))


@pytest.mark.parametrize(
    ("held", "comes", "passes"),
    [(19, 1, True), (20, 10, True), (20, 9, False), (21, 10, False), (1, 0, False)],
)
def test_a_day_of_twenty_rows_may_lose_half_of_them_at_most(
    engine: Engine, table: str, held: int, comes: int, passes: bool
) -> None:
    engine.load(table, load(), rows(1, held, note="old"))
    if passes:
        assert engine.load(table, load(), rows(1, comes, note="new")).rows == comes
        return
    with pytest.raises(EmptyDayRefused):
        engine.load(table, load(), rows(1, comes, note="new"))
    assert engine.rows(table) == values(rows(1, held, note="old"))


def test_emptiness_is_judged_within_the_scope_only(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 30))
    engine.load(table, load(tenant="other"), rows(1, 30) + rows(2, 30))
    assert engine.load(table, load(user_ids=("p1",)), [row(1, "p1")]).rows == 1
    assert engine.load(table, load(window=(day(3), day(4))), []).rows == 0
    with pytest.raises(EmptyDayRefused, match="holds 1 row"):
        engine.load(table, load(user_ids=("p1",)), [])


# Summary


@pytest.mark.core
def test_a_summary_replaces_its_own_pair_of_edges_and_no_other(engine: Engine, table: str) -> None:
    people = [{"identity_id": "p0", "count": 1}, {"identity_id": "p1", "count": 1}]
    engine.load(table, summary(1, 7), people)
    engine.load(table, summary(8, 14), people)
    result = engine.load(table, summary(1, 7), [{"identity_id": "p1", "count": 2}])
    assert (result.rows, result.rows_removed) == (1, 2)
    assert engine.rows(
        table, loads.SUMS[:1] + loads.SUMS[3:4], extra=("_we360_window_start", "_we360_window_end")
    ) == [
        {
            "identity_id": "p0",
            "count": 1,
            "_we360_window_start": day(8),
            "_we360_window_end": day(14),
        },
        {
            "identity_id": "p1",
            "count": 1,
            "_we360_window_start": day(8),
            "_we360_window_end": day(14),
        },
        {
            "identity_id": "p1",
            "count": 2,
            "_we360_window_start": day(1),
            "_we360_window_end": day(7),
        },
    ]


@pytest.mark.parametrize(("first", "last"), [(7, 9), (1, 1), (1, 8), (2, 7), (2, 3), (7, 7)])
def test_a_summary_that_shares_days_with_another_is_refused(
    engine: Engine, table: str, first: int, last: int
) -> None:
    engine.load(table, summary(1, 7), [{"identity_id": "p0"}])
    with pytest.raises(
        SinkError, match=f"window: {day(first)} to {day(last)} .* {day(1)} to {day(7)}"
    ) as caught:
        engine.load(table, summary(first, last), [{"identity_id": "p0"}])
    assert isinstance(caught.value, AirflowFailException)
    assert len(engine.rows(table, loads.SUMS)) == 1
    assert (
        engine.load(table, summary(first, last, tenant="other"), [{"identity_id": "p0"}]).rows == 1
    )


def test_an_empty_summary_is_one_unit(engine: Engine, table: str) -> None:
    people = [{"identity_id": f"p{number}"} for number in range(20)]
    engine.load(table, summary(1, 7), people)
    with pytest.raises(EmptyDayRefused, match=r"holds 20 rows, We360 returned 9"):
        engine.load(table, summary(1, 7), people[:9])
    kept = engine.load(table, summary(1, 7, on_empty=OnEmpty.KEEP), people[:9])
    assert (kept.rows, kept.rows_removed, kept.days_kept) == (0, 0, (day(1),))
    assert len(engine.rows(table, loads.SUMS)) == 20
    assert engine.load(table, summary(1, 7, on_empty=OnEmpty.REPLACE), []).rows_removed == 20


def test_a_merged_summary_replaces_people_of_its_own_window_only(
    engine: Engine, table: str
) -> None:
    for edges in ((1, 7), (8, 14)):
        engine.load(table, summary(*edges), [{"identity_id": "p0", "count": 1}])
    engine.load(
        table, summary(8, 14, write_mode=WriteMode.MERGE), [{"identity_id": "p0", "count": 2}]
    )
    assert sorted(one["count"] for one in engine.rows(table, loads.SUMS)) == [1, 2]


def test_one_table_holds_one_mode(engine: Engine, table: str) -> None:
    engine.load(table, load(), rows(1, 1))
    engine.load(f"{table}_sums", summary(), [{"identity_id": "p0"}])
    for wrong in (
        lambda: engine.load(table, summary(), []),
        lambda: engine.load(f"{table}_sums", load(), []),
    ):
        with pytest.raises(We360ConfigError, match="one table holds one mode"):
            wrong()


# The table


def test_a_table_may_be_required_to_exist(engine: Engine, table: str) -> None:
    with pytest.raises(We360ConfigError, match="create_table"):
        engine.load(table, load(create_table=False), rows(1, 1))
    assert not engine.has_table(table)
    engine.load(table, load(), [])
    assert engine.load(table, load(create_table=False), rows(1, 1)).rows == 1


@pytest.mark.core
def test_a_new_column_is_added_and_old_rows_have_none_of_it(engine: Engine, table: str) -> None:
    fewer = (*COLUMNS[:2],)
    engine.load(table, load(columns=fewer, window=(day(1), day(1))), rows(1, 1))
    engine.load(table, load(window=(day(2), day(2))), rows(2, 1, seconds=5, note="x"))
    assert engine.rows(table) == values([row(1, "p0"), row(2, "p0", seconds=5, note="x")])


def test_a_new_column_may_be_forbidden(engine: Engine, table: str) -> None:
    engine.load(table, load(columns=COLUMNS[:3]), rows(1, 1))
    with pytest.raises(
        We360ConfigError, match=r"lacks seconds, count, percent, punch_in and evolve_schema"
    ):
        engine.load(table, load(evolve_schema=False), rows(1, 1))
    assert "seconds" not in engine.column_names(table)


def test_a_column_that_the_load_lacks_is_null_and_stays(engine: Engine, table: str) -> None:
    engine.load(table, load(window=(day(1), day(1))), rows(1, 1, seconds=5))
    engine.load(table, load(columns=COLUMNS[:2], window=(day(2), day(2))), rows(2, 1))
    assert engine.rows(table) == values([row(1, "p0", seconds=5), row(2, "p0")])


def test_a_column_that_demands_a_value_is_named(engine: Engine, table: str) -> None:
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text}, badge {engine.text} NOT NULL)"
    )
    with pytest.raises(We360ConfigError, match="requires a value for badge"):
        engine.load(table, load(columns=COLUMNS[:2]), rows(1, 1))


def test_a_demanding_column_with_a_default_is_left_to_the_target(
    engine: Engine, table: str
) -> None:
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text}, badge {engine.text} DEFAULT 'x' NOT NULL)"
    )
    engine.load(table, load(columns=COLUMNS[:2]), rows(1, 1))
    assert engine.rows(table, (), extra=("badge",)) == [{"badge": "x"}]


def test_names_that_differ_by_case_only_are_one_column(engine: Engine, table: str) -> None:
    loud = (*COLUMNS[:2], Column("Extra_Text"))
    engine.load(table, load(columns=loud), rows(1, 1, Extra_Text="a"))
    quiet = (*COLUMNS[:2], Column("extra_text"))
    engine.load(table, load(columns=quiet), rows(1, 1, extra_text="b"))
    assert engine.execute(f"SELECT extra_text FROM {table}") == [("b",)]
    assert (
        engine.load(table.upper(), load(columns=quiet), rows(1, 1, extra_text="c")).rows_removed
        == 1
    )


def test_reserved_words_are_names_like_others(engine: Engine, table: str) -> None:
    words = (*COLUMNS[:2], Column("select"), Column("user"), Column("order", Kind.BIGINT))
    content = rows(1, 1, select="a", user="b", order=1)
    engine.load(table, load(columns=words), content)
    assert engine.rows(table, words) == values(content, words)


@pytest.mark.core
def test_a_column_of_another_type_fails_before_any_change(engine: Engine, table: str) -> None:
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text}, seconds {engine.text})"
    )
    with pytest.raises(
        We360ConfigError,
        match=r"column 'seconds' .* does not hold duration: set column_types=\{'seconds': 'text'\}",
    ):
        engine.load(table, load(), rows(1, 1, seconds=1))
    assert engine.column_names(table) == ["attendance_date", "identity_id", "seconds"]
    as_text = tuple(Column("seconds") if column.name == "seconds" else column for column in COLUMNS)
    assert engine.load(table, load(columns=as_text), rows(1, 1, seconds="0:00:01")).rows == 1


def test_a_key_column_of_another_type_is_not_to_be_retyped(engine: Engine, table: str) -> None:
    engine.execute(f"CREATE TABLE {table} (attendance_date INTEGER, identity_id {engine.text})")
    with pytest.raises(
        We360ConfigError, match=r"column 'attendance_date' .* alter the column"
    ) as caught:
        engine.load(table, load(), rows(1, 1))
    assert "column_types" not in str(caught.value)


@pytest.mark.core
def test_rows_of_unknown_origin_name_the_update_that_adopts_them(
    engine: Engine, table: str
) -> None:
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text})",
        f"INSERT INTO {table} VALUES ('2026-04-01', 'p0'), ('2026-04-02', 'p0')",
    )
    mine = load(tenant="o'neill", columns=COLUMNS[:2])
    with pytest.raises(We360ConfigError, match=r"2 rows .* UPDATE ") as caught:
        engine.load(table, mine, rows(1, 1))
    assert len(engine.rows(table, COLUMNS[:2])) == 2
    engine.execute(str(caught.value)[str(caught.value).index("UPDATE") :].rstrip(";"))
    assert engine.load(table, mine, rows(1, 2) + rows(2, 1)).rows_removed == 2
    assert len(engine.rows(table, COLUMNS[:2])) == 3


def test_an_empty_table_made_by_hand_is_taken_as_it_is(engine: Engine, table: str) -> None:
    engine.execute(
        f"CREATE TABLE {table} (identity_id {engine.text}, attendance_date DATE, mine {engine.text})"
    )
    engine.load(table, load(), rows(1, 2, note="x"))
    assert engine.rows(table) == values(rows(1, 2, note="x"))


def test_old_rows_without_the_reports_key_are_pointed_at(engine: Engine, table: str) -> None:
    engine.execute(
        f"CREATE TABLE {table} (_we360_tenant {engine.text}, attendance_date DATE, identity_id {engine.text})",
        f"INSERT INTO {table} VALUES ('{loads.TENANT}', '2026-04-01', NULL)",
    )
    with pytest.raises(We360ConfigError, match=r"1 row .* no identity_id"):
        engine.load(table, load(columns=COLUMNS[:2]), rows(1, 1))


@pytest.mark.parametrize("mode", MODES)
def test_keys_take_no_null_in_a_table_that_we_make(
    engine: Engine, table: str, mode: WriteMode
) -> None:
    with pytest.raises(SinkError, match="no value for column identity_id"):
        engine.load(
            table, load(write_mode=mode), [{"attendance_date": day(1), "identity_id": None}]
        )
    assert engine.rows(table) == []


def test_a_row_without_a_day_is_never_loaded(engine: Engine, table: str) -> None:
    engine.execute(f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text})")
    with pytest.raises(SinkError, match="no value for column attendance_date"):
        engine.load(table, load(columns=COLUMNS[:2]), [{"identity_id": "p0"}])
    assert engine.rows(table, COLUMNS[:2]) == []


@pytest.mark.engine_has("enforces_keys")
@pytest.mark.parametrize(
    ("mode", "refused"),
    [(WriteMode.REPLACE_WINDOW, True), (WriteMode.MERGE, True), (WriteMode.APPEND, False)],
)
@pytest.mark.core
def test_the_key_is_a_primary_key_unless_rows_are_appended(
    engine: Engine, table: str, mode: WriteMode, refused: bool
) -> None:
    engine.load(table, load(write_mode=mode), rows(1, 1))
    names = ", ".join(f'"{name}"' for name in engine.column_names(table))
    twice = f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}"
    if refused:
        with pytest.raises(Exception, match=r"(?i)unique|primary|duplicate"):
            engine.execute(twice)
    else:
        engine.execute(twice)


def test_a_value_too_large_for_its_column_is_not_shown(engine: Engine, table: str) -> None:
    engine.load(table, load(), [])
    engine.execute(f"DROP TABLE {table}")
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text}, note {engine.text} CHECK (length(note) < 9))"
    )
    with pytest.raises(SinkError) as caught:
        engine.load(table, load(columns=COLUMNS[:3]), rows(1, 1, note="do not tell anybody"))
    assert "tell anybody" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    assert engine.rows(table, COLUMNS[:3]) == []
