"""Where the mixes load to, each behind the same three words: an operator, what is held, and whether keys are kept apart."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.transfers.base import We360Transfer
from support.engines import DuckDB, Engine, SQLite
from support.proof import COLUMNS, Row, to_engine, to_files
from support.stores import Store

RUN = "_we360_run_id"


class Target(Protocol):
    modes: tuple[str, ...]
    filters_lie_apart: bool

    def operator(self, before: Callable[[str], None] | None, **arguments: Any) -> We360Transfer: ...
    def exists(self) -> bool: ...
    def rows(self) -> list[Row]: ...
    def left_over(self) -> list[str]: ...


class Table:
    """A table of its own in a database."""

    modes: tuple[str, ...] = ("replace_window", "replace_window", "merge", "append")
    filters_lie_apart = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name = f"days_{uuid.uuid4().hex[:12]}"

    def operator(self, before: Callable[[str], None] | None, **arguments: Any) -> We360Transfer:
        return to_engine(self._engine, self._name, before, **arguments)

    def exists(self) -> bool:
        return self._engine.has_table(self._name)

    def rows(self) -> list[Row]:
        if not self.exists():
            return []
        found = self._engine.rows(self._name, COLUMNS, extra=(RUN,))
        return [
            {"run" if name == RUN else name: value for name, value in row.items()} for row in found
        ]

    def left_over(self) -> list[str]:
        """Staging tables that a load left behind."""
        catalogue, name = ("information_schema.tables", "table_name")
        if self._engine.conn_type == "sqlite":
            catalogue, name = "sqlite_master", "name"
        return [
            one
            for (one,) in self._engine.execute(
                f"SELECT {name} FROM {catalogue} WHERE {name} LIKE '%we360_stg%'"
            )
        ]


class Files:
    """A folder of Parquet files."""

    modes: tuple[str, ...] = ("replace_window",)
    filters_lie_apart = True

    def __init__(self, folder: Path) -> None:
        self._store = Store(str(folder / "files"))
        self._path = folder / "files"

    def operator(self, before: Callable[[str], None] | None, **arguments: Any) -> We360Transfer:
        return to_files(
            str(self._path),
            **{name: value for name, value in arguments.items() if name != "write_mode"},
        )

    def exists(self) -> bool:
        return self._path.exists()

    def rows(self) -> list[Row]:
        if not self.exists():
            return []
        found = self._store.rows((*COLUMNS, Column(RUN)))
        return [
            {"run" if name == RUN else name: value for name, value in row.items()} for row in found
        ]

    def left_over(self) -> list[str]:
        return (
            [name for name in self._store.files() if not name.endswith(".parquet")]
            if self._path.exists()
            else []
        )


def make(kind: str, folder: Path, postgres: str | None = None) -> Target:
    """A new, empty target."""
    if kind == "parquet":
        return Files(folder)
    if kind == "postgres":
        from support.engines import Postgres

        assert postgres is not None, "no PostgreSQL here"
        return Table(Postgres(postgres))
    return Table(SQLite(folder) if kind == "sqlite" else DuckDB(folder))
