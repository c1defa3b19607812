"""What every folder of files must do, on disk and in every object store, in every format: rows, names, scope, wholeness."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_we360.errors import EmptyDayRefused, SinkError, WindowOverlaps
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks.base import OnEmpty
from airflow_provider_we360.sinks.formats import FileFormat
from airflow_provider_we360.sinks.storage import LocalStorage, Storage
from support import loads
from support.cloud_stores import Cloud
from support.loads import COLUMNS, LOADED_AT, SUMS, batch, day, load, row, rows, summary
from support.stores import Store, read

NASTY = loads.NASTY | {
    "commas": {"note": ',,",\n,'},
    "formula": {"note": "=1+1"},
    "unicode": {"note": "नमस्ते 👩‍💻 ẞ é e\u0301 \u202e \ufeff \u2028 \x85"},
    "huge": {"note": "x'\"\n" * 750_000},
}
NAME = re.compile(r"attendance_date=2026-04-\d\d/we360-[0-9a-f]{8}\.(parquet|jsonl|csv)")


CLOUDS = [pytest.param(name, marks=pytest.mark.clouds) for name in ("s3", "gcs", "azure")]


@pytest.fixture(params=["plain path", pytest.param("file url", marks=pytest.mark.long), *CLOUDS])
def store(request: pytest.FixtureRequest, folder: Path) -> Store:
    """A folder that is absent yet, for Parquet."""
    if request.param in ("plain path", "file url"):
        plain = str(folder / "we360 days")
        return Store(plain if request.param == "plain path" else f"file://{plain}")
    cloud: Cloud = request.getfixturevalue(request.param)
    return cloud.store()


@pytest.fixture(params=list(FileFormat))
def files(request: pytest.FixtureRequest, store: Store) -> Store:
    """The same for each format."""
    store.file_format = request.param
    return store


@pytest.fixture
def local(folder: Path) -> Store:
    return Store(str(folder / "days"))


def values(content: list[loads.Row], columns: Any = COLUMNS) -> list[loads.Row]:
    """Rows as the files shall hold them: every column, sorted."""
    return sorted(
        ({column.name: one.get(column.name) for column in columns} for one in content), key=repr
    )


# Rows


def test_rows_arrive_unchanged_with_tenant_time_and_run(files: Store) -> None:
    content = [row(1, name, **nasty) for name, nasty in NASTY.items()]
    result = files.load(load(), content)
    assert files.rows() == values(content)
    assert (result.rows, result.rows_removed, result.days_kept, result.where) == (
        len(content),
        0,
        (),
        files.path,
    )
    ours = files.rows((), extra=("_we360_tenant", "_we360_run_id", "_we360_loaded_at"))
    expected = {
        "_we360_tenant": loads.TENANT,
        "_we360_run_id": "dag|run|task|-1",
        "_we360_loaded_at": LOADED_AT,
    }
    assert ours == [expected] * len(content)
    # What is held is counted right, whatever stands in a text.
    assert files.load(load(), content).rows_removed == len(content)


def test_a_file_a_day_named_alike_for_all_time(files: Store) -> None:
    files.load(load(), rows(1, 2) + rows(2, 3))
    extension = files.file_format.value
    assert sorted(files.files()) == [
        f"attendance_date=2026-04-01/we360-6feca309.{extension}",
        f"attendance_date=2026-04-02/we360-6feca309.{extension}",
    ]


def test_a_second_load_leaves_the_very_same_files(files: Store) -> None:
    content = rows(1, 3, count=1) + rows(2, 3, count=2)
    files.load(load(), content)
    once = files.files()
    again = files.load(load(), content)
    assert files.files() == once
    assert (again.rows, again.rows_removed) == (6, 6)


def test_a_load_without_rows_writes_nothing_and_succeeds(files: Store) -> None:
    assert files.load(load(), []).rows == 0
    assert files.sink().load(load(), []).rows == 0
    assert files.files() == {}


def test_many_batches_and_empty_ones_between_are_one_load(files: Store) -> None:
    content = [one for number in range(1, 31, 2) for one in rows(number, 40, note="x" * 2000)]
    stream = (
        batch([one for one in content if one["attendance_date"] == day(number)])
        for number in range(1, 31)
    )
    assert files.sink().load(load(), stream).rows == 600
    assert files.rows() == values(content)
    assert len(files.files()) == 15


def test_batches_of_other_columns_than_announced_are_refused(store: Store) -> None:
    with pytest.raises(SinkError, match="columns of the answer changed"):
        store.sink().load(load(), [batch(rows(1, 1)), batch(rows(2, 1), COLUMNS[:-1])])
    assert store.files() == {}


# Scope


def test_a_load_writes_only_the_files_of_its_window(files: Store) -> None:
    files.load(load(), rows(1, 2) + rows(2, 2) + rows(3, 2) + rows(4, 2))
    files.write("attendance_date=2026-04-02/notes.txt", b"mine")
    files.write("_SUCCESS", b"")
    before = files.files()
    result = files.load(load(window=(day(2), day(3))), [row(2, "new"), row(3, "p0", count=9)])
    assert (result.rows, result.rows_removed) == (2, 4)
    changed = {name for name, content in files.files().items() if before[name] != content}
    assert {name.partition("/")[0] for name in changed} == {
        "attendance_date=2026-04-02",
        "attendance_date=2026-04-03",
    }
    assert all(NAME.fullmatch(name) for name in changed)


def test_each_account_report_mode_and_filter_has_its_own_files(store: Store) -> None:
    wanted = [
        load(),
        load(tenant="another"),
        load(report="another"),
        load(filters='{"group_ids": ["a"]}'),
        load(filters='{"group_ids": ["b"]}'),
    ]
    for one in wanted * 2:
        store.load(one, rows(1, 1))
    assert len(store.files()) == len(wanted)


def test_rows_of_people_whom_user_ids_does_not_name_are_refused(store: Store) -> None:
    store.load(load(user_ids=("p0", "P1")), rows(1, 2, note="old"))
    with pytest.raises(SinkError, match=r"1 row.*user_ids"):
        store.load(load(user_ids=("P0", "p1")), rows(1, 3, note="new"))
    assert store.rows() == values(rows(1, 2, note="old"))


def test_rows_from_outside_of_the_window_are_refused(store: Store) -> None:
    with pytest.raises(SinkError, match="outside of 2026-04-01 to 2026-04-02"):
        store.load(load(window=(day(1), day(2))), rows(1, 1) + rows(3, 1))
    assert store.files() == {}


@pytest.mark.parametrize(
    "parts", [[rows(1, 1) + rows(2, 1)], [rows(1, 1), rows(1, 1)], [[{"identity_id": "p"}]]]
)
def test_batches_that_are_no_days_are_refused(local: Store, parts: list[list[loads.Row]]) -> None:
    with pytest.raises(SinkError, match="nothing was changed"):
        local.sink().load(load(), [batch(part) for part in parts])
    assert local.files() == {}


# Sums


def test_a_sum_is_one_file_and_its_rows_carry_the_windows_edges(files: Store) -> None:
    for _ in range(2):
        result = files.load(summary(1, 30), [row(1, "p0", seconds=5), row(1, "p1")])
    assert (result.rows, result.rows_removed) == (2, 2)
    (name,) = files.files()
    assert name.startswith("_we360_window_start=2026-04-01/we360-")
    assert (
        files.rows((), extra=("_we360_window_start", "_we360_window_end"))
        == [{"_we360_window_start": day(1), "_we360_window_end": day(30)}] * 2
    )


@pytest.mark.parametrize(
    ("first", "last"),
    [(10, 15), (11, 15), (11, 25), (10, 20), (1, 10), (15, 25), (20, 30), (1, 30), (12, 18)],
)
def test_a_sum_that_shares_a_day_with_another_is_refused(
    files: Store, first: int, last: int
) -> None:
    files.load(summary(11, 20), [row(1, "p0", seconds=5)])
    files.load(summary(26, 30), [row(1, "p0", seconds=6)])
    before = files.files()
    if (first, last) == (1, 10):
        assert files.load(summary(first, last), [row(1, "p0")]).rows == 1
        return
    with pytest.raises(
        WindowOverlaps, match=r"window: .* shares days with 2026-04-(11|26) to 2026-04-(20|30)"
    ):
        files.load(summary(first, last), [row(1, "p0", seconds=7)])
    assert files.files() == before
    assert files.load(summary(first, last, tenant="another"), [row(1, "p0")]).rows == 1


def test_a_sum_that_would_vanish_changes_nothing_and_fails(files: Store) -> None:
    files.load(summary(), [row(1, "p0")])
    before = files.files()
    with pytest.raises(EmptyDayRefused, match="2026-04-01"):
        files.load(summary(), [])
    assert files.files() == before
    assert files.load(summary(on_empty=OnEmpty.KEEP), []).days_kept == (day(1),)
    assert files.load(summary(on_empty=OnEmpty.REPLACE), []).rows_removed == 1
    assert files.files() == {}


# Empty and shrunken days


def test_an_empty_day_that_held_rows_fails_the_whole_window(
    files: Store,
) -> None:
    files.load(load(), rows(1, 3, note="old") + rows(2, 5, note="old\n"))
    before = files.files()
    with pytest.raises(
        EmptyDayRefused,
        match=r"2026-04-02: the target holds 5 rows, We360 returned 0.*role.*filters",
    ):
        files.load(load(), rows(1, 3, note="new"))
    assert files.files() == before


def test_an_empty_day_is_kept_if_asked_and_the_others_are_loaded(files: Store) -> None:
    files.load(load(), rows(1, 3, note="old") + rows(2, 30, note="old") + rows(3, 1, note="old"))
    result = files.load(
        load(on_empty=OnEmpty.KEEP), rows(1, 3, note="new") + rows(2, 14, note="new") + rows(4, 2)
    )
    assert (result.rows, result.rows_removed, result.days_kept) == (5, 3, (day(2), day(3)))
    assert files.rows() == values(
        rows(1, 3, note="new") + rows(2, 30, note="old") + rows(3, 1, note="old") + rows(4, 2)
    )


def test_an_empty_day_goes_if_asked_with_its_own_file_alone(files: Store) -> None:
    files.load(load(), rows(1, 3) + rows(2, 30))
    files.load(load(tenant="another"), rows(1, 1, note="theirs"))
    result = files.load(load(on_empty=OnEmpty.REPLACE), rows(2, 1))
    assert (result.rows, result.rows_removed, result.days_kept) == (1, 33, ())
    assert files.rows() == values(rows(2, 1) + rows(1, 1, note="theirs"))


@pytest.mark.parametrize(
    ("held", "comes", "passes"),
    [(19, 1, True), (20, 10, True), (20, 9, False), (21, 10, False), (1, 0, False)],
)
def test_a_day_of_twenty_rows_may_lose_half_of_them_at_most(
    files: Store, held: int, comes: int, passes: bool
) -> None:
    files.load(load(), rows(1, held, note='"o\nl"d\n'))
    if passes:
        assert files.load(load(), rows(1, comes, note="new")).rows == comes
        return
    with pytest.raises(EmptyDayRefused):
        files.load(load(), rows(1, comes, note="new"))


# Wholeness


def test_a_broken_file_is_replaced_by_rows_but_not_by_none(files: Store, caplog: Any) -> None:
    files.load(load(), rows(1, 300, note='a "quoted" text'))
    (name,) = files.files()
    files.write(name, files.files()[name][:-7] if files.file_format == "parquet" else b'{"note": "')
    with pytest.raises(EmptyDayRefused):
        files.load(load(), [])
    assert files.load(load(), rows(1, 2)).rows == 2
    assert files.rows() == values(rows(1, 2))
    assert "is unreadable" in caplog.text


class Killed(BaseException):
    """What a task's time-out is: no Exception."""


