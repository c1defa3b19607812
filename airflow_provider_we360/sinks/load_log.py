"""The load log: one row a load and day, beside the rows and committed with them, so that it can neither lag nor lie.

An empty day that was loaded has its row as well: what has none was never loaded. Loads never wait for each other over the
log: each only adds. Where an earlier try of the same run has committed, its rows go first, under the log's own lock, which
is always taken after that of the rows' table: two loads can wait for each other in one direction only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_provider_we360 import __version__
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import LOADED_AT, RUN_ID, TENANT, Load, WriteMode
from airflow_provider_we360.sinks.table import TableName, parse_table
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.types import Day

ARGUMENT = "load_log_table"
LOADED, KEPT = "loaded", "kept"
LOAD_ID = Column("load_id", description="Short for _we360_run_id; the same for every try of a load")
COLUMNS = (
    LOAD_ID,
    Column("day", Kind.DATE, "Local day that was loaded; in summary the first of the window"),
    Column("last_day", Kind.DATE, "The same day; in summary the last of the window"),
    Column("report", description="Name of the report"),
    Column("mode", description="Mode of the report"),
    Column("target_table", description="Where the rows went, as the operator names it"),
    Column(
        "filters",
        description="What narrowed the rows: names of the arguments and a digest; empty where nothing did",
    ),
    Column(
        "outcome",
        description="loaded: the day is as We360 had it; kept: on_empty='keep' left it as it was",
    ),
    Column("row_count", Kind.BIGINT, "Rows of that day that the load wrote; 0 is an answer, too"),
    Column("provider_version", description="Version of airflow-provider-we360"),
)


@dataclass(frozen=True, slots=True)
class LogLoad(Load):
    """The log, described as the load that it is: own columns as in the table of the rows, one row a load and day."""

    @property
    def about(self) -> str:
        """As the table's comment says it."""
        return "What airflow-provider-we360 has loaded when: a row per load and day"


def log_target(target: Target, name: str) -> Target:
    """Where the log lies.

    :raises We360ConfigError: ``name`` is no table name, or the table of the rows.
    """
    table = parse_table(name, ARGUMENT)
    if _folded(table) == _folded(target.table):
        raise We360ConfigError(f"{ARGUMENT}: {table} is the table of the rows; name another")
    return replace(target, table=table)


def log_load(load: Load) -> LogLoad:
    """The log's part of a load."""
    return LogLoad(
        report=load.report,
        mode=load.mode,
        tenant=load.tenant,
        window=load.window,
        day_column="day",
        key=("day", LOAD_ID.name),
        columns=COLUMNS,
        run_id=load.run_id,
        loaded_at=load.loaded_at,
        write_mode=WriteMode.REPLACE_WINDOW,
        create_table=load.create_table,
        evolve_schema=load.evolve_schema,
    )


def load_id(load: Load) -> str:
    """Names the load within a key, whose length databases bound: a run's own name can be long."""
    return hashlib.sha256(f"{load.tenant}|{load.run_id}".encode()).hexdigest()[:32]


def entries(
    load: Load, target_table: str, coming: Mapping[Day, int], kept: Collection[Day]
) -> Iterator[tuple[object, ...]]:
    """Rows of the log, in the order of ``log_load(load).all_columns``.

    :param coming: rows that the load brought, by day.
    :param kept: days that were left as they were.
    """
    ours = {TENANT: load.tenant, RUN_ID: load.run_id, LOADED_AT: load.loaded_at}
    first, last = load.window
    facts = {
        "report": load.report,
        "mode": load.mode,
        "target_table": target_table,
        "filters": _filters(load),
    }
    for day in sorted({*_days(load), *coming}):
        values = facts | {
            LOAD_ID.name: load_id(load),
            "day": day,
            "last_day": last if load.day_column is None and day == first else day,
            "outcome": KEPT if day in kept else LOADED,
            "row_count": 0 if day in kept else coming.get(day, 0),
            "provider_version": __version__,
        }
        yield (
            *(ours[column] for column in log_load(load).constants),
            *(values[column.name] for column in COLUMNS),
        )


def _days(load: Load) -> Iterator[Day]:
    first, last = load.window
    if load.day_column is None:
        yield first
        return
    yield from (first + dt.timedelta(days=number) for number in range((last - first).days + 1))


def _filters(load: Load) -> str:
    """Which filters there were, and a digest that tells two sets apart: the ids name people and teams."""
    if not load.filters:
        return ""
    names = ", ".join(sorted(json.loads(load.filters)))
    return f"{names} {hashlib.sha256(load.filters.encode()).hexdigest()[:8]}"


def _folded(table: TableName) -> str:
    return str(table).lower()
