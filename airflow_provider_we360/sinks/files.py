"""FileSink: the course of a load into files, a file a day."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_we360.errors import SinkError, WindowOverlaps
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import WINDOW_START, Load, LoadResult, OnEmpty
from airflow_provider_we360.sinks.emptiness import days_to_keep
from airflow_provider_we360.sinks.formats import Format, Held, Layout, Unreadable
from airflow_provider_we360.sinks.place import Place, Stored, folder
from airflow_provider_we360.sinks.storage import Storage
from airflow_provider_we360.types import Day

if TYPE_CHECKING:
    import pyarrow as pa

log = getLogger(__name__)
T = TypeVar("T")

MOST_BYTES = 64 * 2**20
"""So many bytes of finished files are on their way into the storage at once, or one file."""


class FileSink:
    """Loads into files of one folder, each named after tenant, day and filter set.

    :param extension: of the files' names, without dot.
    """

    def __init__(self, storage: Storage, file_format: Format, extension: str) -> None:
        storage.require_folder()
        self._storage = storage
        self._format = file_format
        self._extension = extension
        self._columns: tuple[Column, ...] = ()

    def load(self, load: Load, batches: Iterable[RowBatch]) -> LoadResult:
        """All files finished on this machine, then judged, then written; see :class:`airflow_provider_we360.sinks.base.Sink`.

        What is atomic is a file: a load that ends while files are written leaves each day as it was or as it is now.
        """
        self._columns = load.all_columns
        with _Spool() as spool:
            return _Course(self._storage, self._format, self._extension, load, spool).take(batches)

    def place(self) -> Place:
        from airflow_provider_we360.rows.arrow import ARROW_TYPES

        return folder(
            self._storage.root,
            {c.name: Stored(c.name, str(ARROW_TYPES[c.kind])) for c in self._columns},
        )


class _Spool(io.RawIOBase):
    """Finished files, one behind the other, in a temporary file that is unlinked while open: whatever ends this process,
    nothing of it stays on the disk.
    """

    def __init__(self) -> None:
        super().__init__()
        # Unbuffered: what a full disk has refused must not be tried once more when the file is closed.
        self._file = tempfile.TemporaryFile(prefix="we360-", buffering=0)  # noqa: SIM115 - closed at exit

    def close(self) -> None:
        self._file.close()
        super().close()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, content: Any) -> int:
        """All of it.

        :raises SinkError: the disk has no room.
        """
        left = memoryview(content).cast("B")
        size_bytes = len(left)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise refusals.no_room(error) from None
        return size_bytes

    def take(self, finished: _Finished) -> bytes:
        """The file's content; several threads may take at once."""
        parts: list[bytes] = []
        begin, end = finished.begin, finished.begin + finished.size_bytes
        while begin < end:
            part = os.pread(self._file.fileno(), end - begin, begin)
            assert part, "a file of our own, without a name, was cut off"
            parts.append(part)
            begin += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Finished:
    """A finished file in the spool: where it begins, bytes and rows."""

    begin: int
    size_bytes: int
    rows: int


