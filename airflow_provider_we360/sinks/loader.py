"""The loader: one load into a table, the same for every database (docs/adr/0006 and 0015)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from logging import getLogger

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks import error_messages, load_log, statements, table_checks
from airflow_provider_we360.sinks.base import LoadPlan, LoadResult, WriteMode
from airflow_provider_we360.sinks.batching import StagedRows
from airflow_provider_we360.sinks.dataset import ColumnRef, DatasetRef, table_dataset
from airflow_provider_we360.sinks.predicates import Predicate, Predicates
from airflow_provider_we360.sinks.session import DbSession, DriverFailure, LoadStep, at
from airflow_provider_we360.sinks.shrink_guard import find_days_to_keep
from airflow_provider_we360.sinks.spool import Spool, spool_rows
from airflow_provider_we360.sinks.table_schema import (
    LoadTable,
    TableSchema,
    check_schema,
    find_missing_columns,
)
from airflow_provider_we360.sinks.target import TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse
from airflow_provider_we360.types import Day

log = getLogger(__name__)

MAX_SIBLINGS = 16
"""How many other loads may create the table or its columns before this one gives up."""
MAX_EQUAL_LOOKS = 2
"""How often the catalogue may look the same after "already exists"."""


class SqlSink:
    """Loads rows into one table of one database.

    :param warehouse: how this kind of database does each step.
    :param log_target: the table in which each load is logged; None: none.
    """

    def __init__(
        self, warehouse: Warehouse, target: Target, log_target: Target | None = None
    ) -> None:
        warehouse.check(target)
        if log_target is not None:
            with _naming_the_log():
                warehouse.check(log_target)
        self.warehouse = warehouse
        self.target = target
        self._log_target = log_target
        self._session: DbSession | None = None
        self._table: LoadTable | None = None
        self._namespace = ""

    def load(self, plan: LoadPlan, batches: Iterable[RowBatch]) -> LoadResult:
        """Stage all batches, then replace rows in one transaction."""
        self._session = self._table = None
        rows = StagedRows(plan, batches)
        with (
            self._explained(plan),
            self._read_ahead(plan, rows) as staged,
            self.warehouse.connect(self.target) as session,
        ):
            self._session = session
            return self._load(session, plan, rows, staged)

    def read_log(self, plan: LoadPlan) -> dict[Day, dt.datetime]:
        """Return when each day of the plan's window was last requested, by the load log."""
        self._session = None
        with self._explained(plan), self.warehouse.connect(self.target) as session:
            self._session = session
            with at(LoadStep.PREPARE):
                schema = self.warehouse.reflect(session, session.resolve(self.target.table))
            if schema is None or self._log_target is None:
                return {}
            with _naming_the_log(), at(LoadStep.PREPARE, self._log_target.table):
                return self._read_log(session, plan, self._log_target, str(schema.ref))

    def _read_log(
        self, session: DbSession, plan: LoadPlan, log_target: Target, table: str
    ) -> dict[Day, dt.datetime]:
        schema = self.warehouse.reflect(session, session.resolve(log_target.table))
        log_plan = load_log.log_plan(plan)
        # A log of another shape is widened by the load itself; until then it proves nothing.
        if schema is None or find_missing_columns(schema, log_plan):
            return {}
        log_table = LoadTable(log_plan, schema, session.dialect, self.warehouse.spells_names)
        found = statements.fetch_held_days(
            session, log_table, load_log.is_known(log_table, plan, table)
        )
        return {day: held.newest for day, held in found.items() if held.newest is not None}

    @contextmanager
    def _explained(self, plan: LoadPlan) -> Iterator[None]:
        """Turn a driver's failure into an error that says what to do."""
        try:
            yield
        except DriverFailure as failure:
            error = self.warehouse.errors.explain(failure, self.target, plan, self._session)
            # A message about "table" would send the reader to the wrong argument.
            if self._log_target is not None and failure.table is self._log_target.table:
                error = _name_log(error)
            raise error from error.__cause__

    def dataset(self) -> DatasetRef | None:
        """Return where the table is, for lineage; None until the database has been reached."""
        if self._table is None:
            return None
        dialect = self._table.dialect
        columns = {
            column.name: ColumnRef(
                dialect.fold(self._table.stored_name(column.name)), dialect.types[column.kind]
            )
            for column in self._table.plan.all_columns
        }
        return table_dataset(self._namespace, self._table.ref.parts, columns)

    def cancel(self) -> None:
        """Cancel the running statement, if the driver can."""
        if self._session is not None:
            self._session.cancel()

    @contextmanager
    def _read_ahead(self, plan: LoadPlan, rows: StagedRows) -> Iterator[StagedRows | Spool]:
        if not self.warehouse.prefetch:
            yield rows
            return
        with spool_rows(plan.staged_columns, rows) as spool:
            yield spool

    def _load(
        self, session: DbSession, plan: LoadPlan, rows: StagedRows, staged: StagedRows | Spool
    ) -> LoadResult:
        warehouse, target = self.warehouse, self.target
        with at(LoadStep.PREPARE):
            self._table = table = ensure_table(session, warehouse, plan, target)
            self._namespace = warehouse.namespace(session)
            table_checks.check_adopted(session, table)
            table_checks.warn_of_personal_columns(table)
            log_table = self._ensure_log_table(session, plan)
        with at(LoadStep.STAGE):
            # Outside of the transaction: no lock is held while rows arrive from the API, which may
            # take an hour.
            stage = warehouse.stage(session, table, staged)
            table_checks.check_staged(session, table, stage, rows)

        run = LoadRun(session, warehouse, table, stage, rows, log_table)

        def attempt(*, in_place: bool) -> LoadResult | None:
            try:
                with session.transaction():
                    with at(LoadStep.LOCK):
                        warehouse.lock(session, table.ref)
                    with at(LoadStep.CHANGE):
                        return replace_rows(run, in_place=in_place)
            except DriverFailure as failure:
                # A conflict means that another load came first; this one is rolled back and may run
                # again.
                if not warehouse.errors.is_conflict(failure.error):
                    raise
                return None

        what = f"table {target}"
        try:
            # The whole transaction again: what the table holds is read again under the lock.
            return target.wait_for(lambda: attempt(in_place=True), what=what)
        except DuplicateRows:
            # A table without an enforced key holds duplicates: an UPDATE would keep them.
            return target.wait_for(lambda: attempt(in_place=False), what=what)

    def _ensure_log_table(self, session: DbSession, plan: LoadPlan) -> LoadTable | None:
        if self._log_target is None:
            return None
        with _naming_the_log(), at(LoadStep.PREPARE, self._log_target.table):
            log_plan = load_log.log_plan(plan)
            return ensure_table(session, self.warehouse, log_plan, self._log_target)


