"""A table of a lake: what Iceberg and Delta have in common, as loads need it (docs/adr/0031)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from airflow_provider_we360.errors import SinkError, We360Error
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.dialect import Dialect

if TYPE_CHECKING:
    import pyarrow as pa

FACTS = "we360"
"""Key under which a commit carries the facts of its load, as JSON."""

Where: TypeAlias = Mapping[str, Collection[object]]
"""Rows whose columns, by stored name, each hold one of these values; ``{None}`` means NULL."""

_TYPES = {
    Kind.TEXT: "string",
    Kind.DURATION: "int64",
    Kind.BIGINT: "int64",
    Kind.DOUBLE: "double",
    Kind.TIMESTAMP: "timestamp[us]",
    Kind.DATE: "date32[day]",
    Kind.INSTANT: "timestamp[us, tz=utc]",
}
DIALECT = Dialect(
    types=_TYPES,
    holding_types={kind: frozenset({name}) for kind, name in _TYPES.items()}
    | {Kind.TEXT: frozenset({"string", "large_string", "string_view"})},
)
"""Arrow's types, as a lake stores them without loss."""


class CommitConflict(Exception):
    """Another writer committed first; nothing of this commit is visible."""


class LakeTable(Protocol):
    """A table in its newest version at the last ``refresh``; all other methods refer to that one.

    :ivar name: the table as the user wrote it.
    :ivar schema: its columns; None if there is no table.
    """

    name: str
    schema: pa.Schema | None

    def refresh(self) -> pa.Schema | None:
        """Look at the newest version, and return its columns."""
        ...

    def create(
        self, columns: Sequence[Column], key: Sequence[str], partition: Sequence[str], about: str
    ) -> None:
        """Create the table.

        :param key: columns that take no NULL; the last one sorts the rows of a file.
        :param about: comment of the table.
        :raises CommitConflict: if it exists by now.
        """
        ...

    def add_columns(self, columns: Sequence[Column]) -> None:
        """Add columns, in a commit of their own.

        :raises CommitConflict: if another writer committed first.
        """
        ...

    def read(self, columns: Sequence[str] | None, where: Where) -> pa.Table:
        """Return rows; None: all columns."""
        ...

    def replace(self, where: Where | None, days: Iterable[pa.Table], facts: str | None) -> None:
        """Delete rows and append others, in one commit.

        :param where: the rows to delete; None: none. All new rows fulfil it.
        :param days: the new rows, those of one day at a time, with the columns of the table. Must
            not read this table.
        :param facts: JSON that the commit carries; None: nothing.
        :raises CommitConflict: if another writer has committed since the last ``refresh``.
        """
        ...

    @property
    def version(self) -> int | None:
        """The version; None if there is none yet."""
        ...

    def facts_since(self, version: int | None) -> Iterator[str]:
        """Yield the facts of the commits after that version, in any order."""
        ...

    def location(self) -> str:
        """Return the folder of the table, as a URL."""
        ...


def matches(rows: pa.Table, where: Where) -> Any:
    """Return a mask of the rows that ``where`` selects; it holds no NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pa.array([True] * rows.num_rows, pa.bool_())
    for name, values in where.items():
        column = rows.column(name)
        found = pc.is_in(column, value_set=pa.array(list(values), column.type))
        mask = pc.and_(mask, found)
    return mask


@contextmanager
def explained(action: str, table: str) -> Iterator[None]:
    """Turn an error of a library into one of this provider.

    Its text is left out: libraries quote rows, and stores quote signed URLs.

    :param action: what failed, after "cannot".
    """
    try:
        yield
    except (We360Error, CommitConflict):
        raise
    except Exception as error:  # noqa: BLE001 - each catalog and store has errors of its own
        raise SinkError(
            f"table: cannot {action} {table} ({type(error).__name__}); nothing was changed, unless "
            "the connection was lost during the commit: then all rows of the load are there. Check "
            "the Connection, its permissions and the storage, then run the task again"
        ) from None
