"""The load log: one row per load and day, committed in the same transaction as the rows.

The log is an ordinary table with a plan of its own, written by the same functions as the rows. An
empty day has its row, too: a day without one was never loaded. Loads do not wait for each other
over the log, because each only adds rows. If an earlier try of the same run has committed, its rows
are deleted first, under the log's own lock, which is always taken after that of the rows' table: so
two loads can wait for each other in one direction only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from airflow_provider_we360 import __version__
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.base import LoadPlan, WriteMode
from airflow_provider_we360.sinks.predicates import Predicate, Predicates
from airflow_provider_we360.sinks.table_schema import LoadTable
from airflow_provider_we360.sinks.target import Target, parse_table
from airflow_provider_we360.types import Day

ARGUMENT = "load_log_table"
LOADED, KEPT = "loaded", "kept"
LOAD_ID = Column("load_id", description="Short for _we360_run_id; the same for every try of a load")
DAY = Column("day", Kind.DATE, "Local day that was loaded; in summary the first of the window")
TARGET_TABLE = Column("target_table", description="The table as the operator names it")
FILTERS = Column(
    "filters",
    description="Names of the filter arguments and a digest of their values; empty without filters",
)
OUTCOME = Column(
    "outcome",
    description="loaded: the day is as We360 returned it; kept: its rows were left as they were",
)
COLUMNS = (
    LOAD_ID,
    DAY,
    Column("last_day", Kind.DATE, "The same day; in summary the last of the window"),
    Column("report", description="Name of the report"),
    Column("mode", description="Mode of the report"),
    TARGET_TABLE,
    FILTERS,
    OUTCOME,
    Column(
        "row_count", Kind.BIGINT, "Rows of that day in the table after the load; 0 if it is empty"
    ),
    Column("provider_version", description="Version of airflow-provider-we360"),
)


def log_target(target: Target, name: str) -> Target:
    """Return the target of the log.

    :raises We360ConfigError: if ``name`` is not a table name, or is the table of the rows.
    """
    table = parse_table(name, ARGUMENT)
    # Most warehouses fold case, so these would be one table.
    if str(table).lower() == str(target.table).lower():
        raise We360ConfigError(f"{ARGUMENT}: {table} is the table of the rows; name another")
    return replace(target, table=table)


def log_plan(plan: LoadPlan) -> LoadPlan:
    """Return the plan of the log's part of a load."""
    return LoadPlan(
        report=plan.report,
        mode=plan.mode,
        tenant=plan.tenant,
        window=plan.window,
        day_column=DAY.name,
        key=(DAY.name, LOAD_ID.name),
        columns=COLUMNS,
        run_id=plan.run_id,
        loaded_at=plan.loaded_at,
        write_mode=WriteMode.REPLACE_WINDOW,
        create_table=plan.create_table,
        evolve_schema=plan.evolve_schema,
        comment="Loads of airflow-provider-we360: one row per load and day",
    )


def load_id(plan: LoadPlan) -> str:
    """Return a short ID of the load for the key, because a run's own name can be too long."""
    # MySQL takes 3,072 bytes for all columns of a key together, four for each character.
    return hashlib.sha256(f"{plan.tenant}|{plan.run_id}".encode()).hexdigest()[:32]


def is_earlier_try(log: LoadTable, plan: LoadPlan) -> Predicate:
    """Return the predicate of the rows that an earlier try of this load has written."""
    predicates = Predicates(log)
    return predicates.tenant & predicates.compare(LOAD_ID.name, "=", load_id(plan))


def is_rival(log: LoadTable, plan: LoadPlan, target_table: str) -> Predicate:
    """Return the predicate of the days that other loads have loaded into the same place."""
    predicates = Predicates(log)
    return (
        predicates.window
        & predicates.compare(TARGET_TABLE.name, "=", target_table)
        & predicates.compare(FILTERS.name, "=", describe_filters(plan))
        & predicates.compare(OUTCOME.name, "=", LOADED)
        & predicates.compare(LOAD_ID.name, "<>", load_id(plan))
    )


def is_known(log: LoadTable, plan: LoadPlan, target_table: str) -> Predicate:
    """Return the predicate of the days of a plan that any load has seen, kept ones included.

    A kept day was requested, too: the rows that are there were preferred to the answer.
    """
    predicates = Predicates(log)
    return (
        predicates.window
        & predicates.compare(TARGET_TABLE.name, "=", target_table)
        & predicates.compare("report", "=", plan.report)
        & predicates.compare(FILTERS.name, "=", describe_filters(plan))
    )


def entries(
    plan: LoadPlan,
    target_table: str,
    landed: Mapping[Day, int],
    kept: Collection[Day],
    requested: Mapping[Day, dt.datetime],
) -> Iterator[tuple[object, ...]]:
    """Yield the rows of the log, in the order of ``log_plan(plan).all_columns``.

    :param landed: rows of the load that the table holds, by day.
    :param kept: days that were left as they were.
    :param requested: when each day was requested.
    """
    # All requested days, also those without rows: a missing row means that the day was never
    # loaded.
    for day in sorted({*plan.days, *landed}):
        last_day = plan.window[1] if plan.day_column is None and day == plan.window[0] else day
        yield (
            plan.tenant,
            plan.run_id,
            requested.get(day, plan.loaded_at),
            load_id(plan),
            day,
            last_day,
            plan.report,
            plan.mode,
            target_table,
            describe_filters(plan),
            KEPT if day in kept else LOADED,
            0 if day in kept else landed.get(day, 0),
            __version__,
        )


def describe_filters(plan: LoadPlan) -> str:
    """Return the names of the filters and a digest; their values identify people and teams."""
    if not plan.filters:
        return ""
    names = ", ".join(sorted(json.loads(plan.filters)))
    # The digest distinguishes loads with different filters, without naming a person in the table.
    return f"{names} {hashlib.sha256(plan.filters.encode()).hexdigest()[:8]}"
