"""What every target is asked: take these batches, change exactly this scope, and say how it went."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import OWN_PREFIX, Column, Kind
from airflow_provider_we360.sinks.place import Place
from airflow_provider_we360.types import Window


class WriteMode(enum.StrEnum):
    """How rows meet the rows that are there already."""

    REPLACE_WINDOW = "replace_window"
    """Rows of the same tenant, days and users go, the new ones come, in one transaction."""
    MERGE = "merge"
    """Rows of the same key are replaced, others stay, rows that We360 took back stay too."""
    APPEND = "append"
    """Rows are added; only those of this very run (any earlier try of it) are removed first."""


class OnEmpty(enum.StrEnum):
    """What happens where a day would lose its rows, or more than half of at least 20."""

    FAIL = "fail"
    """Nothing in the whole window changes and the task fails."""
    KEEP = "keep"
    """That day's rows stay as they are."""
    REPLACE = "replace"
    """They go."""


TENANT = Column(f"{OWN_PREFIX}tenant", Kind.TEXT, "Customer ID of the We360 account")
WINDOW_START = Column(
    f"{OWN_PREFIX}window_start", Kind.DATE, "First local day of the summed window"
)
WINDOW_END = Column(f"{OWN_PREFIX}window_end", Kind.DATE, "Last local day of the summed window")
RUN_ID = Column(
    f"{OWN_PREFIX}run_id",
    Kind.TEXT,
    "Dag, run, task and map index that loaded the row; the same for every try",
)
LOADED_AT = Column(f"{OWN_PREFIX}loaded_at", Kind.INSTANT, "When the row was loaded, UTC")


@dataclass(frozen=True, slots=True)
class Load:
    """One load, as values: what the rows are, which scope they replace, and how.

    :param report: name of the report.
    :param mode: mode of the report; one table holds one mode.
    :param tenant: Customer ID.
    :param window: first and last day that were asked for, both inclusive.
    :param day_column: column that holds a row's day; None where the whole window is one row a person (summary).
    :param key: the report's key columns, without our own.
    :param columns: columns of every batch, in order.
    :param user_ids: only these people were asked for; empty: all.
    :param group_filtered: True where group or shift filters narrowed the rows, and others lie in the same place.
    :param pseudonyms: what the pseudonyms of a column begin with, by column.
    :param personal: names of the report's columns that name, reach or place a person in clear.
    :param filters: all that narrowed the rows, as one text, the same for the same filters; empty: nothing did.
    :param run_id: value of ``_we360_run_id``.
    :param loaded_at: value of ``_we360_loaded_at``, aware, UTC.
    """

    report: str
    mode: str
    tenant: str
    window: Window
    day_column: str | None
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    run_id: str
    loaded_at: dt.datetime
    user_ids: tuple[str, ...] = ()
    pseudonyms: Mapping[str, str] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    group_filtered: bool = False
    filters: str = ""
    write_mode: WriteMode = WriteMode.REPLACE_WINDOW
    on_empty: OnEmpty = OnEmpty.FAIL
    create_table: bool = True
    evolve_schema: bool = True

    def __post_init__(self) -> None:
        if self.group_filtered and self.write_mode is WriteMode.REPLACE_WINDOW:
            raise We360ConfigError(
                "write_mode: 'replace_window' with group_ids or shift_ids would leave rows of people who changed group "
                "or shift; use write_mode='merge'"
            )

    @property
    def constants(self) -> dict[Column, object]:
        """Our own columns, with the one value that each has in all rows of this load."""
        edges: dict[Column, object] = {}
        if self.day_column is None:
            edges = {WINDOW_START: self.window[0], WINDOW_END: self.window[1]}
        return {TENANT: self.tenant, **edges, RUN_ID: self.run_id, LOADED_AT: self.loaded_at}

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns of the table: ours, then those of the batches."""
        return (*self.constants, *self.columns)

    @property
    def person_column(self) -> str:
        """Name of the key column that says whose row it is; ``user_ids`` are values of it."""
        (person,) = (name for name in self.key if name != self.day_column)
        return person

    @property
    def about(self) -> str:
        """What the table holds, as its comment says it."""
        unit = "day" if self.day_column else "window"
        return f"We360 report {self.report}, mode {self.mode}: a row per person and {unit}; durations in seconds"

    @property
    def table_key(self) -> tuple[str, ...]:
        """Names of the key columns in the target, ours first."""
        edges = (WINDOW_START.name, WINDOW_END.name) if self.day_column is None else ()
        return (TENANT.name, *edges, *self.key)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did.

    :param rows: rows written.
    :param rows_removed: rows that were there before and went.
    :param days_kept: days whose rows stayed under ``on_empty="keep"``; where the window is one unit (summary), its first day.
    :param where: the table or path, for people.
    :param held: rows that were there before, by day; None where the target was not asked (merge, append).
    :param files: files written; None where rows go into a table.
    :param size_bytes: bytes of those files.
    """

    rows: int
    rows_removed: int
    days_kept: tuple[dt.date, ...]
    where: str
    held: Mapping[dt.date, int] | None = None
    files: int | None = None
    size_bytes: int | None = None


class Sink(Protocol):
    """A target."""

    def load(self, load: Load, batches: Iterable[RowBatch]) -> LoadResult:
        """Take all batches, then commit once.

        Whatever is raised, by the sink or while the batches are produced, leaves the target's rows as they were.

        :raises SinkError: the target refused; :class:`EmptyDayRefused` where ``on_empty`` says so.
        :raises We360ConfigError: the load cannot be done on this target as asked; names the argument.
        """
        ...

    def place(self) -> Place | None:
        """Where the rows of the load land, for those who keep lineage; None as long as the target has not told its name."""
        ...