@pytest.mark.parametrize("end", [ValueError, Killed])
def test_an_extract_that_breaks_changes_nothing(store: Store, end: type[BaseException]) -> None:
    store.load(load(), rows(1, 3, note="old"))
    before = store.files()

    def broken() -> Iterator[RowBatch]:
        yield batch(rows(1, 3, note="new"))
        raise end("the extract broke")

    with pytest.raises(end, match="the extract broke"):
        store.sink().load(load(), broken())
    assert store.files() == before


class _Breaking(Storage):
    """A storage in which the n-th change does not happen any more."""

    def __init__(self, inner: Storage, survived: int) -> None:
        super().__init__(inner.root)
        self._inner, self._left = inner, survived

    def _change(self, change: Callable[[], None]) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1
        change()

    def put(self, name: str, content: bytes) -> None:
        self._change(lambda: self._inner.put(name, content))

    def remove(self, name: str) -> None:
        self._change(lambda: self._inner.remove(name))

    def require_folder(self) -> None:
        self._inner.require_folder()

    def open(self, name: str) -> Any:
        return self._inner.open(name)

    def list_folders(self) -> list[str]:
        return self._inner.list_folders()


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_task_killed_between_two_files_is_repaired_by_a_rerun(
    files: Store, survived: int
) -> None:
    files.load(load(), rows(1, 1, note="old") + rows(2, 1, note="old") + rows(3, 1, note="old"))
    new = rows(1, 2, note="new") + rows(3, 2, note="new")
    wish = load(on_empty=OnEmpty.REPLACE)
    with pytest.raises(Killed):
        files.sink(_Breaking(files.storage, survived)).load(wish, loads.batches(new))
    expected = [rows(1, 2, note="new"), [], rows(3, 2, note="new")][:survived] + [
        rows(n, 1, note="old") for n in (1, 2, 3)
    ][survived:]
    assert files.rows() == values([one for of_day in expected for one in of_day])
    files.load(wish, new)
    assert files.rows() == values(new)


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from airflow_provider_we360.sinks.storage import LocalStorage
storage = LocalStorage(sys.argv[1], Path(sys.argv[1]))
storage.put("a/b.csv", b"old")
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
storage.put("a/b.csv", b"new and longer")
"""


@pytest.mark.long
def test_a_task_killed_while_it_writes_leaves_the_old_file(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert (tmp_path / "a/b.csv").read_bytes() == b"old"
    left = [place.name for place in (tmp_path / "a").iterdir() if place.name != "b.csv"]
    assert len(left) == 1
    assert re.fullmatch(r"\.b\.csv\.[0-9a-f]{8}\.part", left[0])
    Store(str(tmp_path)).storage.put("a/b.csv", b"new")
    assert (tmp_path / "a/b.csv").read_bytes() == b"new"


def test_a_folder_made_during_the_listing_is_not_a_file(tmp_path: Path) -> None:
    class MadeMeanwhile(type(tmp_path)):  # type: ignore[misc]
        def stat(self, **how: Any) -> os.stat_result:
            try:
                return super().stat(**how)
            except FileNotFoundError:
                Path(str(self)).mkdir()
                raise

    folder = MadeMeanwhile(tmp_path / "days")
    LocalStorage(str(folder), folder).require_folder()
    assert Path(str(folder)).is_dir()


def test_two_loads_at_once_leave_the_whole_file_of_one(local: Store) -> None:
    contents = [rows(1, count, note=str(count)) for count in (300, 400)]
    for _ in range(10):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda content: local.load(load(), content), contents))
        assert local.rows() in [values(content) for content in contents]
        assert len(local.files()) == 1


def test_a_sweep_never_takes_away_what_another_is_about_to_write(local: Store) -> None:
    storage = local.storage
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda number: storage.put("a/b.csv", str(number % 10).encode() * 500), range(2000)
            )
        )
    (content,) = local.files().values()
    assert len(content) == 500
    assert len(set(content)) == 1


def test_nothing_stays_in_the_temporary_folder(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def watched() -> Iterator[RowBatch]:
        for number in (1, 2):
            yield batch(rows(number, 50, note="somebody"))
            assert list(tmp_path.iterdir()) == []

    assert local.sink().load(load(), watched()).rows == 100


# What the storage refuses


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(
        SinkError,
        match=r"path: cannot write attendance_date=2026-04-01.* in /proc/we360 .*Error: .*run the task",
    ):
        Store("/proc/we360").load(load(), rows(1, 1))


@pytest.mark.long
def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new(local: Store) -> None:
    local.load(load(), rows(1, 3, note="old"))
    before = local.files()
    script = f"""
