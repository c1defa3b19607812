"""LakehouseSink: one load into an Iceberg or Delta table, in one commit (docs/adr/0031)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import TypeVar

from airflow_provider_we360.errors import SinkBusy, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks import lake_rows, load_log
from airflow_provider_we360.sinks.base import (
    TENANT,
    WINDOW_START,
    LoadPlan,
    LoadResult,
)
from airflow_provider_we360.sinks.batching import StagedRows
from airflow_provider_we360.sinks.dataset import ColumnRef, DatasetRef, folder_dataset
from airflow_provider_we360.sinks.day_spool import DaySpool
from airflow_provider_we360.sinks.lake_load import LakeLoad
from airflow_provider_we360.sinks.lake_table import (
    DIALECT,
    CommitConflict,
    LakeTable,
    Where,
)
from airflow_provider_we360.sinks.table_checks import warn_of_personal_columns
from airflow_provider_we360.sinks.table_schema import (
    ColumnSchema,
    LoadTable,
    TableSchema,
    check_schema,
    find_missing_columns,
)
from airflow_provider_we360.sinks.target import TableName, TableRef
from airflow_provider_we360.types import Clock, Day, Sleep

log = getLogger(__name__)
T = TypeVar("T")

MAX_ATTEMPTS = 40
"""How often a load is tried while other writers commit first. Each time one of them has finished,
so that many loads end that start at once."""
LONGEST_PAUSE_S = 5.0


class LakehouseSink:
    """Loads rows into one table of a lake.

    :param log_table: the table in which each load is logged; None: none.
    :param now: the time of day, in seconds since the epoch.
    """

    def __init__(
        self, table: LakeTable, log_table: LakeTable | None, *, sleep: Sleep, now: Clock
    ) -> None:
        self._table = table
        self._log_table = log_table
        self._sleep = sleep
        self._now = now
        self._columns: tuple[Column, ...] = ()

    def load(self, plan: LoadPlan, batches: Iterable[RowBatch]) -> LoadResult:
        """Spool all batches, then replace rows in one commit; then log the load in another one."""
        self._with_retries(lambda: self._prepare(plan))
        self._columns = plan.all_columns
        if self._log_table is not None:
            with _naming_the_log():
                logged = self._log_table
                self._with_retries(lambda: self._ensure(logged, load_log.log_plan(plan)))
        # A load that requests a day later than this one also commits later than this version.
        began = self._table.version
        rows = StagedRows(plan, batches)
        with DaySpool() as spool:
            lake_rows.spool_batches(self._table.name, rows, plan, spool)

            def attempt() -> tuple[LoadResult, set[Day]]:
                target = self._ensure(self._table, plan)
                return LakeLoad(target, self._table, rows, spool, began, self._now).commit()

            result, spared = self._with_retries(attempt)
            if self._log_table is not None:
                self._write_log(self._log_table, plan, rows, spool, spared)
        return result

    def read_log(self, plan: LoadPlan) -> dict[Day, dt.datetime]:
        """Return when each day of the plan's window was last requested, by the load log."""
        if self._table.refresh() is None or self._log_table is None:
            return {}
        with _naming_the_log():
            log_plan = load_log.log_plan(plan)
            if self._log_table.refresh() is None:
                return {}
            target = _describe(self._log_table, log_plan)
            if find_missing_columns(target.schema, log_plan):
                return {}
            return lake_rows.fetch_logged_days(target, self._log_table, self._table.name, plan)

    def dataset(self) -> DatasetRef | None:
        """Return the folder of the table, for lineage; None until it has been reached."""
        if not self._columns:
            return None
        columns = {c.name: ColumnRef(c.name, DIALECT.types[c.kind]) for c in self._columns}
        return folder_dataset(self._table.location(), columns)

    def cancel(self) -> None:
        """Do nothing: a commit is visible as a whole, or not at all."""

    def _with_retries(self, attempt: Callable[[], T]) -> T:
        """Call again, from the newest version on, as long as another writer commits first.

        :raises SinkBusy: after ``MAX_ATTEMPTS``.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
        from tenacity.wait import wait_random_exponential

        retrying = Retrying(
            retry=retry_if_exception_type(CommitConflict),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            wait=wait_random_exponential(0.05, LONGEST_PAUSE_S),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except CommitConflict:
            raise SinkBusy(
                f"table: other writers committed to {self._table.name} first, {MAX_ATTEMPTS} times "
                "in a row; nothing was changed. Run the task again when they have finished; an "
                "Airflow pool with one slot keeps loads of one table apart"
            ) from None

    def _prepare(self, plan: LoadPlan) -> None:
        target = self._ensure(self._table, plan)
        lake_rows.check_adopted(target, self._table)
        warn_of_personal_columns(target)

    def _ensure(self, table: LakeTable, plan: LoadPlan) -> LoadTable:
        """Return the newest version of the table, created or widened if that is allowed."""
        if table.refresh() is None:
            if not plan.create_table:
                raise We360ConfigError(
                    f"table: {table.name} does not exist and create_table is False; create it, or "
                    "let create_table be True"
                )
            days = [plan.day_column] if plan.day_column else [WINDOW_START.name]
            partition = [] if table is self._log_table else [TENANT.name, *days]
            table.create(plan.all_columns, plan.table_key, partition, plan.about)
            log.info("Created table %s", table.name)
            table.refresh()
        target = _describe(table, plan)
        check_schema(target.schema, plan, DIALECT)
        if missing := find_missing_columns(target.schema, plan):
            names = ", ".join(column.name for column in missing)
            if not plan.evolve_schema:
                raise We360ConfigError(
                    f"table: {table.name} lacks {names} and evolve_schema is False; add these "
                    "columns, leave them out of columns, or let evolve_schema be True"
                )
            table.add_columns(missing)
            log.info("Added columns to table %s: %s", table.name, names)
            table.refresh()
            target = _describe(table, plan)
        return target

    def _write_log(
        self,
        table: LakeTable,
        plan: LoadPlan,
        rows: StagedRows,
        spool: DaySpool,
        spared: set[Day],
    ) -> None:
        import pyarrow as pa

        from airflow_provider_we360.rows.arrow import arrow_schema

        log_plan = load_log.log_plan(plan)
        landed = {day: count for day, count in spool.rows.items() if day not in spared}
        entries = load_log.entries(plan, self._table.name, landed, spared, rows.requested)
        names = [column.name for column in log_plan.all_columns]
        content = pa.Table.from_pylist(
            [dict(zip(names, entry, strict=True)) for entry in entries],
            schema=arrow_schema(log_plan.all_columns),
        )

        def attempt() -> None:
            target = self._ensure(table, log_plan)
            earlier: Where = {
                target.stored_name(TENANT.name): [plan.tenant],
                target.stored_name(load_log.LOAD_ID.name): [load_log.load_id(plan)],
            }
            table.replace(earlier, [lake_rows.align(content, table.schema)], None)

        with _naming_the_log(". The rows are committed; run the task again to log them"):
            self._with_retries(attempt)


def _describe(table: LakeTable, plan: LoadPlan) -> LoadTable:
    if (found := table.schema) is None:  # dropped by someone else right after it was created
        raise CommitConflict
    columns = {
        field.name.lower(): ColumnSchema(field.name, str(field.type), not field.nullable)
        for field in found
    }
    ref = TableRef(TableName(table.name), (table.name,), table.name)
    return LoadTable(plan, TableSchema(ref, columns), DIALECT, spells_names=True)


@contextmanager
def _naming_the_log(consequence: str = "") -> Iterator[None]:
    """Name the argument of the log in errors that concern its table."""
    try:
        yield
    except We360Error as error:
        text = str(error).removeprefix("table: ")
        raise type(error)(f"{load_log.ARGUMENT}: {text}{consequence}") from error.__cause__
