"""Files of many days: several at once if the store allows it, in bounded memory."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import IO, Any

import pytest

from airflow_provider_we360.errors import SinkError
from airflow_provider_we360.sinks import files, formats
from airflow_provider_we360.sinks.base import LoadResult
from airflow_provider_we360.sinks.files import FileSink
from airflow_provider_we360.sinks.storage import LocalStorage
from support.loads import batches, day, load, rows

DAYS = range(1, 13)


class SlowStorage(LocalStorage):
    """A folder whose files come and go only when as many others are under way, or after a moment.

    :param broken: name of a day's folder that cannot be written.
    """

    def __init__(self, folder: Path, *, at_once: int, broken: str = "") -> None:
        super().__init__(str(folder), folder)
        self.max_parallel = at_once
        self.most_seen = {"open": 0, "put": 0}
        self.written: list[str] = []
        self._broken = broken
        self._under_way = {"open": 0, "put": 0}
        self._changed = threading.Condition()

    def open(self, name: str) -> IO[bytes] | None:
        self._meet("open")
        return super().open(name)

    def put(self, name: str, content: bytes) -> None:
        self._meet("put")
        if self._broken and self._broken in name:
            raise SinkError("path: cannot write here")
        super().put(name, content)
        self.written.append(name)

    def _meet(self, doing: str) -> None:
        with self._changed:
            self._under_way[doing] += 1
            self.most_seen[doing] = max(self.most_seen[doing], self._under_way[doing])
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most_seen[doing] >= self.max_parallel, timeout=0.2)
            self._under_way[doing] -= 1


def take(storage: LocalStorage, content: list[dict[str, object]]) -> LoadResult:
    wanted = load(window=(day(DAYS[0]), day(DAYS[-1])))
    sink = FileSink(storage, formats.get(formats.FileFormat.PARQUET), "parquet")
    return sink.load(wanted, batches(content, wanted.columns))


def of_all_days(note: str) -> list[dict[str, object]]:
    return [one for number in DAYS for one in rows(number, 3, note=note)]


def test_days_are_read_and_written_in_parallel(tmp_path: Path) -> None:
    storage = SlowStorage(tmp_path, at_once=4)
    result = take(storage, of_all_days("new"))
    assert storage.most_seen == {"open": 4, "put": 4}
    assert (result.rows, len(storage.written)) == (36, 12)
    assert take(storage, of_all_days("newer")).rows_removed == 36


def test_large_files_are_written_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES_IN_FLIGHT", 1)
    storage = SlowStorage(tmp_path, at_once=4)
    take(storage, of_all_days("new"))
    assert storage.most_seen == {"open": 4, "put": 1}


def test_nothing_is_written_after_a_file_has_failed(
    tmp_path: Path,
) -> None:
    storage = SlowStorage(tmp_path, at_once=2, broken=f"={day(3).isoformat()}")
    with pytest.raises(SinkError, match="cannot write here"):
        take(storage, of_all_days("new"))
    written = [*storage.written]
    assert len(written) < len(DAYS) - 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("we360-files")]
    assert storage.written == written


class Pieces(io.RawIOBase):
    """Counts what is written."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.sizes.append(memoryview(content).nbytes)
        return self.sizes[-1]


@pytest.mark.parametrize("file_format", [formats.FileFormat.CSV, formats.FileFormat.JSONL])
def test_text_is_written_to_the_disk_in_pieces(file_format: formats.FileFormat) -> None:
    wanted, out = load(window=(day(1), day(1))), Pieces()
    (only,) = batches(rows(1, 50_000, note="a note of some length"), wanted.columns)
    layout = formats.Layout(wanted)
    rows_of_day = layout.add_own_columns(only.to_arrow(), only.requested_at)
    formats.get(file_format).write(layout, rows_of_day, out)
    assert max(out.sizes) <= sum(out.sizes) / 5
