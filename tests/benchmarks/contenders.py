"""One measured run in a process of its own: ``python -m benchmarks.contenders NAME TARGET URL DAYS``; prints one JSON line."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import resource
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks import peers
from benchmarks.server import FIRST_DAY

TABLE = "bench_days"
FOLDER = os.environ.get("BENCH_FOLDER", "")
DUCKDB = f"{FOLDER}/bench.duckdb"


def ours(
    target: str,
    url: str,
    days: int,
    table: str,
    *,
    write_mode: str,
    parallel: int,
    over_adbc: bool = True,
    lake: str = "",
) -> None:
    """The operator's own ``execute``."""
    last = FIRST_DAY + dt.timedelta(days=days - 1)
    shared: dict[str, Any] = {
        "task_id": "load",
        "window_start": FIRST_DAY.isoformat(),
        "window_end": last.isoformat(),
        "max_parallel_requests": parallel,
    }
    if lake:
        from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator

        place = {
            "delta": {"table": f"{FOLDER}/{table}"},
            "iceberg": {"table": f"lake.{table}", "lakehouse_conn_id": "catalog"},
        }[lake]
        operator: Any = We360ToLakehouseOperator(**place, write_mode=write_mode, **shared)
    elif target == "parquet":
        from airflow_provider_we360.transfers.we360_to_object_storage import (
            We360ToObjectStorageOperator,
        )

        Path(FOLDER, table).mkdir(exist_ok=True)
        operator = We360ToObjectStorageOperator(path=f"file://{FOLDER}/{table}", **shared)
    else:
        from airflow_provider_we360.sinks import adbc
        from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

        if not over_adbc:
            adbc.is_usable = lambda hook: False  # type: ignore[assignment]
        operator = We360ToSqlOperator(
            sql_conn_id=target, table=table, write_mode=write_mode, **shared
        )
    ti = SimpleNamespace(dag_id="bench", task_id="load", run_id=os.urandom(4).hex(), map_index=-1)
    operator.execute({"ti": ti, "dag_run": None, "outlet_events": {}})


def reference(
    target: str, url: str, days: int, table: str, *, threads: int, keyed: bool = False
) -> None:
    """The hand-written pipeline."""
    from benchmarks import reference

    place = {"postgres": os.environ.get("BENCH_POSTGRES", ""), "duckdb": DUCKDB, "parquet": FOLDER}[
        target
    ]
    reference.WRITERS[target](place, table, reference.stream(url, days, threads), keyed=keyed)


def peer(run: Callable[..., None], target: str, url: str, days: int, table: str) -> None:
    place = {"duckdb": [DUCKDB], "parquet": [FOLDER]}.get(target, [])
    run(url, days, table, *place)


DLT = {
    "postgres": peers.dlt_to_postgres,
    "duckdb": peers.dlt_to_duckdb,
    "parquet": peers.dlt_to_parquet,
}
PANDAS = {
    "postgres": peers.pandas_to_sql,
    "duckdb": peers.pandas_to_duckdb,
    "parquet": peers.pandas_to_parquet,
}


def runs(target: str) -> dict[str, Callable[..., None]]:
    """What can be measured, by name."""
    known: dict[str, Callable[..., None]] = {
        f"reference x{n}": partial(reference, threads=n) for n in (1, 4)
    }
    known |= {f"reference, keyed x{n}": partial(reference, threads=n, keyed=True) for n in (1, 4)}
    for mode in ("append", "replace_window"):
        known |= {f"ours, {mode} x{n}": partial(ours, write_mode=mode, parallel=n) for n in (1, 4)}
    known["ours, append without ADBC x4"] = partial(
        ours, write_mode="append", parallel=4, over_adbc=False
    )
    for lake in ("delta", "iceberg"):
        known[f"ours, {lake} x4"] = partial(
            ours, write_mode="replace_window", parallel=4, lake=lake
        )
    known["requests + CSV + COPY"] = partial(peer, peers.csv_and_copy)
    known["HttpHook + insert_rows"] = partial(peer, peers.insert_rows)
    known["dlt"] = partial(peer, DLT[target])
    known["pandas"] = partial(peer, PANDAS[target])
    if target == "duckdb":
        by_page = partial(peers.dlt_to_duckdb, pull=peers.by_dlt_pages)
        known["dlt, pages until one is empty"] = partial(peer, by_page)
    return known


def share_a_token() -> None:
    """Airflow's Variables in this process's memory: a task of a fleet finds the token there, and does not log in."""
    from airflow_provider_we360 import _compat
    from support.variables import FakeVariables

    variables: Any = FakeVariables()
    _compat.variables = lambda: variables  # type: ignore[assignment]


def landed(target: str) -> list[int]:
    """Rows, sum of the active seconds, and punches: what every run must agree on."""
    wanted = "count(*), sum(active_duration), count(punch_in)"
    if target == "postgres":
        import psycopg

        with psycopg.connect(os.environ["BENCH_POSTGRES"]) as database:
            found: Any = database.execute(f"SELECT {wanted} FROM {TABLE}").fetchone()
    else:
        import duckdb

        place = TABLE if target == "duckdb" else f"read_parquet('{FOLDER}/{TABLE}/**/*.parquet')"
        if Path(FOLDER, "lake").exists():
            place = f"read_parquet('{FOLDER}/lake/{TABLE}/**/*.parquet')"
        if Path(FOLDER, f"{TABLE}.parquet").exists():
            place = f"read_parquet('{FOLDER}/{TABLE}.parquet')"
        with duckdb.connect(DUCKDB if target == "duckdb" else ":memory:") as database:
            found = database.execute(f"SELECT {wanted} FROM {place}").fetchone()
    return [int(value) for value in found]


def main() -> None:
    name, target, url, days = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    run = partial(runs(target)[name], target, url)
    if name.startswith("ours"):
        share_a_token()
    run(1, f"{TABLE}_warm")  # imports, connections, the token
    gc.freeze()  # as Airflow's LocalExecutor does before it forks a task: what was loaded is not collected over and over
    urllib.request.urlopen(url).read()
    began, used = time.perf_counter(), time.process_time()
    run(days, TABLE)
    measured: dict[str, Any] = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - used,
    }
    measured["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured["requests"] = json.loads(urllib.request.urlopen(url).read())
    print(json.dumps({**measured, "landed": landed(target)}))


if __name__ == "__main__":
    main()
