"""Spool: rows of a load in a temporary file, for databases that must not be held while rows arrive.

The file is unlinked while it is open, so that nothing of it stays on the disk however the process
ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks import error_messages
from airflow_provider_we360.sinks.batching import rechunk

if TYPE_CHECKING:
    import pyarrow as pa


class Spool:
    """Rows in a file, as a stream of Arrow batches.

    :param columns: columns of the rows.
    """

    def __init__(self, file: IO[bytes], columns: tuple[Column, ...]) -> None:
        self._file = file
        self._columns = columns

    def open_stream(self) -> Any:
        """Return a reader of all rows, from the first. Only the newest reader may be used."""
        import pyarrow as pa

        self._file.seek(0)
        return pa.ipc.open_stream(self._file)

    def fill(self, batches: Iterable[RowBatch]) -> None:
        """Write all batches.

        Messages are written one by one: Arrow's stream writer would call the file once per buffer,
        and each call would compete for the GIL with the threads that fetch rows.
        """
        from airflow_provider_we360.rows.arrow import arrow_schema

        self._write(arrow_schema(self._columns).serialize())
        for batch in rechunk(batches):
            self._write(batch.serialize())
        self._write(b"")

    def _write(self, message: pa.Buffer | bytes) -> None:
        try:
            self._file.write(message)
            if not len(message):
                self._file.flush()
        except OSError as error:
            # Closing the file flushes what is buffered, which needs room, too.
            os.ftruncate(self._file.fileno(), 0)
            raise error_messages.disk_full(error) from error


@contextmanager
def spool_rows(columns: tuple[Column, ...], batches: Iterable[RowBatch]) -> Iterator[Spool]:
    """Read all batches into a spool that lives as long as the block."""
    with tempfile.TemporaryFile(prefix="we360-") as file:
        spool = Spool(file, columns)
        spool.fill(batches)
        yield spool