class DuplicateRows(Exception):
    """The table holds rows of one key more than once."""


def _name_log(error: We360Error) -> We360Error:
    text = str(error).removeprefix("table: ")
    named = type(error)(f"{load_log.ARGUMENT}: {text}")
    # Fields such as retry_after_s belong to the error, whatever its text.
    named.__dict__.update(error.__dict__)
    named.__cause__ = error.__cause__
    return named


@contextmanager
def _naming_the_log() -> Iterator[None]:
    """Name the argument of the log in errors that concern its table."""
    try:
        yield
    except (SinkError, We360ConfigError) as error:
        raise _name_log(error) from error.__cause__


def ensure_table(
    session: DbSession, warehouse: Warehouse, plan: LoadPlan, target: Target
) -> LoadTable:
    """Return the table, created or widened if that is allowed.

    Another load may do the same at the same time; "already exists" then is success.
    """
    ref = session.resolve(target.table)
    before: TableSchema | None = None
    failed: DriverFailure | None = None
    equal_looks = 0
    for _ in range(MAX_SIBLINGS):
        schema = warehouse.reflect(session, ref)
        # Databases report "already exists" for a type or an index of that name as well.
        if failed is not None and schema == before:
            equal_looks += 1
            if equal_looks == MAX_EQUAL_LOOKS:
                # No other load did our work: something else is in the way, and the error names it.
                raise failed
        before, failed = schema, None
        try:
            if schema is None:
                _create(session, warehouse, plan, ref)
            elif not _add_missing(session, warehouse, plan, schema):
                warehouse.prepare_lock(session, schema.ref)
                return LoadTable(plan, schema, session.dialect, warehouse.spells_names)
        except DriverFailure as failure:
            if not warehouse.errors.is_already_there(failure.error):
                raise
            failed = failure
    raise SinkError(
        f"table: other sessions keep creating and dropping {target}; nothing was changed. Run the "
        "task again when they have finished"
    )


