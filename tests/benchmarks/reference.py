"""The reference: the least that moves the same rows, in several threads. No retry, refresh, proof or second try.

Each day is one request; what was fetched is decoded in the thread that fetched it and goes into one stream.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import queue
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from benchmarks.server import COLUMNS, FIRST_DAY

ROWS_A_BATCH = 10_000
KEY = "attendance_date, identity_id"


def arrow_type(name: str) -> pa.DataType:
    if name.endswith("_duration"):
        return pa.int64()
    if name.endswith("_percent"):
        return pa.float64()
    return {
        "attendance_date": pa.date32(),
        "punch_in": pa.timestamp("us"),
        "punch_out": pa.timestamp("us"),
    }.get(name, pa.string())


SCHEMA = pa.schema([(name, arrow_type(name)) for name in COLUMNS])
SQL_TYPES = {
    "date32[day]": "date",
    "timestamp[us]": "timestamp",
    "int64": "bigint",
    "double": "double precision",
}
DEFINITION = ", ".join(
    f"{field.name} {SQL_TYPES.get(str(field.type), 'varchar')}" for field in SCHEMA
)
ROW = msgspec.defstruct(
    "Row", [(name, float | str if name.endswith("_percent") else str) for name in COLUMNS], gc=False
)
PAGE = msgspec.defstruct("Page", [("data", list[ROW])], gc=False)  # type: ignore[valid-type]


class Seconds(dict[str, int | None]):
    """Each distinct duration is read once."""

    def __missing__(self, text: str) -> int | None:
        hours, minutes, seconds = text.split(":")
        return self.setdefault(text, int(hours) * 3600 + int(minutes) * 60 + int(seconds))


class Reader:
    """Fetches days over one connection, and decodes them."""

    def __init__(self, url: str, seconds: Seconds) -> None:
        place = urllib.parse.urlsplit(url)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port)
        self._decoder: Any = msgspec.json.Decoder(PAGE)
        self._seconds = seconds

    def day(self, number: int) -> pa.RecordBatch:
        asked = json.dumps(
            {"start_date": (FIRST_DAY + dt.timedelta(days=number)).isoformat(), "page": 1}
        )
        self._connection.request("POST", "/report", asked, {"Content-Type": "application/json"})
        rows = self._decoder.decode(self._connection.getresponse().read()).data
        arrays = []
        for field, values in zip(
            SCHEMA, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True
        ):
            if field.type == pa.int64():
                arrays.append(pa.array([self._seconds[value] for value in values], field.type))
                continue
            wire = field.type if field.type == pa.float64() else pa.string()
            arrays.append(
                pa.array([None if value == "-" else value for value in values], wire).cast(
                    field.type
                )
            )
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def fetched(url: str, days: int, threads: int) -> Iterator[pa.RecordBatch]:
    """The days as they come."""
    seconds, numbers = Seconds({"-": None}), iter(range(days))
    lock, done = threading.Lock(), object()
    ready: queue.Queue[Any] = queue.Queue(2 * threads)

    def work() -> None:
        reader = Reader(url, seconds)
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    break
                ready.put(reader.day(number))
            ready.put(done)
        except BaseException as error:
            ready.put(error)

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    left = threads
    while left:
        item = ready.get()
        if isinstance(item, BaseException):
            raise item
        if item is done:
            left -= 1
        else:
            yield item


def stream(url: str, days: int, threads: int) -> pa.RecordBatchReader:
    """The same in batches of about ten thousand rows."""

    def glued() -> Iterator[pa.RecordBatch]:
        held: list[pa.RecordBatch] = []
        for batch in fetched(url, days, threads):
            held.append(batch)
            if sum(one.num_rows for one in held) >= ROWS_A_BATCH:
                yield pa.concat_batches(held)
                held = []
        if held:
            yield pa.concat_batches(held)

    return pa.RecordBatchReader.from_batches(SCHEMA, glued())


def to_postgres(uri: str, table: str, rows: pa.RecordBatchReader, *, keyed: bool) -> None:
    import adbc_driver_postgresql.dbapi

    with adbc_driver_postgresql.dbapi.connect(uri) as database, database.cursor() as cursor:
        key = f", PRIMARY KEY ({KEY})" if keyed else ""
        cursor.execute(f"CREATE TABLE {table} ({DEFINITION}{key})")
        if not keyed:
            cursor.adbc_ingest(table, rows, mode="append")
        else:
            cursor.execute(f"CREATE TEMPORARY TABLE stage (LIKE {table})")
            cursor.adbc_ingest("stage", rows, mode="append", temporary=True)
            for statement in _exchange(table):
                cursor.execute(statement)
        database.commit()


def to_duckdb(path: str, table: str, rows: pa.RecordBatchReader, *, keyed: bool) -> None:
    import duckdb

    with duckdb.connect(path) as database:
        key = f", PRIMARY KEY ({KEY})" if keyed else ""
        database.execute(f"CREATE TABLE {table} ({DEFINITION}{key})")
        database.register("incoming", rows)
        if not keyed:
            database.execute(f"INSERT INTO {table} SELECT * FROM incoming")
            return
        database.execute("CREATE TEMPORARY TABLE stage AS SELECT * FROM incoming")
        database.execute("BEGIN")
        for statement in _exchange(table):
            database.execute(statement)
        database.execute("COMMIT")


def _exchange(table: str) -> Iterator[str]:
    yield (
        f"DELETE FROM {table} WHERE attendance_date BETWEEN (SELECT min(attendance_date) FROM stage) "
        "AND (SELECT max(attendance_date) FROM stage)"
    )
    yield f"INSERT INTO {table} SELECT * FROM stage"


def to_parquet(folder: str, table: str, rows: pa.RecordBatchReader, *, keyed: bool) -> None:
    from pyarrow import parquet

    assert not keyed
    with parquet.ParquetWriter(f"{folder}/{table}.parquet", SCHEMA, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


WRITERS: dict[str, Callable[..., None]] = {
    "postgres": to_postgres,
    "duckdb": to_duckdb,
    "parquet": to_parquet,
}
