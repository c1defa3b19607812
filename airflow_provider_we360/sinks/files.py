"""FileSink: one load into files, one file per day (docs/adr/0017)."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_we360.errors import SinkError, WindowOverlaps
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks import error_messages
from airflow_provider_we360.sinks.base import WINDOW_START, LoadPlan, LoadResult, OnEmpty
from airflow_provider_we360.sinks.batching import check_keys
from airflow_provider_we360.sinks.dataset import ColumnRef, DatasetRef, folder_dataset
from airflow_provider_we360.sinks.formats import Format, Layout, StoredFile, UnreadableFile
from airflow_provider_we360.sinks.shrink_guard import find_days_to_keep
from airflow_provider_we360.sinks.storage import Storage
from airflow_provider_we360.types import Clock, Day

if TYPE_CHECKING:
    import pyarrow as pa

log = getLogger(__name__)
T = TypeVar("T")

MAX_BYTES_IN_FLIGHT = 64 * 2**20
"""Bytes of finished files that are written to the storage at once, or one file."""


class FileSink:
    """Loads into files of one folder, each named after tenant, day and filter set.

    :param extension: extension of the files' names, without the dot.
    :param now: the time of day, in seconds since the epoch.
    """

    def __init__(
        self, storage: Storage, file_format: Format, extension: str, now: Clock = time.time
    ) -> None:
        storage.require_folder()
        self._storage = storage
        self._format = file_format
        self._extension = extension
        self._now = now
        self._columns: tuple[Column, ...] = ()

    def load(self, plan: LoadPlan, batches: Iterable[RowBatch]) -> LoadResult:
        """Finish all files on this machine, check them, then write them.

        What is atomic is a file: a load that ends while files are written leaves each day either as
        it was or as it is now.
        """
        self._columns = plan.all_columns
        with FinishedFiles() as finished:
            # The name holds a digest of report, mode, tenant and filters: loads of two tenants
            # share a folder without replacing each other.
            run = _FileLoad(
                self._storage, self._format, plan, f"we360-{_digest(plan)}.{self._extension}"
            )
            return run.load(batches, finished, self._now)

    def dataset(self) -> DatasetRef:
        """Return the folder, for lineage."""
        from airflow_provider_we360.rows.arrow import ARROW_TYPES

        columns = {c.name: ColumnRef(c.name, str(ARROW_TYPES[c.kind])) for c in self._columns}
        return folder_dataset(self._storage.root, columns)

    def cancel(self) -> None:
        """Do nothing: a file is written as a whole, or not at all."""


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A finished file: where it begins, its size and its rows."""

    begin: int
    size_bytes: int
    rows: int


