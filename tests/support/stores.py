"""The folders that files are loaded into, on this machine and in S3, each behind the same few words."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import formats
from airflow_provider_we360.sinks.base import (
    LOADED_AT,
    RUN_ID,
    TENANT,
    WINDOW_END,
    WINDOW_START,
    LoadPlan,
    LoadResult,
)
from airflow_provider_we360.sinks.files import FileSink
from airflow_provider_we360.sinks.storage import Storage, storage_for
from support import loads

OURS = {column.name: column for column in (TENANT, WINDOW_START, WINDOW_END, RUN_ID, LOADED_AT)}


@dataclass
class Store:
    """One folder and one format.

    :param conn_id: Connection of the store; None where it needs none.
    """

    path: str
    file_format: formats.FileFormat = formats.FileFormat.PARQUET
    conn_id: str | None = None

    @property
    def storage(self) -> Storage:
        return storage_for(self.path, self.conn_id)

    def sink(self, storage: Storage | None = None) -> FileSink:
        return FileSink(
            storage or self.storage, formats.get(self.file_format), self.file_format.value
        )

    def load(self, load: LoadPlan, content: Iterable[loads.Row]) -> LoadResult:
        return self.sink().load(load, loads.batches(content, load.columns))

    @property
    def place(self) -> Any:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        return ObjectStoragePath(self.path, conn_id=self.conn_id)

    def files(self) -> dict[str, bytes]:
        """All files below the folder, hidden ones too."""
        fs, folder = self.place.fs, self.place.path.rstrip("/")
        fs.invalidate_cache()
        return {name.removeprefix(f"{folder}/"): fs.cat_file(name) for name in fs.find(folder)}

    def write(self, name: str, content: bytes) -> None:
        """Put a file there as anybody else would."""
        file = self.place / name
        if not self.place.protocol or self.place.protocol == "file":
            file.parent.mkdir(parents=True, exist_ok=True)
        file.fs.pipe_file(file.path, content)

    def rows(
        self, columns: Sequence[Column] = loads.COLUMNS, extra: Iterable[str] = ()
    ) -> list[loads.Row]:
        """What all files hold, as typed values, sorted."""
        wanted = [*columns, *(OURS[name] for name in extra)]
        found = [
            one
            for content in self.files().values()
            for one in read(content, self.file_format, wanted)
        ]
        return sorted(
            ({column.name: one[column.name] for column in wanted} for one in found), key=repr
        )


def read(content: bytes, file_format: str, columns: Sequence[Column]) -> list[loads.Row]:
    """The rows of a file, read by what a stranger would read it with."""
    if file_format == "parquet":
        import pyarrow.parquet as pq

        rows: list[loads.Row] = pq.ParquetFile(io.BytesIO(content)).read().to_pylist()
        return rows
    kinds = {column.name: column.kind for column in columns}
    if file_format == "jsonl":
        lines = [json.loads(line) for line in content.decode().removesuffix("\n").split("\n")]
        return [
            {name: _typed(value, kinds.get(name)) for name, value in line.items()} for line in lines
        ]
    return _read_csv(content, kinds)


def _read_csv(content: bytes, kinds: dict[str, Kind]) -> list[loads.Row]:
    import pyarrow as pa
    import pyarrow.csv

    names = next(csv.reader(io.StringIO(content.decode(), newline="")))
    options = pyarrow.csv.ConvertOptions(
        # As text first: what stands in the file is compared, not what a reader makes of it.
        column_types={name: pa.string() for name in names},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    reading = pyarrow.csv.ReadOptions(block_size=1 << 24)
    table = pyarrow.csv.read_csv(io.BytesIO(content), reading, parsing, options)
    return [
        {name: _typed(value, kinds.get(name)) for name, value in one.items()}
        for one in table.to_pylist()
    ]


def _typed(value: Any, kind: Kind | None) -> Any:
    if value is None:
        return None
    if kind in (Kind.DURATION, Kind.BIGINT):
        return int(value)
    if kind is Kind.DOUBLE:
        return float(value)
    if kind is Kind.DATE:
        return dt.date.fromisoformat(value)
    return dt.datetime.fromisoformat(value) if kind in (Kind.TIMESTAMP, Kind.INSTANT) else value
