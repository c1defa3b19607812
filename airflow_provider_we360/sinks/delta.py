"""Delta tables, through ``deltalake``, on a disk or in an object store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks.dialect import literal, quote_double
from airflow_provider_we360.sinks.lake_table import FACTS, CommitConflict, Where, explained

if TYPE_CHECKING:
    import pyarrow as pa


class DeltaTable:
    """A table in a folder.

    :param path: the folder, as a path or URL.
    :param storage_options: how ``deltalake`` reaches the store; holds secrets.
    """

    def __init__(self, path: str, storage_options: Mapping[str, str]) -> None:
        self.name = path
        self._options = dict(storage_options)
        self._table: Any = None
        self.schema: Any = None

    def refresh(self) -> pa.Schema | None:
        """Read the newest version of the log."""
        import deltalake
        import pyarrow as pa
        from deltalake.exceptions import TableNotFoundError

        with explained("open", self.name):
            try:
                self._table = deltalake.DeltaTable(self.name, storage_options=self._options)
            except TableNotFoundError:
                self._table = self.schema = None
            else:
                self.schema = pa.schema(self._table.schema())
        return self.schema

    def create(
        self, columns: Sequence[Column], key: Sequence[str], partition: Sequence[str], about: str
    ) -> None:
        """Create the table, and its folder."""
        import deltalake

        with explained("create", self.name):
            try:
                deltalake.DeltaTable.create(
                    self.name,
                    _build_schema(columns, key),
                    mode="error",
                    partition_by=list(partition),
                    description=about,
                    storage_options=self._options,
                )
            except Exception:
                # That another load has created the table is no error of a class of its own.
                if self.refresh() is not None:
                    raise CommitConflict from None
                raise

    def add_columns(self, columns: Sequence[Column]) -> None:
        """Add columns in one commit."""
        import deltalake

        fields = deltalake.Schema.from_arrow(_build_schema(columns)).fields
        with explained("add columns to", self.name), _conflicts():
            self._table.alter.add_columns(fields, commit_properties=_commit())

    def read(self, columns: Sequence[str] | None, where: Where) -> pa.Table:
        """Query the files that the partitions and statistics do not rule out."""
        import deltalake
        import pyarrow as pa

        names = self.schema.names if columns is None else list(columns)
        select = f"SELECT {', '.join(map(quote_double, names))} FROM we360"
        with explained("read", self.name):
            query = deltalake.QueryBuilder().register("we360", self._table)
            found = pa.table(query.execute(f"{select} WHERE {_predicate(where)}"))
            # The engine returns texts as views, which other libraries do not take.
            return found.cast(pa.schema([self.schema.field(name) for name in names]))

    def replace(self, where: Where | None, days: Iterable[pa.Table], facts: str | None) -> None:
        """Commit one version."""
        import deltalake
        import pyarrow as pa

        batches = (batch for rows in days for batch in rows.cast(self.schema).to_batches())
        how: dict[str, Any] = {"mode": "append"}
        if where is not None:
            how = {"mode": "overwrite", "predicate": _predicate(where)}
        with explained("write", self.name), _conflicts():
            deltalake.write_deltalake(
                self._table,
                pa.RecordBatchReader.from_batches(self.schema, batches),
                writer_properties=deltalake.WriterProperties(compression="ZSTD"),
                commit_properties=_commit(facts),
                **how,
            )

    @property
    def version(self) -> int | None:
        """The version of the log."""
        return None if self._table is None else int(self._table.version())

    def facts_since(self, version: int | None) -> Iterator[str]:
        """Read the commits after that version, one small file each."""
        newest = self.version or 0
        if count := newest - (version or 0):
            with explained("read the commits of", self.name):
                commits = self._table.history(count)
            yield from (commit[FACTS] for commit in commits if isinstance(commit.get(FACTS), str))

    def location(self) -> str:
        """Return the table's folder."""
        return self.name


def _build_schema(columns: Sequence[Column], key: Sequence[str] = ()) -> pa.Schema:
    import pyarrow as pa

    from airflow_provider_we360.rows.arrow import ARROW_TYPES

    return pa.schema(
        [
            pa.field(
                one.name,
                ARROW_TYPES[one.kind],
                nullable=one.name not in key,
                metadata={"comment": one.description} if one.description else None,
            )
            for one in columns
        ]
    )


def _commit(facts: str | None = None) -> Any:
    from deltalake import CommitProperties

    # Without retries a commit succeeds only as the very next version: deltalake would put it on
    # top of another writer's one, whose rows this load has to look at first.
    metadata = None if facts is None else {FACTS: facts}
    return CommitProperties(custom_metadata=metadata, max_commit_retries=0)


def _predicate(where: Where) -> str:
    terms = [
        f"{quote_double(name)} IS NULL"
        if None in values
        else f"{quote_double(name)} IN ({', '.join(map(_literal, values))})"
        for name, values in where.items()
    ]
    return " AND ".join(terms) or "TRUE"


def _literal(value: object) -> str:
    return literal(value) if isinstance(value, str) else f"DATE '{value}'"


@contextmanager
def _conflicts() -> Iterator[None]:
    from deltalake.exceptions import CommitFailedError

    try:
        yield
    except CommitFailedError:
        raise CommitConflict from None
