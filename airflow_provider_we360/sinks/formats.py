"""Formats: the rows of one file as bytes, and what a file of that format holds."""

from __future__ import annotations

import datetime as dt
import enum
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import WINDOW_END, Load

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 20
FOOTER_BYTES = 1 << 16
"""How much of a Parquet file's end is read at once: few footers are longer."""
JSON_ROWS = 2_000
UNITS = ("seconds", "percent")
"""Units that descriptions of columns name."""
MEASURED = frozenset({Kind.DURATION, Kind.BIGINT, Kind.DOUBLE})

_DAY = rb"\d{4}-\d\d-\d\d"
CSV_HEAD = re.compile(
    rb'"_we360_tenant",(?:"_we360_run_id".*|"_we360_window_start","_we360_window_end",.*\n"(?:[^"]|"")*",%b,(%b),)'
    % (_DAY, _DAY)
)
JSONL_HEAD = re.compile(
    rb'\{"_we360_tenant":"(?:[^"\\]|\\.)*",(?:"_we360_run_id"|"_we360_window_start":"%b","_we360_window_end":"(%b)")'
    % (_DAY, _DAY)
)


class FileFormat(enum.StrEnum):
    """Values of ``file_format``; each is the file name's extension as well."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Held:
    """What a file holds.

    :param rows: how many.
    :param window_end: last day of the sum that its rows are; None where they are days, or where it cannot be read.
    """

    rows: int
    window_end: dt.date | None = None


class Unreadable(Exception):
    """The file is not of the format that its name says."""


class Layout:
    """What all files of a load share: their columns, and the values of our own."""

    def __init__(self, load: Load) -> None:
        import pyarrow as pa

        self.schema = _schema(load)
        self.labels = [
            column.name
            for column in load.all_columns
            if column.kind is Kind.TEXT and column.name not in load.key
        ]
        self._values = [
            pa.scalar(value, self.schema.field(column.name).type)
            for column, value in load.constants.items()
        ]
        self._repeated: list[pa.Array] = [pa.repeat(value, 0) for value in self._values]

    def whole(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with our own columns before them."""
        import pyarrow as pa

        count = rows.num_rows
        if count > len(self._repeated[0]):
            self._repeated = [
                pa.repeat(value, count) for value in self._values
            ]  # shorter files take a part of it
        ours = [column.slice(0, count) for column in self._repeated]
        return pa.RecordBatch.from_arrays([*ours, *rows.columns], schema=self.schema)


class Format(ABC):
    """How one kind of file is written and looked at."""

    @abstractmethod
    def write(self, layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:
        """Write a whole file of these rows, our own columns included; ``out`` may hold other files before it."""

    @abstractmethod
    def look(self, file: IO[bytes]) -> Held:
        """What the file holds, without reading more of it than is needed.

        :raises Unreadable: for any other file.
        """


def get(file_format: FileFormat) -> Format:
    """The format of that name."""
    formats: dict[FileFormat, Format] = {
        FileFormat.PARQUET: Parquet(),
        FileFormat.JSONL: JsonLines(),
        FileFormat.CSV: Csv(),
    }
    return formats[file_format]


class Parquet(Format):
    """One row group for up to a million rows, compressed with zstd.

    Only labels have a dictionary: numbers, times and ids of a day mostly differ, and are smaller as they are, and sooner
    written.
    """

    def write(self, layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pa.BufferOutputStream()
        with pq.ParquetWriter(
            file, layout.schema, compression="zstd", use_dictionary=layout.labels
        ) as writer:
            writer.write_batch(layout.whole(rows))
        out.write(file.getvalue())

    def look(self, file: IO[bytes]) -> Held:
        """Reads the footer alone."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        footer = _footer(file)
        try:
            metadata = pq.read_metadata(pa.BufferReader(footer))
        except (pa.ArrowException, OSError) as error:
            raise Unreadable(type(error).__name__) from None
        return Held(
            metadata.num_rows, _day((metadata.metadata or {}).get(WINDOW_END.name.encode()))
        )


class JsonLines(Format):
    """A JSON object a line, UTF-8; dates and times as ISO 8601 writes them, a missing value is null."""

    def write(self, layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:
        import msgspec

        whole, encoder = layout.whole(rows), msgspec.json.Encoder()
        pieces = (whole.slice(first, JSON_ROWS) for first in range(0, whole.num_rows, JSON_ROWS))
        out.writelines(encoder.encode_lines(piece.to_pylist()) for piece in pieces)

    def look(self, file: IO[bytes]) -> Held:
        """Counts the line ends."""
        rows, head, last = 0, b"", b"\n"
        for block in _blocks(file):
            rows += block.count(b"\n")
            head, last = head or block, block[-1:]
        return Held(rows + (last != b"\n"), _window_end(JSONL_HEAD, head))


class Csv(Format):
    """A header, then a line a row, UTF-8. Texts are quoted, numbers and dates are not; a missing value is nothing at all."""

    def write(self, layout: Layout, rows: pa.RecordBatch, out: io.RawIOBase) -> None:
        import pyarrow.csv

        pyarrow.csv.write_csv(layout.whole(rows), out)

    def look(self, file: IO[bytes]) -> Held:
        """Counts the line ends that stand outside of quotes, but for the header's."""
        ends, head, last, quotes = 0, b"", b"\n", 0
        for block in _blocks(file):
            for number, part in enumerate(block.split(b'"')):
                quotes += number > 0
                ends += part.count(b"\n") if quotes % 2 == 0 else 0
            head, last = head or block, block[-1:]
        if quotes % 2:
            raise Unreadable("it ends within quotes")
        return Held(max(0, ends + (last != b"\n") - 1), _window_end(CSV_HEAD, head))


def _schema(load: Load) -> pa.Schema:
    """The schema of a file: each column with its description, and its unit where that is known."""
    import pyarrow as pa

    from airflow_provider_we360.rows.arrow import arrow_schema

    plain = arrow_schema(load.all_columns)
    fields = [
        field.with_metadata(_about(column))
        for field, column in zip(plain, load.all_columns, strict=True)
    ]
    about = {"we360.report": load.report, "we360.mode": load.mode}
    if load.day_column is None:
        about[WINDOW_END.name] = load.window[1].isoformat()
    return pa.schema(fields, metadata=about)


def _about(column: Column) -> dict[str, str]:
    words = column.description.lower()
    unit = (
        "seconds"
        if column.kind is Kind.DURATION
        else next((unit for unit in UNITS if unit in words), "")
    )
    about = {"description": column.description, "unit": unit if column.kind in MEASURED else ""}
    return {name: value for name, value in about.items() if value}


def _footer(file: IO[bytes]) -> bytes:
    """What a Parquet reader wants to see of a file in order to know its metadata."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - FOOTER_BYTES))
    end = file.read(FOOTER_BYTES)
    length = int.from_bytes(end[-8:-4], "little") + 8
    if end[-4:] != b"PAR1" or length > size:
        raise Unreadable("it does not end as Parquet does")
    if length > len(end):
        file.seek(size - length)
        end = file.read(length)
    return b"PAR1" + end[-length:]


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _window_end(pattern: re.Pattern[bytes], head: bytes) -> dt.date | None:
    """What the first row says, as our own columns stand before all others.

    :raises Unreadable: where the file does not begin as ours do.
    """
    found = pattern.match(head)
    if found is None:
        raise Unreadable("it does not begin as ours do")
    return _day(found[1])


def _day(text: bytes | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text.decode()) if text else None
    except ValueError:
        return None
