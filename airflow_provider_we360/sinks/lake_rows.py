"""Rows of a lake in Arrow: check and spool those that arrive, compare those that are held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import SHORTEST
from airflow_provider_we360.sinks import error_messages, load_log
from airflow_provider_we360.sinks.base import LOADED_AT, STAGED_AT, TENANT, LoadPlan, WriteMode
from airflow_provider_we360.sinks.batching import StagedRows
from airflow_provider_we360.sinks.day_spool import DaySpool
from airflow_provider_we360.sinks.lake_table import LakeTable
from airflow_provider_we360.sinks.table_schema import LoadTable
from airflow_provider_we360.types import Day

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class HeldRows:
    """What the table holds of the days of a load.

    :param rows: rows that the load replaces, by day.
    :param newest: when they were requested, by day.
    :param has_others: True if those days have rows that stay.
    """

    rows: dict[Day, int] = field(default_factory=dict)
    newest: dict[Day, dt.datetime] = field(default_factory=dict)
    has_others: bool = False


def spool_batches(table: str, rows: StagedRows, plan: LoadPlan, spool: DaySpool) -> None:
    """Write the rows of all batches to the spool, by day, with the provider's own columns.

    In ``summary`` mode the window's first day stands for the whole window.

    :raises SinkError: for rows that the load did not request, or that lack their key.
    """
    for batch in rows:
        if len(batch) == 0:
            continue
        complete = _add_own_columns(plan, batch.to_arrow())
        for name in plan.key:
            if complete.column(name).null_count:
                raise error_messages.missing_value(table, name)
        _check_people(plan, complete)
        for day, of_day in split_by_day(plan, complete):
            _check_day(plan, day)
            spool.add(day, of_day)
    for day in spool.split_days:
        _check_keys(plan, spool.read(day))


def _add_own_columns(plan: LoadPlan, rows: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    from airflow_provider_we360.rows.arrow import arrow_schema

    schema = arrow_schema(plan.all_columns)
    own = [
        pa.repeat(pa.scalar(value, schema.field(column.name).type), rows.num_rows)
        for column, value in plan.constants.items()
    ]
    stamps = pc.assume_timezone(rows.column(STAGED_AT.name), "UTC")
    brought = [rows.column(column.name) for column in plan.columns]
    return pa.Table.from_arrays([*own, stamps, *brought], schema=schema)


def _check_people(plan: LoadPlan, rows: pa.Table) -> None:
    if plan.user_ids and plan.write_mode is WriteMode.REPLACE_WINDOW:
        requested = is_one_of(rows.column(plan.person_column), plan.user_ids)
        if count := rows.num_rows - count_true(requested):
            raise error_messages.unrequested_people(plan, count)


def _check_day(plan: LoadPlan, day: Day) -> None:
    first, last = plan.window
    if plan.write_mode is WriteMode.REPLACE_WINDOW and not first <= day <= last:
        raise error_messages.day_outside(plan, day)


def _check_keys(plan: LoadPlan, rows: Any) -> None:
    """Batches are checked one by one, which does not find a key in two of them."""
    distinct = rows.group_by(list(plan.key), use_threads=False).aggregate([]).num_rows
    if distinct != rows.num_rows:
        raise error_messages.duplicate_keys(plan, rows.num_rows - distinct)


def split_by_day(
    plan: LoadPlan, rows: pa.Table, day_name: str | None = None
) -> Iterator[tuple[Day, pa.Table]]:
    """Yield the rows of each day; in ``summary`` all rows under the window's first day.

    :param day_name: the name of the day's column in these rows; None: as in the plan.
    """
    if plan.day_column is None:
        yield plan.window[0], rows
        return
    name = day_name or plan.day_column
    ordered = rows.sort_by(name)
    begin = 0
    for run in ordered.column(name).value_counts().to_pylist():
        day, count = run["values"], run["counts"]
        if day is not None:
            yield day, ordered.slice(begin, count)
        begin += count


def is_one_of(people: Any, wanted: Any) -> Any:
    """Return a mask: which people are wanted. Case does not count: We360 writes lower case, people
    paste either.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.utf8_lower(pa.array(list(wanted), people.type))
    return pc.is_in(pc.utf8_lower(people), value_set=values)


def count_true(mask: Any) -> int:
    """Return how many values of a mask are True."""
    import pyarrow.compute as pc

    return pc.sum(mask).as_py() or 0


def summarize_held(
    target: LoadTable, rows: pa.Table, is_owned: Callable[[Day, pa.Table], Any]
) -> HeldRows:
    """Return what the load would replace of these rows.

    :param is_owned: the mask of the rows of one day that the load replaces.
    """
    import pyarrow.compute as pc

    held, others = HeldRows(), False
    day_name = target.stored_name(target.plan.day_column) if target.plan.day_column else None
    for day, of_day in split_by_day(target.plan, rows, day_name):
        owned = of_day.filter(is_owned(day, of_day))
        others = others or owned.num_rows < of_day.num_rows
        if owned.num_rows:
            held.rows[day] = owned.num_rows
            newest = pc.max(owned.column(target.stored_name(LOADED_AT.name))).as_py()
            if newest is not None:
                held.newest[day] = newest
    return HeldRows(held.rows, held.newest, others)


def check_identities(target: LoadTable, people: Any) -> None:
    """Check that no person of the window is identified in another way than by this load.

    :raises We360ConfigError: if such a row would stay, and its person would be there twice.
    """
    import pyarrow.compute as pc

    plan = target.plan
    if prefix := plan.pseudonyms.get(plan.person_column):
        others = pc.invert(pc.starts_with(people, prefix))
    else:
        others = pc.greater_equal(pc.utf8_length(people), SHORTEST)
    if count := count_true(others):
        raise error_messages.mixed_identities(plan, target.ref, count)


def check_adopted(target: LoadTable, table: LakeTable) -> None:
    """Check that all rows have their key: rows from before this provider would be doubled."""
    for name in target.plan.table_key:
        column = target.schema.column(name)
        if column is None or column.not_null:
            continue
        if count := table.read([column.name], {column.name: [None]}).num_rows:
            raise We360ConfigError(
                f"table: {error_messages.count_rows(count)} of {target.ref} have no {name}, which "
                "is part of the key, so a load would double them. Set it once with your query "
                "engine, delete these rows, or name another table"
            )


def align(rows: pa.Table, schema: Any) -> pa.Table:
    """Return the rows with the columns of a table; what they do not bring is NULL."""
    import pyarrow as pa

    brought = {name.lower(): rows.column(name) for name in rows.column_names}
    arrays = [
        brought[field.name.lower()].cast(field.type)
        if field.name.lower() in brought
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def fetch_logged_days(
    log: LoadTable, table: LakeTable, target_table: str, plan: LoadPlan
) -> dict[Day, dt.datetime]:
    """Return when each day of the plan's window was last requested, by the load log."""
    day, moment = log.stored_name(load_log.DAY.name), log.stored_name(LOADED_AT.name)
    where = {
        log.stored_name(TENANT.name): [plan.tenant],
        log.stored_name("report"): [plan.report],
        log.stored_name(load_log.TARGET_TABLE.name): [target_table],
        log.stored_name(load_log.FILTERS.name): [load_log.describe_filters(plan)],
        day: plan.days,
    }
    rows = table.read([day, moment], where)
    newest = rows.group_by(day).aggregate([(moment, "max")]).to_pylist()
    return {row[day]: row[f"{moment}_max"] for row in newest}