def _create(session: DbSession, warehouse: Warehouse, plan: LoadPlan, ref: TableRef) -> None:
    if not plan.create_table:
        raise We360ConfigError(
            f"table: {ref} does not exist and create_table is False; create it, or let "
            "create_table be True"
        )
    # If DDL commits by itself, a transaction around it would only pretend.
    with nullcontext() if session.dialect.ddl_commits else session.transaction():
        warehouse.create_table(session, ref, plan)
    log.info("Created table %s", ref)


def _add_missing(
    session: DbSession, warehouse: Warehouse, plan: LoadPlan, schema: TableSchema
) -> bool:
    """Add the columns that the table lacks; return whether there were any."""
    check_schema(schema, plan, session.dialect)
    missing = find_missing_columns(schema, plan)
    names = ", ".join(column.name for column in missing)
    if missing and not plan.evolve_schema:
        raise We360ConfigError(
            f"table: {schema.ref} lacks {names} and evolve_schema is False; add these columns, "
            "leave them out of columns, or let evolve_schema be True"
        )
    if missing:
        with nullcontext() if session.dialect.ddl_commits else session.transaction():
            warehouse.add_columns(session, schema.ref, plan, missing)
        log.info("Added columns to table %s: %s", schema.ref, names)
    return bool(missing)


@dataclass(frozen=True, slots=True)
class LoadRun:
    """A load whose rows are staged."""

    session: DbSession
    warehouse: Warehouse
    table: LoadTable
    stage: str
    rows: StagedRows
    log_table: LoadTable | None


def replace_rows(run: LoadRun, *, in_place: bool) -> LoadResult:
    """Replace the rows of the load, inside its transaction and under its lock."""
    session, table, stage = run.session, run.table, run.stage
    plan, predicates = table.plan, Predicates(table)
    # Under the lock, as is everything below: what is read here cannot change before the commit.
    table_checks.check_identities(session, table)
    owned = predicates.scope
    if plan.write_mode is WriteMode.MERGE:
        # merge never deletes a row that the report no longer has.
        owned &= statements.match_staged(table, stage)

    held = statements.fetch_held_days(session, table, owned)
    held_rows = {day: found.rows for day, found in held.items()}
    coming = statements.count_rows_per_day(session, table, stage)
    kept: tuple[Day, ...] = ()
    if plan.write_mode is WriteMode.REPLACE_WINDOW:
        table_checks.check_in_scope(session, table, stage, coming)
        kept = find_days_to_keep(held_rows, coming, plan.on_empty)
    newer = find_newer_days(run, held)
    spared = {*kept, *newer}

    changed = write_rows(run, owned, spared, held, in_place=in_place)
    landed = check_landed(run, owned & predicates.without_days(spared), coming, spared, changed)
    if run.log_table is not None:
        write_log(run, run.log_table, landed, spared)
    if newer:
        log.warning(
            "Kept the rows of %s as they were: another load requested these days later than this "
            "one and has already committed",
            ", ".join(map(str, newer)),
        )
    return LoadResult(
        rows=sum(landed.values()),
        rows_removed=sum(count for day, count in held_rows.items() if day not in spared),
        days_kept=kept,
        days_kept_newer=newer,
        where=str(table.ref),
        held=held_rows if plan.write_mode is WriteMode.REPLACE_WINDOW else None,
        rows_changed=changed,
    )