import resource, signal, sys
sys.path.insert(0, "tests")
from pathlib import Path
from airflow_provider_we360.errors import SinkError
from airflow_provider_we360.sinks.storage import LocalStorage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    LocalStorage("days", Path({local.path!r})).put({next(iter(before))!r}, b"x" * 5000)
except SinkError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert re.match(
        r"path: cannot write attendance_date=.*File too large.*run the task again", done.stdout
    )
    assert local.files() == before


# What is in a file


def test_parquet_says_what_its_columns_mean(local: Store) -> None:
    local.load(load(), rows(1, 3, seconds=60))
    (name,) = local.files()
    file = pq.ParquetFile(Path(local.path) / name)
    about = {field.name: field.metadata for field in file.schema_arrow}
    assert about["seconds"] == {b"description": b"Seconds", b"unit": b"seconds"}
    assert about["attendance_date"] == {b"description": b"The local business day"}
    assert about["count"] is None
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert (types["attendance_date"], types["punch_in"], types["seconds"]) == (
        "date32[day]",
        "timestamp[us]",
        "int64",
    )
    assert types["_we360_loaded_at"] == "timestamp[us, tz=UTC]"
    assert file.schema_arrow.metadata == {
        b"we360.report": b"dynamic_report",
        b"we360.mode": b"detailed",
    }
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_csv_keeps_null_apart_from_empty_text(
    local: Store,
) -> None:
    local.file_format = FileFormat.CSV
    local.load(
        load(columns=COLUMNS[:4]),
        [row(1, "p0"), row(1, "p1", note="", seconds=0), row(1, "p2", note='=A1&"x"')],
    )
    (content,) = local.files().values()
    ours = '"tenant-1","dag|run|task|-1",2026-05-01 03:04:05.678901Z'
    assert content.decode().splitlines() == [
        '"_we360_tenant","_we360_run_id","_we360_loaded_at","attendance_date","identity_id","note","seconds"',
        f'{ours},2026-04-01,"p0",,',
        f'{ours},2026-04-01,"p1","",0',
        f'{ours},2026-04-01,"p2","=A1&""x""",',
    ]


