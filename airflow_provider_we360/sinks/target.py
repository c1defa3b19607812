"""The table that a load writes to: its name, and how long to wait for it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from typing import Any, TypeVar

from airflow_provider_we360.errors import SinkBusy, We360ConfigError
from airflow_provider_we360.rows.schema import COLUMN_NAME
from airflow_provider_we360.types import Clock, Sleep

log = getLogger(__name__)
T = TypeVar("T")

LOG_EVERY_S = 15.0
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0

# Project IDs of Google Cloud have hyphens. The first of three parts may be one.
_PROJECT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's name as the user wrote it, in one to three parts."""

    table: str
    schema: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        return ".".join(self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that were given, outermost first."""
        return tuple(part for part in (self.database, self.schema, self.table) if part is not None)


def parse_table(text: str, argument: str = "table") -> TableName:
    """Parse a table's name.

    Only plain identifiers pass, so that a name cannot break out of its quotes in SQL.

    :param argument: the operator's argument, for the error.
    :raises We360ConfigError: if the text is not one to three plain identifiers joined by dots.
    """
    parts = str(text).split(".")
    patterns = (
        # A hyphen in any other part would need quotes in every query of the user.
        [COLUMN_NAME] * len(parts) if len(parts) < 3 else [_PROJECT, COLUMN_NAME, COLUMN_NAME]
    )
    if not 1 <= len(parts) <= 3 or not all(map(re.Pattern.fullmatch, patterns, parts)):
        raise We360ConfigError(
            f"{argument}: {text!r} is not a table name; write table, schema.table or "
            "database.schema.table without quotes. Each part starts with a letter or underscore "
            "and has at most 63 letters, digits and underscores; a database may have hyphens"
        )
    return TableName(*reversed(parts))


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table as the connected database knows it.

    :param name: the name as the user wrote it; messages show this one.
    :param parts: the full name in the database's own spelling, outermost first.
    :param sql: the quoted name, as statements use it.
    """

    name: TableName
    parts: tuple[str, ...]
    sql: str

    def __str__(self) -> str:
        return str(self.name)


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of a load.

    :param hook: the Connection's official Airflow hook.
    :param conn_id: the Connection's ID, for messages.
    :param clock: a clock that never goes back, in seconds.
    :param now: the time of day, in seconds since the epoch.
    :param patience_s: how long to wait while other sessions hold the target.
    """

    hook: Any
    table: TableName
    conn_id: str
    sleep: Sleep
    clock: Clock
    now: Clock
    patience_s: float = 600.0

    def __str__(self) -> str:
        return str(self.table)

    def wait_for(self, attempt: Callable[[], T | None], *, what: str) -> T:
        """Call ``attempt`` until it returns a value other than None, and return that value.

        :param what: the resource that is waited for, for the log.
        :raises SinkBusy: if ``patience_s`` has passed.
        """
        began = logged = self.clock()
        pause = FIRST_PAUSE_S
        # Polled: databases that can wait for a lock differ in how such a wait ends, and some cannot
        # be cancelled.
        while (result := attempt()) is None:
            now = self.clock()
            if now - began >= self.patience_s:
                raise SinkBusy(
                    f"{what} was held by other sessions for {self.patience_s:.0f} s; nothing was "
                    "changed. Run the task again when they have finished; an Airflow pool with one "
                    "slot keeps loads of one database apart"
                )
            if now - logged >= LOG_EVERY_S:
                logged = now
                log.info("Waiting for %s, held by another session, for %.0f s", what, now - began)
            # Jitter keeps two waiting loads from retrying at the same moments.
            self.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_S, pause * 1.5)
        return result