class _Course:
    """One load on its way. Where the window is one unit (summary), it goes by its first day."""

    def __init__(
        self, storage: Storage, file_format: Format, extension: str, load: Load, spool: _Spool
    ) -> None:
        self._storage = storage
        self._format = file_format
        self._layout = Layout(load)
        self._load = load
        self._spool = spool
        self._file = f"we360-{_eight_hex(load)}.{extension}"
        self._finished: dict[Day, _Finished] = {}

    def take(self, batches: Iterable[RowBatch]) -> LoadResult:
        for batch in batches:
            self._finish(batch)
        if self._load.day_column is None:
            self._require_no_overlap()
        looked = self._each(self._look, list(self._days()), self._storage.most_at_once)
        held = {day: found.rows for day, found in looked.items() if found}
        coming = {day: file.rows for day, file in self._finished.items()}
        kept = days_to_keep(held, coming, self._load.on_empty)
        largest_bytes = max((file.size_bytes for file in self._finished.values()), default=1)
        at_once = min(self._storage.most_at_once, max(1, MOST_BYTES // largest_bytes))
        self._each(
            lambda day: self._exchange(day, held),
            [day for day in self._days() if day not in kept],
            at_once,
        )
        return LoadResult(
            rows=sum(rows for day, rows in coming.items() if day not in kept),
            rows_removed=sum(rows for day, rows in held.items() if day not in kept),
            days_kept=kept,
            where=self._storage.root,
            held=held,
            files=sum(day not in kept for day in self._finished),
            size_bytes=sum(
                file.size_bytes for day, file in self._finished.items() if day not in kept
            ),
        )

    # On this machine

    def _finish(self, batch: RowBatch) -> None:
        """The batch as a finished file in the spool."""
        if batch.columns != self._load.columns:
            raise refusals.other_columns()
        if len(batch) == 0:
            return
        day = self._day_of(batch.to_arrow())
        self._require_known_people(batch.to_arrow())
        if day in self._finished:
            raise SinkError(
                f"the rows of {day} came in two parts; nothing was changed. This is an error of the provider"
            )
        begin = self._spool.tell()
        self._format.write(self._layout, batch.to_arrow(), self._spool)
        self._finished[day] = _Finished(begin, self._spool.tell() - begin, len(batch))

    def _day_of(self, rows: pa.RecordBatch) -> Day:
        """The one day of these rows."""
        import pyarrow.compute as pc

        first, last = self._load.window
        if self._load.day_column is None:
            return first
        days: list[Day | None] = pc.unique(rows.column(self._load.day_column)).to_pylist()
        if len(days) != 1 or days[0] is None:
            raise SinkError(
                "rows of a day are of several days, or of none; nothing was changed. This is an error of the provider"
            )
        if not first <= days[0] <= last:
            raise refusals.stray_day(self._load, days[0])
        return days[0]

    def _require_known_people(self, rows: pa.RecordBatch) -> None:
        """A filter that the server ignores would put all people into the file of a few."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._load.user_ids:
            return
        asked = pa.array({user.lower() for user in self._load.user_ids}, pa.string())
        known = pc.is_in(pc.utf8_lower(rows.column(self._load.person_column)), value_set=asked)
        if count := rows.num_rows - (pc.sum(known).as_py() or 0):
            raise refusals.strangers(self._load, count)

    # In the storage

    def _each(self, do: Callable[[Day], T], days: Sequence[Day], at_once: int) -> dict[Day, T]:
        """What is done with each day, so many of them at once; the first that fails ends all that has not begun."""
        if at_once == 1 or len(days) < 2:
            return {day: do(day) for day in days}
        with ThreadPoolExecutor(at_once, thread_name_prefix="we360-files") as pool:
            futures = {day: pool.submit(do, day) for day in days}
            try:
                return {day: future.result() for day, future in futures.items()}
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _days(self) -> Iterator[Day]:
        first, last = self._load.window
        count = 1 if self._load.day_column is None else (last - first).days + 1
        return (first + dt.timedelta(days=number) for number in range(count))

    def _name(self, day: Day) -> str:
        return f"{self._partition}{day.isoformat()}/{self._file}"

    @property
    def _partition(self) -> str:
        return f"{self._load.day_column or WINDOW_START.name}="

    def _look(self, day: Day) -> Held | None:
        """What the file of that day holds; None where there is none."""
        file = self._storage.open(self._name(day))
        if file is None:
            return None
        with self._storage.explained(f"read {self._name(day)}"), file:
            try:
                return self._format.look(file)
            except Unreadable as error:
                log.warning(
                    "%s in %s is not whole (%s): rows take its place",
                    self._name(day),
                    self._storage.root,
                    error,
                )
                # As if of a single row: whatever comes may take its place, but nothing at all may not.
                return Held(1)

    def _exchange(self, day: Day, held: Mapping[Day, int]) -> None:
        if (finished := self._finished.get(day)) is not None:
            self._storage.put(self._name(day), self._spool.take(finished))
        elif day in held and self._load.on_empty is OnEmpty.REPLACE:
            self._storage.remove(self._name(day))

    def _require_no_overlap(self) -> None:
        """Two sums that share a day would count it twice."""
        first, last = self._load.window
        for other in sorted(self._sums(), reverse=True):
            if other > last or (held := self._look(other)) is None:
                continue
            end = held.window_end or other
            if other == first and end == last:
                continue
            if end >= first and not (other == first and held.window_end is None):
                raise WindowOverlaps(
                    f"window: {first} to {last} shares days with {other} to {end}, which {self._name(other)} in "
                    f"{self._storage.root} holds; nothing was changed. Load the very same window, or remove that file first"
                )
            if other < first:
                return

    def _sums(self) -> Iterator[Day]:
        """First days of the sums that lie in the folder, of whomever they are."""
        for name in self._storage.folders():
            try:
                yield dt.date.fromisoformat(name.removeprefix(self._partition))
            except ValueError:
                continue


def _eight_hex(load: Load) -> str:
    """Names whose rows these are and which filters chose them; the same today and in years."""
    facts = json.dumps([load.report, load.mode, load.tenant, load.filters])
    return hashlib.sha256(facts.encode()).hexdigest()[:8]
