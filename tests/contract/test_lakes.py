"""What Iceberg and Delta tables do beyond what every target does."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import LoadPlan, OnEmpty, WriteMode
from airflow_provider_we360.sinks.lake_table import CommitConflict
from airflow_provider_we360.sinks.lakehouse import MAX_ATTEMPTS
from support import loads
from support.lakes import Delta, Iceberg, Lake, needs_catalog
from support.loads import COLUMNS, LOADED_AT, append, batch, batches, day, load, merge, row, rows

HOUR = dt.timedelta(hours=1)
KEYS = (Column("attendance_date", Kind.DATE), Column("identity_id"))


@pytest.fixture(
    params=[
        pytest.param(Iceberg, marks=needs_catalog, id="iceberg"),
        pytest.param(Delta, id="delta"),
    ]
)
def lake(request: pytest.FixtureRequest, folder: Path) -> Lake:
    made: Lake = request.param(folder)
    return made


def table_of(lake: Lake, table: str) -> Any:
    """Return the table, opened in its newest version."""
    opened = lake.sink(table)._table
    opened.refresh()
    return opened


def create(lake: Lake, table: str, *columns: Column, content: list[loads.Row] = []) -> None:  # noqa: B006
    """Create a table as a user does: without partition and key."""
    opened = lake.sink(table)._table
    opened.refresh()
    opened.create(columns, [columns[0].name], [], "by hand")
    opened.refresh()
    if content:
        opened.replace(None, [pa.Table.from_pylist(content, schema=opened.schema)], None)


def files_of(lake: Lake, table: str) -> list[str]:
    """Return the data files of the newest version."""
    opened = table_of(lake, table)._table
    if isinstance(lake, Iceberg):
        return sorted(task.file.file_path for task in opened.scan().plan_files())
    return sorted(opened.file_uris())


# One commit


def test_a_load_is_one_commit_that_says_what_it_did(lake: Lake, table: str) -> None:
    lake.load(table, load(), rows(1, 3) + rows(2, 3))
    before = table_of(lake, table).version
    lake.load(table, load(run_id="b", window=(day(1), day(2))), rows(1, 2) + rows(2, 2))
    opened = table_of(lake, table)
    (facts,) = opened.facts_since(before)
    found = json.loads(facts)
    assert opened.version == before + 1
    assert (found["tenant"], found["window"], found["empty_days"]) == (
        loads.TENANT,
        ["2026-04-01", "2026-04-02"],
        {},
    )


def test_a_day_of_a_tenant_is_one_file_sorted_by_person(lake: Lake, table: str) -> None:
    lake.load(table, load(), [row(1, "b"), row(1, "a"), row(2, "z")])
    lake.load(table, load(tenant="other"), rows(1, 2))
    lake.load(table, merge(), [row(1, "c"), row(1, "a")])
    found = [
        re.findall(r"_we360_tenant=([\w-]+).*=([\d-]+)", name)[0] for name in files_of(lake, table)
    ]
    assert found == [
        ("other", "2026-04-01"),
        ("tenant-1", "2026-04-01"),
        ("tenant-1", "2026-04-02"),
    ]
    of_day = files_of(lake, table)[1].removeprefix("file://")
    people = duckdb.sql(f"SELECT identity_id FROM read_parquet('{of_day}')").fetchall()
    assert people == [("a",), ("b",), ("c",)]


def test_the_table_and_its_columns_are_described(lake: Lake, table: str) -> None:
    lake.load(table, load(columns=COLUMNS[:3]), rows(1, 1))
    lake.load(table, load(comment="mine"), rows(1, 1))
    opened = table_of(lake, table)
    if isinstance(lake, Iceberg):
        about = {field.name: field.doc for field in opened._table.schema().fields}
        comment = opened._table.properties["comment"]
    else:
        about = {
            field.name: (field.metadata or {}).get(b"comment", b"").decode() or None
            for field in opened.schema
        }
        comment = opened._table.metadata().description
    assert (about["note"], about["seconds"], about["count"]) == ("It's text", "Seconds", None)
    assert comment.startswith("We360 report dynamic_report, mode detailed")


@pytest.mark.parametrize("plan", [load, merge, append])
def test_a_conflict_repeats_the_whole_load_on_the_new_version(
    lake: Lake, table: str, plan: Callable[..., LoadPlan]
) -> None:
    """Another writer commits between the look at the table and the commit."""
    lake.load(table, append(run_id="first"), rows(1, 1, note="old"))
    sink = lake.sink(table, sleep=lambda seconds: None)
    replace_rows, rivals = sink._table.replace, iter(["a", "b", "c"])

    def overtaken(*how: Any) -> None:
        if rival := next(rivals, None):
            lake.load(table, append(run_id=rival), [row(2, rival)])
        replace_rows(*how)

    sink._table.replace = overtaken
    assert sink.load(plan(window=(day(1), day(1))), batches(rows(1, 1, note="new"))).rows == 1
    people = {one["identity_id"] for one in lake.rows(table)}
    assert people == {"a", "b", "c", "p0"}
    assert len(lake.rows(table)) == (5 if plan is append else 4)


def test_a_table_that_never_comes_to_rest_is_busy(lake: Lake, table: str) -> None:
    lake.load(table, load(), rows(1, 1, note="old"))
    pauses: list[float] = []
    sink = lake.sink(table, sleep=pauses.append)

    def overtaken(*how: Any) -> None:
        raise CommitConflict

    sink._table.replace = overtaken
    with pytest.raises(SinkBusy, match=r"committed to .* first, 40 times in a row; nothing was"):
        sink.load(load(), batches(rows(1, 1, note="new")))
    assert len(pauses) == MAX_ATTEMPTS - 1
    assert max(pauses) <= 5
    assert [one["note"] for one in lake.rows(table)] == ["old"]


@needs_catalog
def test_files_of_a_commit_that_came_too_late_are_removed(folder: Path, table: str) -> None:
    lake = Iceberg(folder)
    lake.load(table, load(), rows(1, 1))
    late = table_of(lake, table)
    lake.load(table, load(run_id="b"), rows(1, 1))
    before = set((folder / "iceberg").rglob("*.parquet"))
    with pytest.raises(CommitConflict):
        late.replace(None, [pa.Table.from_pylist([], schema=late.schema)], None)
    content = pa.Table.from_pylist(lake.arrow(table).to_pylist(), schema=late.schema)
    with pytest.raises(CommitConflict):
        late.replace(None, [content], None)
    assert set((folder / "iceberg").rglob("*.parquet")) == before


# Newer answers


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_day_found_empty_later_stays_empty(lake: Lake, table: str, comes_back: bool) -> None:
    """An empty day has no row that could carry a stamp: its commit says when it was requested."""
    plan = load(window=(day(1), day(1)), on_empty=OnEmpty.REPLACE)
    lake.load(table, plan, rows(1, 2))
    asked = LOADED_AT + HOUR

    def slow() -> Iterator[RowBatch]:
        yield replace(batch(rows(1, 2, note="late")), requested_at=asked)
        newer = asked + (HOUR if comes_back else -HOUR)
        empty = [replace(batch([]), requested_at=newer)]
        lake.sink(table).load(replace(plan, run_id="b"), empty)

    result = lake.sink(table).load(replace(plan, run_id="slow"), slow())
    assert result.days_kept_newer == ((day(1),) if comes_back else ())
    assert len(lake.rows(table)) == (0 if comes_back else 2)


@pytest.mark.parametrize("change", [{"tenant": "other"}, {"filters": '{"user_ids": ["p0"]}'}])
def test_an_empty_day_of_other_rows_keeps_nothing(
    lake: Lake, table: str, change: dict[str, str]
) -> None:
    plan = load(window=(day(1), day(1)), on_empty=OnEmpty.REPLACE)

    def slow() -> Iterator[RowBatch]:
        yield batch(rows(1, 2))
        empty = [replace(batch([]), requested_at=LOADED_AT + HOUR)]
        lake.sink(table).load(replace(plan, run_id="b", **change), empty)

    assert lake.sink(table).load(plan, slow()).rows == 2


# Tables of the user's own


def test_a_column_of_another_type_is_refused_unchanged(lake: Lake, table: str) -> None:
    create(lake, table, *KEYS, Column("seconds"))
    before = table_of(lake, table).version
    with pytest.raises(
        We360ConfigError,
        match=r"column 'seconds' .* does not hold duration: set column_types=\{'seconds': 'text'\}",
    ):
        lake.load(table, load(), rows(1, 1, seconds=1))
    assert table_of(lake, table).version == before


def test_rows_without_a_tenant_are_refused(lake: Lake, table: str) -> None:
    create(lake, table, *KEYS, content=[{"attendance_date": day(1), "identity_id": "p0"}])
    lake_rows = len(lake.arrow(table))
    with pytest.raises(We360ConfigError, match=r"1 row of .* have no _we360_tenant"):
        lake.load(table, load(), rows(1, 1))
    assert len(lake.arrow(table)) == lake_rows


@pytest.mark.parametrize("mode", list(WriteMode))
def test_rows_of_a_shared_file_stay(lake: Lake, table: str, mode: WriteMode) -> None:
    """A table without partitions: a file holds the rows of many days and tenants."""
    ours = [column for column in load().all_columns if column.name.startswith("_we360")]
    mine = Column("mine")
    create(lake, table, *ours, *COLUMNS[:3], mine)
    stamp = {"_we360_tenant": loads.TENANT, "_we360_run_id": "a", "_we360_loaded_at": LOADED_AT}
    held = [stamp | one | {"mine": "x"} for one in rows(1, 2) + rows(2, 2)]
    held.append(held[0] | {"_we360_tenant": "other", "_we360_run_id": "b"})
    opened = table_of(lake, table)
    opened.replace(None, [pa.Table.from_pylist(held, schema=opened.schema)], None)
    plan = load(columns=COLUMNS[:3], window=(day(1), day(1)), run_id="a", write_mode=mode)
    lake.load(table, plan, [row(1, "p0", note="new")])
    found = sorted(
        (one["_we360_tenant"], one["attendance_date"].day, one["identity_id"], one["mine"])
        for one in lake.arrow(table).to_pylist()
    )
    left = [("tenant-1", 2, "p0", "x"), ("tenant-1", 2, "p1", "x")]
    others = {
        WriteMode.REPLACE_WINDOW: [("other", 1, "p0", "x"), *left],
        WriteMode.MERGE: [("other", 1, "p0", "x"), ("tenant-1", 1, "p1", "x"), *left],
        # An earlier try of the same run has left all other rows.
        WriteMode.APPEND: [("other", 1, "p0", "x")],
    }[mode]
    assert found == sorted([*others, ("tenant-1", 1, "p0", None)], key=repr)


def test_a_column_in_another_case_is_the_same_column(lake: Lake, table: str) -> None:
    create(lake, table, Column("Attendance_Date", Kind.DATE), Column("IDENTITY_ID"), Column("Note"))
    for _ in range(2):
        lake.load(table, load(columns=COLUMNS[:3]), [row(1, "p0", note="a")])
    assert lake.arrow(table).select(["Attendance_Date", "IDENTITY_ID", "Note"]).to_pylist() == [
        {"Attendance_Date": day(1), "IDENTITY_ID": "p0", "Note": "a"}
    ]


# The load log


def test_a_log_that_cannot_be_written_names_the_argument(lake: Lake, table: str) -> None:
    sink = lake.sink(table, log=f"{table}_log")

    def broken(*how: Any) -> None:
        raise SinkError("table: no room")

    sink._log_table.replace = broken
    with pytest.raises(SinkError, match=r"^load_log_table: no room. The rows are"):
        sink.load(load(window=(day(1), day(1))), batches(rows(1, 3)))
    assert len(lake.rows(table)) == 3
    again = lake.sink(table, log=f"{table}_log")
    again.load(load(window=(day(1), day(1))), batches(rows(1, 3)))
    assert lake.arrow(f"{table}_log").column("row_count").to_pylist() == [3]


# Errors


def test_no_text_of_a_library_is_shown(lake: Lake, table: str) -> None:
    lake.load(table, load(), rows(1, 1))
    for path in files_of(lake, table):
        Path(path.removeprefix("file://")).unlink()
    with pytest.raises(SinkError, match=r"table: cannot read .* nothing was changed") as caught:
        lake.load(table, load(), rows(1, 1))
    assert ".parquet" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


# Other readers


def test_other_engines_read_the_same_ten_days(lake: Lake, table: str) -> None:
    """DuckDB reads the files that the metadata lists; pyarrow reads the table through its own
    Parquet reader."""
    content = [one for number in range(1, 11) for one in rows(number, 20, seconds=number)]
    lake.load(table, load(), content)
    lake.load(
        table, load(window=(day(3), day(4))), rows(3, 20, seconds=33) + rows(4, 20, seconds=44)
    )
    expected = {number: (20, number * 20) for number in range(1, 11)} | {3: (20, 660), 4: (20, 880)}
    files = [name.removeprefix("file://") for name in files_of(lake, table)]
    named = "attendance_date" if isinstance(lake, Iceberg) else "attendance_date::DATE"
    by_duckdb = duckdb.sql(
        f"SELECT day({named}), count(*), sum(seconds) FROM read_parquet({files}, "
        f"hive_partitioning = {str(isinstance(lake, Delta)).lower()}) GROUP BY 1"
    ).fetchall()
    assert {number: (count, int(total)) for number, count, total in by_duckdb} == expected
