"""Iceberg tables, through pyiceberg and the catalog of an Airflow Connection."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import reduce
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks.lake_table import (
    FACTS,
    CommitConflict,
    Where,
    explained,
    matches,
)

if TYPE_CHECKING:
    import pyarrow as pa


class IcebergTable:
    """A table of a catalog.

    :param catalog: pyiceberg's catalog.
    :param name: ``namespace.table``; a namespace may have several parts.
    """

    def __init__(self, catalog: Any, name: str) -> None:
        self.name = name
        self._catalog = catalog
        self._table: Any = None
        self.schema: pa.Schema | None = None

    def refresh(self) -> pa.Schema | None:
        """Load the table's metadata from the catalog."""
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        with explained("load", self.name):
            try:
                self._table = self._catalog.load_table(self.name)
            except (NoSuchTableError, NoSuchNamespaceError):
                self._table = self.schema = None
            else:
                self.schema = schema_to_pyarrow(self._table.schema(), include_field_ids=False)
        return self.schema

    def create(
        self, columns: Sequence[Column], key: Sequence[str], partition: Sequence[str], about: str
    ) -> None:
        """Create the table, and its namespace if needed."""
        from pyiceberg.exceptions import TableAlreadyExistsError
        from pyiceberg.partitioning import PartitionField, PartitionSpec
        from pyiceberg.schema import Schema
        from pyiceberg.table.sorting import SortField, SortOrder
        from pyiceberg.transforms import IdentityTransform
        from pyiceberg.types import NestedField

        ids = {column.name: number for number, column in enumerate(columns, 1)}
        fields = [
            NestedField(
                ids[one.name],
                one.name,
                _type_of(one.kind),
                required=one.name in key,
                doc=one.description or None,
            )
            for one in columns
        ]
        # The identity of a date is its day; unlike the transform "day" it needs no further package.
        spec = [
            PartitionField(ids[name], 1000 + number, IdentityTransform(), name)
            for number, name in enumerate(partition)
        ]
        sort = SortField(ids[key[-1]], IdentityTransform())
        with explained("create", self.name):
            try:
                self._catalog.create_namespace_if_not_exists(self.name.rpartition(".")[0])
                self._catalog.create_table(
                    self.name,
                    Schema(*fields),
                    partition_spec=PartitionSpec(*spec),
                    sort_order=SortOrder(sort),
                    properties={"comment": about},
                )
            except TableAlreadyExistsError:
                raise CommitConflict from None

    def add_columns(self, columns: Sequence[Column]) -> None:
        """Add columns in one commit."""
        with explained("add columns to", self.name), _conflicts():
            transaction = self._transaction()
            with transaction.update_schema() as update:
                for column in columns:
                    about = column.description or None
                    update.add_column(column.name, _type_of(column.kind), doc=about)
            transaction.commit_transaction()

    def read(self, columns: Sequence[str] | None, where: Where) -> pa.Table:
        """Scan the files that the partitions and statistics do not rule out."""
        names = ("*",) if columns is None else tuple(columns)
        with explained("read", self.name):
            scan = self._table.scan(row_filter=_expression(where), selected_fields=names)
            return scan.to_arrow()

    def replace(self, where: Where | None, days: Iterable[pa.Table], facts: str | None) -> None:
        """Commit one snapshot. What was written for a commit that came too late is removed."""
        from pyiceberg.io.pyarrow import _dataframe_to_data_files

        written: list[str] = []
        with explained("write", self.name):
            transaction = self._transaction()
            # ``Transaction.overwrite`` holds all rows in memory and makes a snapshot per step, so
            # that a reader of changes would see the window empty in between.
            snapshot = transaction.update_snapshot({FACTS: facts} if facts else {}).overwrite()
            numbers = itertools.count()
            for rows in itertools.chain(self._delete(snapshot, where), days):
                for file in _dataframe_to_data_files(
                    transaction.table_metadata, rows, self._table.io, snapshot.commit_uuid, numbers
                ):
                    written.append(file.file_path)
                    snapshot.append_data_file(file)
            try:
                with _conflicts():
                    snapshot.commit()
                    transaction.commit_transaction()
            except CommitConflict:
                for path in written:
                    with suppress(Exception):  # a file that stays is unknown to all readers
                        self._table.io.delete(path)
                raise

    def _delete(self, snapshot: Any, where: Where | None) -> Iterator[pa.Table]:
        """Delete the files that hold such rows; yield the other rows of these files."""
        import pyarrow.compute as pc
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan

        if where is None:
            return
        expression, metadata = _expression(where), self._table.metadata
        snapshot.delete_by_predicate(expression)
        for task in self._table.scan(row_filter=expression).plan_files():
            snapshot.delete_data_file(task.file)
            # Nothing is left to compare if the partition alone says that all rows match.
            if task.residual != AlwaysTrue():
                scan = ArrowScan(metadata, self._table.io, self._table.schema(), AlwaysTrue())
                rows = scan.to_table([task])
                if (rest := rows.filter(pc.invert(matches(rows, where)))).num_rows:
                    yield rest

    def _transaction(self) -> Any:
        # pyiceberg would repeat a commit on top of another writer's one. This load has to look at
        # the new rows first. The property is set on this copy of the metadata only.
        self._table.metadata.properties["commit.retry.num-retries"] = "0"
        return self._table.transaction()

    @property
    def version(self) -> int | None:
        """The sequence number of the newest snapshot; None if there is none."""
        snapshot = self._table.current_snapshot() if self._table is not None else None
        return None if snapshot is None else int(snapshot.sequence_number or 0)

    def facts_since(self, version: int | None) -> Iterator[str]:
        """Read the summaries of snapshots, which are part of the metadata."""
        for snapshot in self._table.snapshots():
            if snapshot.summary is None or (snapshot.sequence_number or 0) <= (version or 0):
                continue
            if facts := snapshot.summary.additional_properties.get(FACTS):
                yield facts

    def location(self) -> str:
        """Return the table's location."""
        return "" if self._table is None else str(self._table.location())


def _expression(where: Where) -> Any:
    from pyiceberg.expressions import AlwaysTrue, And, In, IsNull

    terms = [
        IsNull(name) if None in values else In(name, set(values)) for name, values in where.items()
    ]
    return reduce(And, terms, AlwaysTrue())


def _type_of(kind: Kind) -> Any:
    from pyiceberg import types

    return {
        Kind.TEXT: types.StringType(),
        Kind.DURATION: types.LongType(),
        Kind.BIGINT: types.LongType(),
        Kind.DOUBLE: types.DoubleType(),
        Kind.TIMESTAMP: types.TimestampType(),
        Kind.DATE: types.DateType(),
        Kind.INSTANT: types.TimestamptzType(),
    }[kind]


@contextmanager
def _conflicts() -> Iterator[None]:
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    try:
        yield
    except (CommitFailedException, ValidationException):
        raise CommitConflict from None