def test_a_day_of_many_people_is_written_and_counted_whole(local: Store) -> None:
    content = rows(1, 20_001)
    for file_format in FileFormat:
        local.file_format = file_format
        for _ in range(2):
            result = local.load(load(), content)
        assert (result.rows, result.rows_removed) == (20_001, 20_001)


def test_jsonl_is_an_object_a_line_with_iso_dates(local: Store) -> None:
    local.file_format = FileFormat.JSONL
    local.load(
        load(columns=(*COLUMNS[:3], COLUMNS[-1])),
        [row(1, "p0", note="न\n", punch_in=dt.datetime(2026, 4, 1, 9))],
    )
    (content,) = local.files().values()
    assert content.decode() == (
        '{"_we360_tenant":"tenant-1","_we360_run_id":"dag|run|task|-1","_we360_loaded_at":"2026-05-01T03:04:05.678901Z",'
        '"attendance_date":"2026-04-01","identity_id":"p0","note":"न\\n","punch_in":"2026-04-01T09:00:00"}\n'
    )


def test_a_whole_folder_is_one_table_to_duckdb_and_to_arrow(local: Store) -> None:
    import duckdb

    content = rows(1, 3) + rows(2, 2)
    local.load(load(), content)
    query = (
        f"SELECT attendance_date, count(*) FROM '{local.path}/*/*.parquet' GROUP BY 1 ORDER BY 1"
    )
    assert duckdb.sql(query).fetchall() == [(day(1), 3), (day(2), 2)]
    # The day is a column as well: folders must not be read as another of that name.
    assert pq.read_table(local.path, partitioning=None).num_rows == 5


