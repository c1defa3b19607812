"""What a load should do, what it did, and the interface of every target."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import OWN_PREFIX, Column, Kind
from airflow_provider_we360.sinks.dataset import DatasetRef
from airflow_provider_we360.types import Day, Window


class WriteMode(enum.StrEnum):
    """How new rows meet the rows that the table already holds."""

    REPLACE_WINDOW = "replace_window"
    """Replace the rows of the same tenant, days and users, in one transaction."""
    MERGE = "merge"
    """Replace rows of the same key. Other rows stay, also those that We360 no longer returns."""
    APPEND = "append"
    """Add the rows. Only rows of an earlier try of the same task run are removed first."""


class OnEmpty(enum.StrEnum):
    """What to do if a day's row count would drop to zero, or by more than half of at least 20."""

    FAIL = "fail"
    """Change nothing in the whole window and fail the task."""
    KEEP = "keep"
    """Keep that day's rows and load the other days."""
    REPLACE = "replace"
    """Replace the day's rows anyway."""


TENANT = Column(f"{OWN_PREFIX}tenant", Kind.TEXT, "Customer ID of the We360 account")
WINDOW_START = Column(f"{OWN_PREFIX}window_start", Kind.DATE, "First local day of the window")
WINDOW_END = Column(f"{OWN_PREFIX}window_end", Kind.DATE, "Last local day of the window")
RUN_ID = Column(
    f"{OWN_PREFIX}run_id",
    Kind.TEXT,
    "Dag, run, task and map index that loaded the row; the same for every try",
)
LOADED_AT = Column(
    f"{OWN_PREFIX}loaded_at", Kind.INSTANT, "When the row's day was requested from We360, UTC"
)
STAGED_AT = Column(LOADED_AT.name, Kind.TIMESTAMP)
"""``LOADED_AT`` on its way through the staging table: UTC without a zone, which every database
stores the same way."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What one load should do, as values.

    :param report: name of the report.
    :param mode: mode of the report; one table holds one mode.
    :param tenant: customer ID.
    :param window: first and last day of the run, both inclusive.
    :param day_column: the column that holds a row's day; None if each row covers the whole window
        (``summary``).
    :param key: the report's key columns, without the provider's own.
    :param columns: columns of every batch, in order.
    :param refused: names of requested columns that the server refused and no batch brings.
    :param user_ids: the only people that were requested; empty: everyone.
    :param group_filtered: True if group or shift filters narrow the rows while rows of other
        groups share the same place.
    :param pseudonyms: the prefix of all pseudonyms of a column, by column.
    :param personal: names of the report's columns that name, reach or locate a person in clear.
    :param filters: all filters as one text, equal for equal filters; empty: no filter.
    :param run_id: value of ``_we360_run_id``.
    :param comment: comment of the table; empty: about the report.
    :param loaded_at: value of ``_we360_loaded_at`` for batches that do not carry the moment of
        their request; aware, UTC.
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
    refused: tuple[str, ...] = ()
    pseudonyms: Mapping[str, str] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    group_filtered: bool = False
    filters: str = ""
    write_mode: WriteMode = WriteMode.REPLACE_WINDOW
    on_empty: OnEmpty = OnEmpty.FAIL
    create_table: bool = True
    evolve_schema: bool = True
    comment: str = ""

    def __post_init__(self) -> None:
        if self.group_filtered and self.write_mode is WriteMode.REPLACE_WINDOW:
            raise We360ConfigError(
                "write_mode: 'replace_window' with group_ids or shift_ids would leave the rows of "
                "people who changed group or shift; use write_mode='merge'"
            )

    @property
    def constants(self) -> dict[Column, object]:
        """The provider's own columns that have one value in all rows of the load."""
        window: dict[Column, object] = {}
        if self.day_column is None:
            window = {WINDOW_START: self.window[0], WINDOW_END: self.window[1]}
        return {TENANT: self.tenant, **window, RUN_ID: self.run_id}

    @property
    def staged_columns(self) -> tuple[Column, ...]:
        """Columns of the staging table: the moment of the request, then those of the batches."""
        return (STAGED_AT, *self.columns)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns of the table: the provider's own, then those of the batches."""
        return (*self.constants, LOADED_AT, *self.columns)

    @property
    def person_column(self) -> str:
        """Name of the key column that identifies the person; ``user_ids`` are values of it."""
        (person,) = (name for name in self.key if name != self.day_column)
        return person

    @property
    def about(self) -> str:
        """Comment of the table."""
        if self.comment:
            return self.comment
        unit = "day" if self.day_column else "window"
        return (
            f"We360 report {self.report}, mode {self.mode}: one row per person and {unit}; "
            "durations in seconds"
        )

    @property
    def table_key(self) -> tuple[str, ...]:
        """Names of the key columns in the target, the provider's own first."""
        window = (WINDOW_START.name, WINDOW_END.name) if self.day_column is None else ()
        return (TENANT.name, *window, *self.key)

    @property
    def days(self) -> tuple[Day, ...]:
        """The days of the window; in ``summary`` its first day stands for the whole window."""
        first, last = self.window
        count = 1 if self.day_column is None else (last - first).days + 1
        return tuple(first + dt.timedelta(days=number) for number in range(count))


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did.

    :param rows: rows of this load that the target holds now.
    :param rows_removed: rows that this load replaced or deleted.
    :param days_kept: days left as they were because of ``on_empty="keep"``; in ``summary`` the
        window's first day.
    :param where: the table or path, for messages.
    :param held: rows before the load, by day; None if no day is replaced (merge, append).
    :param files: files written; None for tables.
    :param size_bytes: bytes of those files.
    :param days_kept_newer: days left as they were because the target holds a newer answer.
    :param rows_changed: rows that the load really inserted, updated or deleted; None if the
        target replaces rows whole.
    """

    rows: int
    rows_removed: int
    days_kept: tuple[Day, ...]
    where: str
    held: Mapping[Day, int] | None = None
    files: int | None = None
    size_bytes: int | None = None
    days_kept_newer: tuple[Day, ...] = ()
    rows_changed: int | None = None


class Sink(Protocol):
    """A target of loads."""

    def load(self, plan: LoadPlan, batches: Iterable[RowBatch]) -> LoadResult:
        """Consume all batches, then commit once.

        Any exception, also one raised while batches are produced, leaves the target's rows as
        they were.

        :raises SinkError: if the target refuses; :class:`EmptyDayRefused` if ``on_empty`` is "fail"
            and a day would lose its rows.
        :raises We360ConfigError: if the target cannot do such a load; the message names the
            argument.
        """
        ...

    def dataset(self) -> DatasetRef | None:
        """Return where the rows are stored, for lineage; None until the target has been reached."""
        ...

    def cancel(self) -> None:
        """Cancel the running statement or job, if the target's driver can."""
        ...


class LoggedSink(Sink, Protocol):
    """A target whose loads are recorded in a load log."""

    def read_log(self, plan: LoadPlan) -> dict[Day, dt.datetime]:
        """Return when each day of the plan's window was last requested, by day.

        Days that the log does not name were never loaded. Empty if the table or the log does not
        exist yet, or was dropped.
        """
        ...
