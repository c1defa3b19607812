"""File formats: write the rows of one file, and inspect an existing file."""

from __future__ import annotations

import datetime as dt
import enum
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import LOADED_AT, WINDOW_END, LoadPlan

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 20
JSON_ROWS = 2_000
UNITS = ("seconds", "percent")
"""Units that descriptions of columns name."""
MEASURED = frozenset({Kind.DURATION, Kind.BIGINT, Kind.DOUBLE})

# The provider's own columns are the first of a row, so its first bytes say window and moment.
_DAY = rb"\d{4}-\d\d-\d\d"
_STAMP = rb"\d{4}-\d\d-\d\d[T ][\d:.]+Z"
_TEXT = rb'"(?:[^"]|"")*"'
_CSV_HEAD = re.compile(
    rb'"_we360_tenant",(?:"_we360_window_start","_we360_window_end",)?"_we360_run_id".*\n'
    rb"(?:%b,(?:%b,(?P<end>%b),)?%b,(?P<stamp>%b))?" % (_TEXT, _DAY, _DAY, _TEXT, _STAMP)
)
_JSON_TEXT = rb'"(?:[^"\\]|\\.)*"'
_JSONL_HEAD = re.compile(
    rb'\{"_we360_tenant":%b,'
    rb'(?:"_we360_window_start":"%b","_we360_window_end":"(?P<end>%b)",)?'
    rb'"_we360_run_id":%b(?:,"_we360_loaded_at":"(?P<stamp>%b)")?'
    % (_JSON_TEXT, _DAY, _DAY, _JSON_TEXT, _STAMP)
)


class FileFormat(enum.StrEnum):
    """Values of ``file_format``; each is the file name's extension, too."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What an existing file holds.

    :param rows: number of rows.
    :param window_end: last day of the window that its rows sum up; None if they are days.
    :param requested_at: when its rows were requested; None if that cannot be read.
    """

    rows: int
    window_end: dt.date | None = None
    requested_at: dt.datetime | None = None


class UnreadableFile(Exception):
    """The file is not of the format that its name says."""


class Layout:
    """What all files of a load share: their columns, and the values of the provider's own."""

    def __init__(self, plan: LoadPlan) -> None:
        import pyarrow as pa

        self.schema = _build_schema(plan)
        # Only labels have a dictionary: numbers, times and IDs of a day mostly differ, and are
        # smaller and faster without one.
        self.labels = [
            column.name
            for column in plan.all_columns
            if column.kind is Kind.TEXT and column.name not in plan.key
        ]
        self._constants = [
            pa.scalar(value, self.schema.field(column.name).type)
            for column, value in plan.constants.items()
        ]

    def add_own_columns(self, rows: pa.RecordBatch, requested_at: dt.datetime) -> pa.RecordBatch:
        """Return the rows with the provider's own columns before them."""
        import pyarrow as pa

        stamp = pa.scalar(requested_at, self.schema.field(LOADED_AT.name).type)
        own = [pa.repeat(value, rows.num_rows) for value in (*self._constants, stamp)]
        return pa.RecordBatch.from_arrays([*own, *rows.columns], schema=self.schema)


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of file is written and inspected.

    :param write: writes a whole file of the rows; the output may hold other files before it.
    :param inspect: returns what a file holds, reading as little of it as possible; raises
        :class:`UnreadableFile` for files of another format.
    """

    write: Callable[[Layout, Any, io.RawIOBase], None]
    inspect: Callable[[IO[bytes]], StoredFile]


def get(file_format: FileFormat) -> Format:
    """Return the format of that name."""
    return {
        FileFormat.PARQUET: Format(_write_parquet, _inspect_parquet),
        FileFormat.JSONL: Format(_write_jsonl, _inspect_jsonl),
        FileFormat.CSV: Format(_write_csv, _inspect_csv),
    }[file_format]


def _write_parquet(layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:
    """Write one row group per million rows, compressed with zstd."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pa.BufferOutputStream()
    with pq.ParquetWriter(
        file, layout.schema, compression="zstd", use_dictionary=layout.labels
    ) as writer:
        writer.write_batch(rows)
    out.write(file.getvalue())


