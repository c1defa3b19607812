"""LakeLoad: compare the rows of a load with those of a lake's table, and commit them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.errors import WindowOverlaps
from airflow_provider_we360.sinks import lake_rows, load_log
from airflow_provider_we360.sinks.base import (
    LOADED_AT,
    RUN_ID,
    TENANT,
    WINDOW_END,
    WINDOW_START,
    LoadPlan,
    LoadResult,
    WriteMode,
)
from airflow_provider_we360.sinks.batching import StagedRows
from airflow_provider_we360.sinks.day_spool import DaySpool
from airflow_provider_we360.sinks.lake_rows import HeldRows
from airflow_provider_we360.sinks.lake_table import LakeTable, Where
from airflow_provider_we360.sinks.shrink_guard import find_days_to_keep
from airflow_provider_we360.sinks.table_schema import LoadTable
from airflow_provider_we360.types import Clock, Day

if TYPE_CHECKING:
    import pyarrow as pa

log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LakeLoad:
    """One attempt to commit a load, on one version of the table.

    :param began: the version of the table when the load began.
    """

    target: LoadTable
    table: LakeTable
    rows: StagedRows
    spool: DaySpool
    began: int | None
    now: Clock

    @property
    def plan(self) -> LoadPlan:
        """The plan of the load."""
        return self.target.plan

    def commit(self) -> tuple[LoadResult, set[Day]]:
        """Compare with what the table holds, and replace rows; also return the days left alone."""
        plan, held = self.plan, self._read_held()
        replaces_window = plan.write_mode is WriteMode.REPLACE_WINDOW
        kept: tuple[Day, ...] = ()
        if replaces_window:
            self._check_overlaps()
            kept = find_days_to_keep(held.rows, self.spool.rows, plan.on_empty)
        newer = self._find_newer_days(held)
        spared = {*kept, *newer}
        days = sorted({*held.rows, *self.spool.rows} - spared)
        if days or replaces_window:
            self._replace(days, held, spared)
        if newer:
            log.warning(
                "Kept the rows of %s as they were: another load requested these days later than "
                "this one and has already committed",
                ", ".join(map(str, newer)),
            )
        result = LoadResult(
            rows=sum(count for day, count in self.spool.rows.items() if day not in spared),
            rows_removed=sum(count for day, count in held.rows.items() if day not in spared),
            days_kept=kept,
            days_kept_newer=newer,
            where=self.table.name,
            held=held.rows if replaces_window else None,
        )
        return result, spared

    def _replace(self, days: list[Day], held: HeldRows, spared: set[Day]) -> None:
        import pyarrow.compute as pc

        where = self._where(days) if any(day in held.rows for day in days) else None
        with DaySpool() as rest:
            if where is not None and held.has_others:
                # Days are replaced whole: that deletes whole files, and leaves one per day. The
                # rows that stay are read first, because a writer cannot read from its own table.
                for day in days:
                    rows = self.table.read(None, self._where([day]))
                    rest.add(day, rows.filter(pc.invert(self._is_owned(day, rows))))
            self.table.replace(where, self._join(days, rest), self._facts(spared))

    def _join(self, days: list[Day], rest: DaySpool) -> Iterator[pa.Table]:
        import pyarrow as pa

        schema, person = self.table.schema, self.target.stored_name(self.plan.person_column)
        for day in days:
            parts = [rows for rows in (self.spool.read(day), rest.read(day)) if rows is not None]
            if parts:
                aligned = pa.concat_tables([lake_rows.align(rows, schema) for rows in parts])
                yield aligned.sort_by(person)

    def _read_held(self) -> HeldRows:
        plan, stored = self.plan, self.target.stored_name
        names = [name for name in (plan.day_column, plan.person_column, LOADED_AT.name) if name]
        days = {*plan.days, *self.spool.rows} if plan.write_mode is WriteMode.MERGE else plan.days
        if plan.write_mode is WriteMode.APPEND:
            where: Where = {stored(RUN_ID.name): [plan.run_id]}
        else:
            where = self._where(days)
        rows = self.table.read([stored(name) for name in names], where)
        if plan.write_mode is WriteMode.MERGE or (
            plan.user_ids and plan.write_mode is WriteMode.REPLACE_WINDOW
        ):
            lake_rows.check_identities(self.target, rows.column(stored(plan.person_column)))
        return lake_rows.summarize_held(self.target, rows, self._is_owned)

    def _is_owned(self, day: Day, rows: pa.Table) -> Any:
        """Return the mask of the rows of one day that this load replaces."""
        import pyarrow as pa
        import pyarrow.compute as pc

        people = rows.column(self.target.stored_name(self.plan.person_column))
        if self.plan.write_mode is WriteMode.MERGE:
            coming = self.spool.read(day)
            wanted = [] if coming is None else coming.column(self.plan.person_column).to_pylist()
            return pc.is_in(people, value_set=pa.array(wanted, people.type))
        if self.plan.user_ids and self.plan.write_mode is WriteMode.REPLACE_WINDOW:
            return lake_rows.is_one_of(people, self.plan.user_ids)
        return pa.array([True] * rows.num_rows, pa.bool_())

    def _where(self, days: Iterable[Day]) -> Where:
        """Return the rows among which this load replaces those of some days."""
        plan, stored = self.plan, self.target.stored_name
        owner = {stored(TENANT.name): [plan.tenant]}
        if plan.write_mode is WriteMode.APPEND:
            owner = {stored(RUN_ID.name): [plan.run_id]}
        if plan.day_column is not None:
            return {**owner, stored(plan.day_column): sorted(days)}
        if plan.write_mode is WriteMode.APPEND:
            return owner
        first, last = plan.window
        return {**owner, stored(WINDOW_START.name): [first], stored(WINDOW_END.name): [last]}

    def _check_overlaps(self) -> None:
        """Refuse a window that shares days with another one: both would count those days."""
        plan, stored = self.plan, self.target.stored_name
        if plan.day_column is not None:
            return
        first, last = plan.window
        names = [stored(WINDOW_START.name), stored(WINDOW_END.name)]
        held = self.table.read(names, {stored(TENANT.name): [plan.tenant]})
        for other in held.group_by(names).aggregate([]).to_pylist():
            held_first, held_last = other[names[0]], other[names[1]]
            overlaps = held_first <= last and held_last >= first
            if overlaps and (held_first, held_last) != plan.window:
                raise WindowOverlaps(
                    f"window: {first} to {last} shares days with {held_first} to {held_last}, "
                    f"which {self.table.name} holds; nothing was changed. Load exactly that "
                    "window, or delete its rows first"
                )

    def _find_newer_days(self, held: HeldRows) -> tuple[Day, ...]:
        """Return the days of which the table holds a newer answer than this load brings.

        A stamp in the future comes from a worker whose clock is wrong, and does not count.
        """
        newest = dict(held.newest)
        if self.plan.write_mode is WriteMode.REPLACE_WINDOW:
            # An empty day has no row that could carry a stamp: the commits say it.
            for text in self.table.facts_since(self.began):
                for day, moment in self._read_emptied(json.loads(text)):
                    newest[day] = max(moment, newest.get(day, moment))
        present = dt.datetime.fromtimestamp(self.now(), dt.UTC)
        requested = self.rows.requested
        return tuple(
            sorted(
                day
                for day, moment in newest.items()
                if requested.get(day, self.plan.loaded_at) < moment <= present
            )
        )

    def _facts(self, spared: set[Day]) -> str:
        """Return what the commit says of its load, as JSON."""
        plan = self.plan
        empty = [day for day in plan.days if day not in spared and day not in self.spool.rows]
        return json.dumps(
            {
                **self._identity(),
                "load_id": load_log.load_id(plan),
                "write_mode": plan.write_mode,
                "window": [day.isoformat() for day in plan.window],
                "empty_days": {
                    day.isoformat(): self.rows.requested[day].isoformat() for day in empty
                }
                if plan.write_mode is WriteMode.REPLACE_WINDOW
                else {},
            }
        )

    def _identity(self) -> dict[str, str]:
        """Return what says that two loads are about the same rows."""
        plan = self.plan
        return {
            "tenant": plan.tenant,
            "report": plan.report,
            "mode": plan.mode,
            "filters": load_log.describe_filters(plan),
        }

    def _read_emptied(self, facts: Mapping[str, Any]) -> Iterator[tuple[Day, dt.datetime]]:
        """Yield the days that another load of the same rows found empty, and when."""
        mine = self._identity()
        if {name: facts.get(name) for name in mine} != mine:
            return
        if facts["load_id"] == load_log.load_id(self.plan):
            return
        for day, moment in facts["empty_days"].items():
            yield dt.date.fromisoformat(day), dt.datetime.fromisoformat(moment)
