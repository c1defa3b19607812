"""DaySpool: the rows of a load in a temporary file, to be read day by day."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from airflow_provider_we360.sinks.files import FinishedFile, FinishedFiles
from airflow_provider_we360.types import Day

if TYPE_CHECKING:
    import pyarrow as pa


class DaySpool(AbstractContextManager["DaySpool"]):
    """Rows by day, on the disk of the worker.

    :ivar rows: number of rows, by day.
    :ivar split_days: days whose rows came in several parts.
    """

    def __init__(self) -> None:
        self._file = FinishedFiles()
        self._parts: dict[Day, list[FinishedFile]] = {}
        self.rows: dict[Day, int] = {}
        self.split_days: set[Day] = set()

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, day: Day, rows: pa.Table) -> None:
        """Write rows of one day.

        :raises SinkError: if the disk is full.
        """
        import pyarrow as pa

        if rows.num_rows == 0:
            return
        content = io.BytesIO()
        with pa.ipc.new_stream(content, rows.schema) as stream:
            stream.write_table(rows)
        begin = self._file.tell()
        size_bytes = self._file.write(content.getbuffer())
        if day in self._parts:
            self.split_days.add(day)
        self._parts.setdefault(day, []).append(FinishedFile(begin, size_bytes, rows.num_rows))
        self.rows[day] = self.rows.get(day, 0) + rows.num_rows

    def read(self, day: Day) -> pa.Table | None:
        """Return the rows of a day; None if there are none."""
        import pyarrow as pa

        parts = [
            pa.ipc.open_stream(self._file.read_file(part)).read_all()
            for part in self._parts.get(day, ())
        ]
        return pa.concat_tables(parts) if parts else None