def _inspect_parquet(file: IO[bytes]) -> StoredFile:
    """Read the footer only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(type(error).__name__) from error
    end = (metadata.metadata or {}).get(WINDOW_END.name.encode())
    return StoredFile(metadata.num_rows, _parse_day(end), _newest_stamp(metadata))


def _newest_stamp(metadata: Any) -> dt.datetime | None:
    names = metadata.schema.names
    if LOADED_AT.name not in names:
        return None
    column = names.index(LOADED_AT.name)
    found = [
        metadata.row_group(number).column(column).statistics
        for number in range(metadata.num_row_groups)
    ]
    stamps = [statistics.max for statistics in found if statistics and statistics.has_min_max]
    return max(
        (stamp for stamp in stamps if isinstance(stamp, dt.datetime) and stamp.tzinfo), default=None
    )


def _write_jsonl(layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:  # noqa: ARG001 - one signature for all
    """Write a JSON object per line, in UTF-8, dates and times in ISO 8601; NULL is null."""
    import msgspec

    encoder = msgspec.json.Encoder()
    pieces = (rows.slice(first, JSON_ROWS) for first in range(0, rows.num_rows, JSON_ROWS))
    out.writelines(encoder.encode_lines(piece.to_pylist()) for piece in pieces)


def _inspect_jsonl(file: IO[bytes]) -> StoredFile:
    """Count the line ends."""
    rows, head, last = 0, b"", b"\n"
    for block in _read_blocks(file):
        rows += block.count(b"\n")
        head, last = head or block, block[-1:]
    return _stored_file(rows + (last != b"\n"), _JSONL_HEAD, head)


def _write_csv(layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:  # noqa: ARG001 - one signature for all
    """Write a header and a line per row, in UTF-8. Only texts are quoted; NULL is empty."""
    import pyarrow.csv

    pyarrow.csv.write_csv(rows, out)


def _inspect_csv(file: IO[bytes]) -> StoredFile:
    """Count the line ends outside of quotes, without the header's."""
    ends, head, last, quotes = 0, b"", b"\n", 0
    for block in _read_blocks(file):
        for number, part in enumerate(block.split(b'"')):
            quotes += number > 0
            ends += part.count(b"\n") if quotes % 2 == 0 else 0
        head, last = head or block, block[-1:]
    if quotes % 2:
        raise UnreadableFile("it ends inside quotes")
    return _stored_file(max(0, ends + (last != b"\n") - 1), _CSV_HEAD, head)


def _read_blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _stored_file(rows: int, pattern: re.Pattern[bytes], head: bytes) -> StoredFile:
    """Return what the first row says.

    :raises UnreadableFile: if the file does not begin like those of this provider.
    """
    found = pattern.match(head)
    if found is None:
        raise UnreadableFile("it does not begin like a file of this provider")
    stamp = found["stamp"]
    requested_at = dt.datetime.fromisoformat(stamp.decode()) if stamp else None
    return StoredFile(rows, _parse_day(found["end"]), requested_at)


def _parse_day(text: bytes | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text.decode()) if text else None
    except ValueError:
        return None


def _build_schema(plan: LoadPlan) -> pa.Schema:
    """Return the schema of a file: each column with its description, and its unit if known."""
    import pyarrow as pa

    from airflow_provider_we360.rows.arrow import arrow_schema

    plain = arrow_schema(plan.all_columns)
    fields = [
        field.with_metadata(_describe(column))
        for field, column in zip(plain, plan.all_columns, strict=True)
    ]
    about = {"we360.report": plan.report, "we360.mode": plan.mode}
    if plan.day_column is None:
        about[WINDOW_END.name] = plan.window[1].isoformat()
    return pa.schema(fields, metadata=about)


def _describe(column: Column) -> dict[str, str]:
    words = column.description.lower()
    unit = next((unit for unit in UNITS if unit in words), "")
    if column.kind is Kind.DURATION:
        unit = "seconds"
    about = {"description": column.description, "unit": unit if column.kind in MEASURED else ""}
    return {name: value for name, value in about.items() if value}