def test_a_later_column_reads_as_null_in_earlier_files(
    local: Store,
) -> None:
    import duckdb

    one_day = {"window": (day(1), day(1))}
    for file_format, reader in (
        (FileFormat.PARQUET, "read_parquet"),
        (FileFormat.JSONL, "read_json"),
    ):
        local.file_format = file_format
        local.load(load(columns=COLUMNS[:3], **one_day), rows(1, 1, note="early"))
        local.load(load(window=(day(2), day(2))), rows(2, 1, note="late", seconds=60))
        places = (
            f"'{local.path}/*/*.{file_format}', union_by_name = true, hive_partitioning = false"
        )
        found = duckdb.sql(f"SELECT note, seconds FROM {reader}({places}) ORDER BY note").fetchall()
        assert found == [("early", None), ("late", 60)]


def test_a_long_footer_is_read_whole(local: Store) -> None:
    many = tuple(Column(f"column_{number}", description="x" * 500) for number in range(400))
    wide = load(columns=(*COLUMNS, *many))
    for _ in range(2):
        result = local.load(wide, rows(1, 3))
    assert result.rows_removed == 3
    (content,) = local.files().values()
    assert int.from_bytes(content[-8:-4], "little") > 1 << 16
    assert len(read(content, "parquet", COLUMNS)) == 3


def test_sums_have_no_day_of_their_own(local: Store) -> None:
    local.load(summary(), [row(1, "p0")])
    assert "attendance_date" not in local.rows(SUMS)[0]


@pytest.mark.parametrize("figures", [300, pytest.param(9999, marks=pytest.mark.long)])
def test_a_full_temporary_folder_is_named_and_changes_nothing(local: Store, figures: int) -> None:
    script = f"""
import resource, signal, sys
sys.path.insert(0, "tests")
from airflow_provider_we360.errors import SinkError
from support.loads import load, rows
from support.stores import Store
from airflow_provider_we360.sinks.formats import FileFormat
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store({local.path!r}, FileFormat.JSONL)
store.load(load(), rows(1, 3))
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    store.load(load(), rows(1, 3) + rows(2, 3, note="".join(map(str, range({figures})))))
except SinkError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "no room for the rows in" in done.stdout
    assert "TMPDIR" in done.stdout
    local.file_format = FileFormat.JSONL
    assert local.rows() == values(rows(1, 3))