class FinishedFiles(io.RawIOBase):
    """Finished files, one after the other, in a temporary file.

    The temporary file is unlinked while it is open, so that nothing of it stays on the disk however
    the process ends.
    """

    def __init__(self) -> None:
        super().__init__()
        # Unbuffered: what a full disk has refused must not be written again when the file closes.
        self._file = tempfile.TemporaryFile(prefix="we360-", buffering=0)  # noqa: SIM115 - closed by close()

    def close(self) -> None:
        """Close the temporary file, which removes it."""
        self._file.close()
        super().close()

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next file begins."""
        return self._file.tell()

    def write(self, content: Any) -> int:
        """Write all of the content.

        :raises SinkError: if the disk is full.
        """
        rest = memoryview(content).cast("B")
        size_bytes = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise error_messages.disk_full(error) from error
        return size_bytes

    def read_file(self, finished: FinishedFile) -> bytes:
        """Return the content of a file; several threads may read at once."""
        parts: list[bytes] = []
        begin, end = finished.begin, finished.begin + finished.size_bytes
        while begin < end:
            part = os.pread(self._file.fileno(), end - begin, begin)
            # pread returns nothing at the end of a file only; looping on would hang.
            assert part, "the temporary file is shorter than what was written to it"
            parts.append(part)
            begin += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class _FileLoad:
    """One load into files. In ``summary`` the window's first day stands for the whole window.

    :param file: name of the file in each day's folder.
    """

    storage: Storage
    format: Format
    plan: LoadPlan
    file: str

    def load(self, batches: Iterable[RowBatch], finished: FinishedFiles, now: Clock) -> LoadResult:
        """Finish, check and write all files."""
        requested = dict.fromkeys(self.plan.days, self.plan.loaded_at)
        files = self._finish_files(batches, finished, requested)
        if self.plan.day_column is None:
            self._check_overlaps()
        found = self._for_each(self._inspect, self.plan.days, self.storage.max_parallel)
        stored = {day: file for day, file in found.items() if file is not None}
        held = {day: file.rows for day, file in stored.items()}
        coming = {day: file.rows for day, file in files.items()}
        kept = find_days_to_keep(held, coming, self.plan.on_empty)
        newer = self._find_newer_days(stored, requested, now)
        spared = {*kept, *newer}
        removed = {
            day
            for day in held
            if day not in files and day not in spared and self.plan.on_empty is OnEmpty.REPLACE
        }

        def write(day: Day) -> None:
            if (file := files.get(day)) is not None:
                self.storage.put(self._name(day), finished.read_file(file))
            elif day in removed:
                self.storage.remove(self._name(day))

        largest = max((file.size_bytes for file in files.values()), default=1)
        at_once = min(self.storage.max_parallel, max(1, MAX_BYTES_IN_FLIGHT // largest))
        self._for_each(write, [day for day in self.plan.days if day not in spared], at_once)
        written = {day: file for day, file in files.items() if day not in spared}
        return LoadResult(
            rows=sum(file.rows for file in written.values()),
            rows_removed=sum(rows for day, rows in held.items() if day not in spared),
            days_kept=kept,
            days_kept_newer=newer,
            where=self.storage.root,
            held=held,
            files=len(written),
            size_bytes=sum(file.size_bytes for file in written.values()),
        )

    def _finish_files(
        self,
        batches: Iterable[RowBatch],
        finished: FinishedFiles,
        requested: dict[Day, dt.datetime],
    ) -> dict[Day, FinishedFile]:
        """Write each batch as a finished file to the temporary file.

        :param requested: receives when each day was requested.
        """
        layout, files = Layout(self.plan), dict[Day, FinishedFile]()
        for batch in batches:
            if batch.columns != self.plan.columns:
                raise error_messages.columns_changed()
            rows, moment = batch.to_arrow(), batch.requested_at
            if len(batch) == 0:
                requested[batch.window[0]] = moment
                continue
            day = self._find_day(rows)
            requested[day] = moment
            self._check_people(rows)
            check_keys(batch, self.plan)
            if day in files:
                raise SinkError(
                    f"the rows of {day} came in two parts; nothing was changed. This is a fault of "
                    "the provider; open an issue"
                )
            begin = finished.tell()
            self.format.write(layout, layout.add_own_columns(rows, moment), finished)
            files[day] = FinishedFile(begin, finished.tell() - begin, len(batch))
        return files

    def _find_day(self, rows: pa.RecordBatch) -> Day:
        """Return the one day of the rows."""
        import pyarrow.compute as pc

        first, last = self.plan.window
        if self.plan.day_column is None:
            return first
        days: list[Day | None] = pc.unique(rows.column(self.plan.day_column)).to_pylist()
        if len(days) != 1 or days[0] is None:
            raise SinkError(
                "the rows of one request are of several days, or of none; nothing was changed. "
                "This is a fault of the provider; open an issue"
            )
        if not first <= days[0] <= last:
            raise error_messages.day_outside(self.plan, days[0])
        return days[0]

    def _check_people(self, rows: pa.RecordBatch) -> None:
        """Check that the server has applied ``user_ids``: the file is for these people only."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.plan.user_ids:
            return
        requested = pa.array({user.lower() for user in self.plan.user_ids}, pa.string())
        people = pc.utf8_lower(rows.column(self.plan.person_column))
        known = pc.sum(pc.is_in(people, value_set=requested)).as_py() or 0
        if count := rows.num_rows - known:
            raise error_messages.unrequested_people(self.plan, count)

    def _find_newer_days(
        self, stored: dict[Day, StoredFile], requested: dict[Day, dt.datetime], now: Clock
    ) -> tuple[Day, ...]:
        """Return the days whose file holds a newer answer than this load brings.

        A moment in the future comes from a worker whose clock is wrong, and does not count.
        """
        present = dt.datetime.fromtimestamp(now(), dt.UTC)
        newer = []
        for day, file in stored.items():
            moment = file.requested_at
            if moment is not None and requested[day] < moment <= present:
                newer.append(day)
        if newer:
            log.warning(
                "Kept the files of %s as they were: another load requested these days later than "
                "this one and has already written them",
                ", ".join(map(str, sorted(newer))),
            )
        return tuple(sorted(newer))

    def _for_each(self, do: Callable[[Day], T], days: Sequence[Day], at_once: int) -> dict[Day, T]:
        """Call ``do`` for each day, so many at once; the first error stops what has not begun."""
        if at_once == 1 or len(days) < 2:
            return {day: do(day) for day in days}
        with ThreadPoolExecutor(at_once, thread_name_prefix="we360-files") as pool:
            futures = {day: pool.submit(do, day) for day in days}
            try:
                return {day: future.result() for day, future in futures.items()}
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    @property
    def _partition(self) -> str:
        return f"{self.plan.day_column or WINDOW_START.name}="

    def _name(self, day: Day) -> str:
        return f"{self._partition}{day.isoformat()}/{self.file}"

    def _inspect(self, day: Day) -> StoredFile | None:
        """Return what the file of that day holds; None if there is none."""
        name = self._name(day)
        file = self.storage.open(name)
        if file is None:
            return None
        with self.storage.explained(f"read {name}"), file:
            try:
                return self.format.inspect(file)
            except UnreadableFile as error:
                log.warning(
                    "%s in %s is unreadable (%s); new rows replace it",
                    name,
                    self.storage.root,
                    error,
                )
                # Counted as one row: any rows may replace it, but an empty answer may not.
                return StoredFile(1)

    def _check_overlaps(self) -> None:
        """Refuse a window that shares days with another one: both would count those days."""
        first, last = self.plan.window
        for other in sorted(self._list_windows(), reverse=True):
            if other > last or (stored := self._inspect(other)) is None:
                continue
            end = stored.window_end or other
            if other == first and (end == last or stored.window_end is None):
                continue
            # Files of a summary hold sums, which would count shared days twice.
            if end >= first:
                raise WindowOverlaps(
                    f"window: {first} to {last} shares days with {other} to {end}, which "
                    f"{self._name(other)} in {self.storage.root} holds; nothing was changed. Load "
                    "exactly that window, or remove that file first"
                )
            if other < first:
                return

    def _list_windows(self) -> Iterator[Day]:
        """Yield the first days of the windows in the folder, of all tenants."""
        for name in self.storage.list_folders():
            try:
                yield dt.date.fromisoformat(name.removeprefix(self._partition))
            except ValueError:
                continue


def _digest(plan: LoadPlan) -> str:
    """Return eight hex digits for whose rows these are and which filters chose them."""
    facts = json.dumps([plan.report, plan.mode, plan.tenant, plan.filters])
    return hashlib.sha256(facts.encode()).hexdigest()[:8]
