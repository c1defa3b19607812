"""SqlSink: the course of a load into a database, the same for every warehouse (docs/adr/0006)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from logging import getLogger

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error, WindowOverlaps
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks import load_log, refusals
from airflow_provider_we360.sinks.base import (
    TENANT,
    WINDOW_END,
    WINDOW_START,
    Load,
    LoadResult,
    WriteMode,
)
from airflow_provider_we360.sinks.catalogue import StoredTable
from airflow_provider_we360.sinks.emptiness import days_to_keep
from airflow_provider_we360.sinks.place import Place, Stored, table
from airflow_provider_we360.sinks.scope import Condition, Scope
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse, bare
from airflow_provider_we360.types import Day

log = getLogger(__name__)

MOST_SIBLINGS = 16
"""How often "already exists" is taken for an answer while the table is made."""


class SqlSink:
    """Loads into one table of one database.

    :param warehouse: how this kind of database does each step.
    :param log: the table where each load writes down what it did; None: none.
    """

    def __init__(
        self, warehouse: type[Warehouse], target: Target, log: Target | None = None
    ) -> None:
        warehouse.require_usable(target)
        if log is not None:
            with _about_the_log():
                warehouse.require_usable(log)
        self._warehouse = warehouse
        self._target = target
        self._log = log
        self._course: _Course | None = None

    def load(self, load: Load, batches: Iterable[RowBatch]) -> LoadResult:
        """Table, staging, then one transaction; see :class:`airflow_provider_we360.sinks.base.Sink`."""
        self._course = _Course(self._warehouse(self._target, load), load, self._log)
        return self._course.take(batches)

    def place(self) -> Place | None:
        return self._course.place() if self._course is not None else None


@contextmanager
def _about_the_log() -> Iterator[None]:
    """Inside it, whatever is refused is refused of the log: the error names that argument."""
    try:
        yield
    except (SinkError, We360ConfigError) as error:
        raise _of_the_log(error) from None


def _of_the_log(error: We360Error) -> We360Error:
    return type(error)(f"{load_log.ARGUMENT}: {str(error).removeprefix('table: ')}")


class _Course:
    """One load on its way."""

    def __init__(self, warehouse: Warehouse, load: Load, log: Target | None = None) -> None:
        self._warehouse = warehouse
        self._load = load
        self._log = log
        self._explain = warehouse.explain
        self._scope = Scope(load, warehouse.quote, warehouse.adapt, warehouse.placeholder)
        self._full_name: tuple[str, ...] = ()

    def take(self, batches: Iterable[RowBatch]) -> LoadResult:
        with self._explained(), self._warehouse.opened(self._alike(batches)) as to_stage:
            stored = self._shaped()
            self._full_name = self._warehouse.full_name()
            self._require_adopted(stored)
            self._warn_of_personal(stored)
            log_course = self._log_course()
            self._warehouse.stage(to_stage)
            return self._warehouse.target.wait_for(
                lambda: self._exchanged(log_course), what=f"table {self._warehouse.target}"
            )

    def _exchanged(self, log_course: _Course | None) -> LoadResult | None:
        """One try; None where another transaction was first, and this one was taken back whole."""
        try:
            with self._transaction():
                self._warehouse.lock()
                result = self._exchange()
                if log_course is not None:
                    with self._spoken_for_by(log_course):
                        log_course.note(self._load, self._warehouse.staged_per_day(), result)
            return result
        except self._warehouse.driver_error as error:
            if not self._warehouse.is_conflict(error):
                raise
        return None

    def place(self) -> Place | None:
        """Where the table is; None as long as the database has not been seen."""
        if not self._full_name:
            return None
        spelled = {
            column.name: Stored(
                bare(self._warehouse.quote(column.name)), self._warehouse.type_names[column.kind]
            )
            for column in self._load.all_columns
        }
        return table(self._warehouse.namespace(), self._full_name, spelled)

    def _alike(self, batches: Iterable[RowBatch]) -> Iterator[RowBatch]:
        for batch in batches:
            if batch.columns != self._load.columns:
                raise refusals.other_columns()
            yield batch

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._warehouse.driver_error as error:
            raise self._explain(error) from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._explain, self._warehouse.is_committing = self._warehouse.explain, False
        self._warehouse.begin()
        try:
            yield
            self._warehouse.is_committing = True
            self._warehouse.commit()
            self._warehouse.is_committing = False
        except BaseException:
            with suppress(Exception):
                self._warehouse.rollback()
            raise

    # The load log: a course of its own on the same session

    def _log_course(self) -> _Course | None:
        """The log, made or widened where that is allowed."""
        if self._log is None:
            return None
        with _about_the_log():
            load = load_log.log_load(self._load)
            course = _Course(self._warehouse.beside(self._log, load), load)
            with course._explained():
                course._shaped()
            return course

    @contextmanager
    def _spoken_for_by(self, log_course: _Course) -> Iterator[None]:
        """What the driver raises inside it is of the log. It is explained where all is: whoever begins anew must see it."""
        self._explain = lambda error: _of_the_log(log_course._warehouse.explain(error))
        yield
        self._explain = self._warehouse.explain

    def note(self, load: Load, coming: Mapping[Day, int], result: LoadResult) -> None:
        """Write down a load, as the last step of its transaction; what an earlier try of it wrote is replaced."""
        earlier = self._scope.tenant & Condition(
            f"{self._warehouse.quote(load_log.LOAD_ID.name)} = {self._warehouse.placeholder}",
            (load_log.load_id(load),),
        )
        if self._warehouse.count(earlier):
            self._warehouse.lock()
            self._warehouse.delete(earlier)
        rows = load_log.entries(load, result.where, coming, result.days_kept)
        self._warehouse.insert_values(self._load.all_columns, rows)

    # Table and columns

    def _ddl(self) -> AbstractContextManager[None]:
        """All or nothing, where the target can do that."""
        return nullcontext() if self._warehouse.ddl_commits else self._transaction()

    def _shaped(self) -> StoredTable:
        """The table, made or widened where that is allowed. A sibling that was first has done our work."""
        for _ in range(MOST_SIBLINGS):
            try:
                stored = self._warehouse.stored_table()
                if stored is None:
                    self._create()
                elif not self._widened(stored):
                    return stored
            except self._warehouse.driver_error as error:
                if not self._warehouse.is_already_there(error):
                    raise
        raise SinkError(
            f"table: {self._warehouse.target} is made and dropped by others all the time; nothing was changed"
        )

    def _create(self) -> None:
        if not self._load.create_table:
            raise We360ConfigError(
                f"table: {self._warehouse.target} does not exist and create_table is False; "
                "create it, or let create_table be True"
            )
        with self._ddl():
            self._warehouse.create_table()
        log.info("Created table %s", self._warehouse.target)

    def _widened(self, stored: StoredTable) -> bool:
        """Whether columns had to be added."""
        stored.require_takes(self._load, self._warehouse.holds)
        new = stored.lacks(self._load)
        if new and not self._load.evolve_schema:
            raise We360ConfigError(
                f"table: {self._warehouse.target} lacks {', '.join(column.name for column in new)} and evolve_schema is False; "
                "add the column(s), leave them out of columns, or let evolve_schema be True"
            )
        if new:
            with self._ddl():
                self._warehouse.add_columns(new)
            log.info(
                "Added to table %s: %s",
                self._warehouse.target,
                ", ".join(column.name for column in new),
            )
        return bool(new)

    def _warn_of_personal(self, stored: StoredTable) -> None:
        """What was once asked for in clear stays in other days' rows until somebody takes it out."""
        asked = {column.name.lower() for column in self._load.columns}
        if left := [
            name
            for name in sorted(self._load.personal)
            if name.lower() not in asked and stored.column(name)
        ]:
            log.warning(
                "Table %s has personal column(s) that this task no longer asks for: %s. Rows of other days may still hold "
                "them; to be rid of them, drop the column(s), or set them to NULL",
                self._warehouse.target,
                ", ".join(left),
            )

    def _require_adopted(self, stored: StoredTable) -> None:
        """Rows without key, from before this provider, would neither be replaced nor counted."""
        orphans = {
            name: count
            for name in self._load.table_key
            if (column := stored.column(name)) is not None and not column.not_null
            if (count := self._warehouse.count(self._scope.nothing_in(name)))
        }
        ours = [
            name for name in (TENANT.name, WINDOW_START.name, WINDOW_END.name) if name in orphans
        ]
        if ours:
            raise We360ConfigError(
                f"table: {max(orphans.values())} row(s) of {self._warehouse.target} have no {', '.join(ours)}: they are from "
                f"before this provider. Adopt them, once: {self._adoption(ours)}"
            )
        if orphans:
            name, count = next(iter(orphans.items()))
            quoted = self._warehouse.quote(name)
            raise We360ConfigError(
                f"table: {count} row(s) of {self._warehouse.target} have no {name}, which is part of the key. Fill it, or: "
                f"DELETE FROM {self._warehouse.table} WHERE {quoted} IS NULL;"
            )

    def _adoption(self, names: list[str]) -> str:
        values = {
            TENANT.name: self._warehouse.literal(self._load.tenant),
            WINDOW_START.name: "'<first day they sum up>'",
            WINDOW_END.name: "'<last day they sum up>'",
        }
        quoted = {name: self._warehouse.quote(name) for name in names}
        settings = ", ".join(
            f"{quoted[name]} = coalesce({quoted[name]}, {values[name]})" for name in names
        )
        unmarked = " OR ".join(f"{quoted[name]} IS NULL" for name in names)
        return f"UPDATE {self._warehouse.table} SET {settings} WHERE {unmarked};"

    # Rows, all in one transaction

    def _exchange(self) -> LoadResult:
        kept: tuple[Day, ...] = ()
        held: dict[Day, int] | None = None
        nothing_kept = self._scope.everything
        self._require_people_told_alike()
        if self._load.write_mode is WriteMode.APPEND:
            removed = self._warehouse.delete(self._scope.run)
        elif self._load.write_mode is WriteMode.MERGE:
            removed = self._warehouse.delete_staged_keys(self._scope.merged)
        else:
            held = self._warehouse.held_per_day(self._scope.replaced)
            kept = self._judged(held)
            nothing_kept = self._scope.without(kept)
            removed = self._warehouse.delete(self._scope.replaced & nothing_kept)
        rows = self._warehouse.insert(nothing_kept)
        if self._warehouse.promises_key() and self._warehouse.has_doubled_keys():
            raise refusals.key_taken(self._warehouse.target, self._load.write_mode) from None
        return LoadResult(
            rows=rows,
            rows_removed=removed,
            days_kept=kept,
            where=str(self._warehouse.target),
            held=held,
        )

    def _require_people_told_alike(self) -> None:
        """A person who stays in the window under another name would be there twice."""
        stays = self._load.write_mode is WriteMode.MERGE or (
            self._load.write_mode is WriteMode.REPLACE_WINDOW and self._load.user_ids
        )
        if stays and (
            count := self._warehouse.count(self._scope.days & self._scope.otherwise_named)
        ):
            raise refusals.otherwise_named(self._load, self._warehouse.target, count)

    def _judged(self, held: Mapping[Day, int]) -> tuple[Day, ...]:
        """Days to keep of those held, once it is clear that the rows may take the place of those there."""
        coming = self._warehouse.staged_per_day()
        self._require_in_scope(coming)
        if self._load.day_column is None:
            self._require_no_overlap()
        return days_to_keep(held, coming, self._load.on_empty)

    def _require_in_scope(self, coming: Iterable[Day]) -> None:
        """Rows from outside of what is deleted would stand beside those that are there already."""
        first, last = self._load.window
        if strays := sorted(day for day in coming if not first <= day <= last):
            raise refusals.stray_day(self._load, strays[0])
        if self._load.user_ids and (
            count := self._warehouse.count(self._scope.strangers, staged=True)
        ):
            raise refusals.strangers(self._load, count)

    def _require_no_overlap(self) -> None:
        first, last = self._load.window
        for other_first, other_last in self._warehouse.other_windows(self._scope.overlapping):
            raise WindowOverlaps(
                f"window: {first} to {last} shares days with {other_first} to {other_last}, which {self._warehouse.target} "
                "holds; nothing was changed. Load the very same window, or delete the rows of the other one first"
            )
