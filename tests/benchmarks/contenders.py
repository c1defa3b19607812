"""One measured run in a process of its own: ``python -m benchmarks.contenders NAME TARGET URL DAYS``; prints one JSON line."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import resource
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from benchmarks.server import COLUMNS, FIRST_DAY

TABLE = "bench_days"


def ours(target: str, days: int, write_mode: str) -> None:
    """The operator's own ``execute``."""
    from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

    last = FIRST_DAY + dt.timedelta(days=days - 1)
    operator = We360ToSqlOperator(
        task_id="load",
        sql_conn_id=target,
        table=TABLE,
        write_mode=write_mode,
        window_start=FIRST_DAY.isoformat(),
        window_end=last.isoformat(),
    )
    ti = SimpleNamespace(dag_id="bench", task_id="load", run_id=os.urandom(4).hex(), map_index=-1)
    operator.execute({"ti": ti, "dag_run": None, "outlet_events": {}})  # type: ignore[typeddict-item]


def by_hand(target: str, url: str, days: int) -> None:
    """The least that moves the same rows: one connection, typed structs, Arrow, one stream. No retry, refresh or staging."""
    import pyarrow as pa

    schema = pa.schema([(name, _arrow_type(name)) for name in COLUMNS])
    reader = pa.RecordBatchReader.from_batches(schema, _batches(url, days, schema))
    if target == "duckdb":
        import duckdb

        with duckdb.connect(json.loads(os.environ["AIRFLOW_CONN_DUCKDB"])["host"]) as database:
            database.register("incoming", reader)
            database.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} AS SELECT * FROM incoming LIMIT 0")
            database.execute(f"INSERT INTO {TABLE} SELECT * FROM incoming")
        return
    _copy(reader, schema)


def _copy(reader: Any, schema: Any) -> None:
    import psycopg
    import pyarrow as pa
    from pyarrow import csv

    types = {"date32[day]": "date", "timestamp[us]": "timestamp", "int64": "bigint", "double": "double precision"}
    columns = ", ".join(f"{field.name} {types.get(str(field.type), 'text')}" for field in schema)
    with psycopg.connect(os.environ["BENCH_POSTGRES"]) as database, database.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")
        with cursor.copy(f"COPY {TABLE} FROM STDIN (FORMAT csv)") as copy:
            for batch in reader:
                text = pa.BufferOutputStream()
                csv.write_csv(batch, text, csv.WriteOptions(include_header=False))
                copy.write(text.getvalue().to_pybytes())


def _arrow_type(name: str) -> Any:
    import pyarrow as pa

    if name.endswith("_duration"):
        return pa.int64()
    if name.endswith("_percent"):
        return pa.float64()
    return {"attendance_date": pa.date32(), "punch_in": pa.timestamp("us"), "punch_out": pa.timestamp("us")}.get(
        name, pa.string()
    )


class _Seconds(dict[str, int | None]):
    def __missing__(self, text: str) -> int | None:
        hours, minutes, seconds = text.split(":")
        return self.setdefault(text, int(hours) * 3600 + int(minutes) * 60 + int(seconds))


def _batches(url: str, days: int, schema: Any) -> Iterator[Any]:
    import msgspec
    import pyarrow as pa

    row = msgspec.defstruct("Row", [(name, float | str if name.endswith("_percent") else str) for name in COLUMNS], gc=False)
    page = msgspec.defstruct("Page", [("data", list[row])], gc=False)  # type: ignore[valid-type]
    decoder: Any = msgspec.json.Decoder(page)
    seconds = _Seconds({"-": None})
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    for number in range(days):
        day = (FIRST_DAY + dt.timedelta(days=number)).isoformat()
        connection.request("POST", "/report", json.dumps({"start_date": day, "page": 1}), {"Content-Type": "application/json"})
        rows = decoder.decode(connection.getresponse().read()).data
        arrays = []
        for field, values in zip(schema, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True):
            if field.type == pa.int64():
                arrays.append(pa.array([seconds[value] for value in values], field.type))
                continue
            wire = field.type if field.type == pa.float64() else pa.string()
            arrays.append(pa.array([None if value == "-" else value for value in values], wire).cast(field.type))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def main() -> None:
    name, target, url, days = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    runs: dict[str, Callable[[int], None]] = {
        "by hand": lambda days: by_hand(target, url, days),
        "append": lambda days: ours(target, days, "append"),
        "replace_window": lambda days: ours(target, days, "replace_window"),
    }
    run = runs[name]
    run(1)  # warm: imports, connections, the table
    began = time.perf_counter()
    run(days)
    seconds = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb}))


if __name__ == "__main__":
    main()
