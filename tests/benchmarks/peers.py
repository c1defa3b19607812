"""Others that move the same rows to the same types, as their own documentation shows it: nothing is held back."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.reference import DEFINITION
from benchmarks.server import COLUMNS, FIRST_DAY

Pull = Callable[[str, int], Iterator[list[dict[str, Any]]]]


def _asked(number: int) -> dict[str, Any]:
    return {"start_date": (FIRST_DAY + dt.timedelta(days=number)).isoformat(), "page": 1}


def by_requests(url: str, days: int) -> Iterator[list[dict[str, Any]]]:
    """Days over one session of requests."""
    import requests

    with requests.Session() as session:
        for number in range(days):
            answer = session.post(f"{url}/report", json=_asked(number), timeout=60)
            answer.raise_for_status()
            yield answer.json()["data"]


def by_http_hook(url: str, days: int) -> Iterator[list[dict[str, Any]]]:
    """Days over Airflow's HttpHook."""
    from airflow.providers.http.hooks.http import HttpHook

    hook = HttpHook(method="POST", http_conn_id="bench_http")
    for number in range(days):
        headers = {"Content-Type": "application/json"}
        yield hook.run("/report", data=json.dumps(_asked(number)), headers=headers).json()["data"]


def by_dlt_pages(url: str, days: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of each day with dlt's REST client, which by default ends at an empty page."""
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

    client = RESTClient(url, data_selector="data")
    for number in range(days):
        pager = PageNumberPaginator(base_page=1, page_body_path="page", total_path=None)
        yield from client.paginate("/report", "POST", json=_asked(number), paginator=pager)


def _seconds(text: str) -> int | None:
    if text == "-":
        return None
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _plain(value: Any) -> Any:
    return None if value == "-" else value


CONVERTERS: tuple[Callable[[Any], Any], ...] = tuple(
    _seconds if name.endswith("_duration") else _plain for name in COLUMNS
)


def _typed(rows: list[dict[str, Any]]) -> Iterator[list[Any]]:
    for row in rows:
        yield [convert(row[name]) for name, convert in zip(COLUMNS, CONVERTERS, strict=True)]


def csv_and_copy(url: str, days: int, table: str) -> None:
    """requests, csv, one COPY, over Airflow's PostgresHook."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    with PostgresHook("postgres").get_conn() as database, database.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} ({DEFINITION})")
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
            for rows in by_requests(url, days):
                text = io.StringIO()
                csv.writer(text).writerows(_typed(rows))
                copy.write(text.getvalue())


def insert_rows(url: str, days: int, table: str) -> None:
    """HttpHook and PostgresHook.insert_rows, as most Dags have it."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook = PostgresHook("postgres")
    hook.run(f"CREATE TABLE {table} ({DEFINITION})")
    rows = (row for day in by_http_hook(url, days) for row in _typed(day))
    hook.insert_rows(
        table, rows, target_fields=list(COLUMNS), commit_every=10_000, executemany=True
    )


def _frame(url: str, days: int) -> Any:
    import pandas as pd

    frame = pd.DataFrame([row for day in by_requests(url, days) for row in day]).replace("-", None)
    for name in COLUMNS:
        if name.endswith("_duration"):
            frame[name] = pd.to_timedelta(frame[name]).dt.total_seconds().astype("Int64")
        elif name.endswith("_percent"):
            frame[name] = pd.to_numeric(frame[name])
        elif name.startswith("punch_"):
            frame[name] = pd.to_datetime(frame[name])
    frame["attendance_date"] = pd.to_datetime(frame["attendance_date"]).dt.date
    return frame


def pandas_to_sql(url: str, days: int, table: str) -> None:
    """requests, one DataFrame, to_sql."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    engine = PostgresHook("postgres").get_sqlalchemy_engine()
    _frame(url, days).to_sql(table, engine, index=False, chunksize=10_000, if_exists="append")


def pandas_to_duckdb(url: str, days: int, table: str, path: str) -> None:
    """requests, one DataFrame, which DuckDB reads."""
    import duckdb

    with duckdb.connect(path) as database:
        database.execute(f"CREATE TABLE {table} ({DEFINITION})")
        database.register("frame", _frame(url, days))
        database.execute(f"INSERT INTO {table} SELECT * FROM frame")


def pandas_to_parquet(url: str, days: int, table: str, folder: str) -> None:
    """requests, one DataFrame, to_parquet."""
    _frame(url, days).to_parquet(f"{folder}/{table}.parquet", compression="zstd", index=False)


DLT_TYPES = {"attendance_date": "date", "punch_in": "timestamp", "punch_out": "timestamp"}


def dlt_load(
    url: str,
    days: int,
    table: str,
    destination: Any,
    dataset: str,
    folder: str,
    file_format: str,
    pull: Pull = by_requests,
) -> None:
    """Load by a dlt resource of typed rows, in the file format that dlt loads fastest."""
    import os

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt

    columns: Any = {
        name: {"data_type": kind, "timezone": False} for name, kind in DLT_TYPES.items()
    }

    @dlt.resource(name=table, write_disposition="append", columns=columns)
    def rows() -> Iterator[list[dict[str, Any]]]:
        for day in pull(url, days):
            yield [dict(zip(COLUMNS, row, strict=True)) for row in _typed(day)]

    working = f"{folder}/dlt_{table}"
    pipeline = dlt.pipeline(
        f"bench_{table}", destination=destination, dataset_name=dataset, pipelines_dir=working
    )
    loaded: Any = pipeline.run(rows(), loader_file_format=file_format)  # type: ignore[arg-type]
    loaded.raise_on_failed_jobs()


def dlt_to_postgres(url: str, days: int, table: str) -> None:
    """CSV, which dlt copies."""
    import os

    import dlt

    # dlt wants a host and a password; the socket that "?host=" names is the one that is used.
    address = os.environ["BENCH_POSTGRES"].replace("postgres:@/", "postgres:none@localhost/")
    dlt_load(
        url,
        days,
        table,
        dlt.destinations.postgres(address),
        "public",
        os.environ["BENCH_FOLDER"],
        "csv",
    )


def dlt_to_duckdb(url: str, days: int, table: str, path: str, pull: Pull = by_requests) -> None:
    """Load Parquet, which DuckDB reads."""
    import dlt

    folder = path.rpartition("/")[0]
    dlt_load(url, days, table, dlt.destinations.duckdb(path), "main", folder, "parquet", pull)


def dlt_to_parquet(url: str, days: int, table: str, folder: str) -> None:
    """Parquet files."""
    import dlt

    dlt_load(
        url, days, table, dlt.destinations.filesystem(f"file://{folder}"), table, folder, "parquet"
    )
