"""Tables of a lake behind the words of an engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks import lakes
from support import loads
from support.engines import Engine

needs_catalog = pytest.mark.only_if(
    int(version("sqlalchemy").partition(".")[0]) >= 2,
    reason="pyiceberg's catalog in SQLite needs SQLAlchemy 2; Airflow 2.11 and 3.0 have 1.4",
)

SQL_ONLY = frozenset(
    {
        # Tables that a user has made with constraints, defaults or a primary key: a lake has none.
        "test_a_column_that_demands_a_value_is_named",
        "test_a_demanding_column_with_a_default_is_left_to_the_target",
        "test_a_value_too_large_for_its_column_is_not_shown",
        "test_an_append_that_breaks_the_key_names_the_alternative",
        "test_rows_that_the_target_refuses_take_the_whole_load_back",
        "test_a_log_that_refuses_rolls_the_load_back_and_is_named",
        # Tables that SQL creates; test_lakes.py has the same scenes for tables of a lake.
        "test_a_column_of_another_type_fails_before_any_change",
        "test_a_key_column_of_another_type_is_not_to_be_retyped",
        "test_a_log_of_an_earlier_version_gets_its_missing_columns",
        "test_a_row_without_a_day_is_never_loaded",
        "test_an_empty_table_made_by_hand_is_taken_as_it_is",
        "test_names_that_differ_by_case_only_are_one_column",
        "test_old_rows_without_the_reports_key_are_pointed_at",
        "test_rows_of_unknown_origin_name_the_update_that_adopts_them",
        # Statements of a session; a lake has commits, which tests/kills and test_lakes.py end.
        "test_a_killed_first_load_leaves_at_most_an_empty_table",
        "test_a_killed_task_leaves_rows_and_log_in_the_same_state",
        "test_a_load_leaves_no_staging_behind",
        "test_a_task_killed_before_any_statement_changes_nothing",
        # The name of a database and of its server; a lake's table is a folder.
        "test_the_database_has_the_rows_under_the_name_that_is_told",
        "test_the_server_or_file_is_told_and_nobody_s_password",
        # A lake needs no log for it: the commits say it, from the version on that a load began with.
        "test_the_load_log_keeps_a_day_that_is_empty_now",
        # SQL that changes rows, which a lake's query engine runs.
        "test_a_load_that_changes_nothing_still_has_a_dataset",
        "test_dropping_a_personal_column_takes_it_out_of_all_rows",
        "test_erasing_a_person_takes_that_persons_rows_and_no_other",
        # Names as SQL folds them.
        "test_a_log_that_cannot_be_is_refused_by_its_arguments_name",
    }
)


class Lake(Engine):
    """Tables of one format in a folder of this machine."""

    enforces_keys = False
    has_keys = False
    cannot_play: ClassVar[frozenset[str]] = SQL_ONLY

    def __init__(self, folder: Path, connection: dict[str, Any]) -> None:
        self.folder = folder
        super().__init__(connection)

    def hook(self) -> Any:
        from airflow.providers.common.compat.sdk import BaseHook

        return BaseHook.get_connection(self.conn_id)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        raise NotImplementedError

    def full_name(self, table: str) -> str:
        raise NotImplementedError

    def sink(  # type: ignore[override]
        self, table: str, hook: Any = None, log: str | None = None, **outside: Any
    ) -> Any:
        log_table = None if log is None else self.full_name(log)
        patient = {"sleep": time.sleep, **outside}
        connection = hook or self.hook()
        name = self.full_name(table)
        return lakes.sink_for(name, connection, load_log_table=log_table, **patient)

    def arrow(self, table: str) -> Any:
        """Return the newest version as Arrow, by the reader of the format's own library."""
        opened = self.sink(table)._table
        opened.refresh()
        return opened.read(None, {})

    def rows(
        self, table: str, columns: Sequence[Column] = loads.COLUMNS, extra: Iterable[str] = ()
    ) -> list[loads.Row]:
        names = [column.name for column in columns] + list(extra)
        return sorted(self.arrow(table).select(names).to_pylist(), key=repr)

    def column_names(self, table: str) -> list[str]:
        return list(self.arrow(table).column_names)

    def has_table(self, table: str) -> bool:
        return self.sink(table)._table.refresh() is not None


class Iceberg(Lake):
    """A catalog in SQLite."""

    conn_type = "iceberg"

    def __init__(self, folder: Path, **properties: str) -> None:
        catalog = {
            "type": "sql",
            "uri": f"sqlite:///{folder}/catalog.sqlite",
            "warehouse": f"file://{folder}/iceberg",
            **properties,
        }
        super().__init__(folder, {"extra": json.dumps(catalog)})

    def full_name(self, table: str) -> str:
        return f"hr.{table}"


class Delta(Lake):
    """Folders with a log.

    :param root: the URL of a folder in a bucket; None: a folder of this machine.
    :param store: the ID of the bucket's Connection.
    """

    conn_type = "delta"

    def __init__(self, folder: Path, root: str | None = None, store: str | None = None) -> None:
        super().__init__(folder, {})
        self._root, self._store = root or str(folder / "delta"), store

    def hook(self) -> Any:
        """Return the Connection of the bucket; a local folder needs none."""
        from airflow.providers.common.compat.sdk import BaseHook

        return BaseHook.get_connection(self._store) if self._store else None

    def full_name(self, table: str) -> str:
        return f"{self._root}/{table}"