def write_rows(
    run: LoadRun,
    owned: Predicate,
    spared: set[Day],
    held: Mapping[Day, statements.HeldDay],
    *,
    in_place: bool,
) -> int | None:
    """Write the staged rows; return how many rows really changed, or None if unknown.

    In place, rows of an equal key are updated only if they differ, and only rows that are gone are
    deleted: foreign keys, triggers and columns of the user's own see no more than that.
    """
    session, table, stage = run.session, run.table, run.stage
    keep = Predicates(table).without_days(spared)
    # Nothing to replace, the usual case of a new day: one INSERT.
    if not any(day not in spared for day in held):
        return statements.insert_staged(session, table, stage, keep)
    # Analytic databases rewrite a row in any case, so DELETE and INSERT is no more work there.
    if not in_place or not table.dialect.differs or table.plan.write_mode is WriteMode.APPEND:
        statements.delete_rows(session, table, owned & keep)
        statements.insert_staged(session, table, stage, keep)
        return None
    changed = 0
    if table.plan.write_mode is WriteMode.REPLACE_WINDOW:
        # Deleted first: a unique index of the user could otherwise reject an updated row.
        gone = owned & keep & statements.is_gone(table, stage)
        changed = statements.delete_rows(session, table, gone)
    changed += statements.update_changed(session, table, stage, keep)
    unmatched = keep & statements.is_unmatched(table)
    return changed + statements.insert_staged(session, table, stage, unmatched)


def check_landed(
    run: LoadRun,
    landed_rows: Predicate,
    coming: Mapping[Day, int],
    spared: set[Day],
    changed: int | None,
) -> dict[Day, int]:
    """Return the rows of the load that the table now holds, by day.

    Counts come from the table, not from what the load meant to write: triggers, rules and policies
    can drop, move or add rows without an error.

    :raises SinkError: if they differ from the staged rows, or if a key is there twice.
    :raises DuplicateRows: if the table held duplicates that were updated in place.
    """
    session, table = run.session, run.table
    landed = statements.count_rows_per_day(session, table, table.sql, landed_rows)
    expected = {day: count for day, count in coming.items() if day not in spared}
    if landed != expected:
        found, sent = sum(landed.values()), sum(expected.values())
        # More rows than were sent can only be duplicates that were there before. Without an update,
        # the DELETE has removed them.
        if changed is not None and found > sent:
            raise DuplicateRows
        raise error_messages.rows_missing(table.ref, sent, found)
    if run.warehouse.has_unenforced_key(session, table) and statements.has_duplicate_keys(
        session, table, run.stage
    ):
        raise error_messages.key_taken(table.ref, table.plan.write_mode)
    return landed


def find_newer_days(run: LoadRun, held: Mapping[Day, statements.HeldDay]) -> tuple[Day, ...]:
    """Return the days of which the target holds a newer answer than this load brings.

    A worker that was suspended, or a slow sweep, may commit after a load that requested its days
    later. A stamp in the future of the target's own clock comes from a worker whose clock is wrong,
    and does not count.
    """
    plan, requested = run.table.plan, run.rows.requested
    newest = {day: found.newest for day, found in held.items() if found.newest is not None}
    if run.log_table is not None and plan.write_mode is WriteMode.REPLACE_WINDOW:
        # An empty day has no row that could carry a stamp, only its row in the log.
        rival = load_log.is_rival(run.log_table, plan, str(run.table.ref))
        logged = statements.fetch_held_days(run.session, run.log_table, rival)
        for day, found in logged.items():
            if found.newest is not None and day in plan.days:
                newest[day] = max(found.newest, newest.get(day, found.newest))
    later = {
        day: moment for day, moment in newest.items() if moment > requested.get(day, plan.loaded_at)
    }
    if not later:
        return ()
    now = statements.fetch_utc_now(run.session)
    # Compared with the clock of the database: it is the only one that all loads share.
    return tuple(sorted(day for day, moment in later.items() if moment <= now))


def write_log(
    run: LoadRun, log_table: LoadTable, landed: Mapping[Day, int], spared: set[Day]
) -> None:
    """Log the load, as the last step of its transaction; rows of an earlier try are replaced."""
    session, plan = run.session, run.table.plan
    with at(LoadStep.CHANGE, log_table.ref.name):
        earlier = load_log.is_earlier_try(log_table, plan)
        # The lock is only taken if there is something to replace: else all loads would wait here.
        if statements.count_rows(session, log_table.sql, earlier):
            with at(LoadStep.LOCK):
                run.warehouse.lock(session, log_table.ref)
            statements.delete_rows(session, log_table, earlier)
        entries = load_log.entries(plan, str(run.table.ref), landed, spared, run.rows.requested)
        statements.insert_values(session, log_table, entries)
