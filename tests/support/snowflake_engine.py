"""Snowflake for tests: the real connector speaks to fakesnow's server, a stand-in that runs Snowflake's SQL in DuckDB."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_provider_we360.rows.schema import Column, Kind
from support import loads
from support.engines import OURS, Engine, _Watched

MOMENTS = (Kind.TIMESTAMP, Kind.INSTANT)


@contextmanager
def snowflake_server() -> Iterator[dict[str, Any]]:
    """What to connect with, as long as the block lasts."""
    import fakesnow

    for name in (
        "uvicorn.access",
        "uvicorn.error",
        "fakesnow.server",
        "snowflake.connector",
        "sqlglot",
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with fakesnow.server() as found:
        yield dict(found)


class Snowflake(Engine):
    """A database of its own, and ways around what fakesnow does not know."""

    conn_type = "snowflake"
    text = "VARCHAR"
    enforces_keys = False
    # fakesnow answers HTTP 500, without a word, where DuckDB below it refuses a row or lets two writers meet.
    cannot_play = frozenset(
        {
            "test_an_append_that_breaks_the_key_names_the_alternative",
            "test_eight_tasks_that_add_the_same_column_all_end_right",
            "test_eight_tasks_that_create_one_table_all_end_right",
            "test_keys_take_no_null_in_a_table_that_we_make",
            "test_parallel_loads_of_several_tables_share_one_log",
            "test_of_loads_of_one_window_one_wins_whole",
            "test_of_overlapping_sums_only_one_gets_in",
            "test_rows_that_the_target_refuses_take_the_whole_load_back",
            "test_two_windows_at_once_both_arrive",
        }
    )

    def __init__(self, server: dict[str, Any]) -> None:
        self.server = server
        self.database = f"DB_{uuid.uuid4().hex[:8].upper()}"
        extra = {
            "account": server["account"],
            "database": self.database,
            "host": server["host"],
            "port": server["port"],
        }
        super().__init__(
            {
                "login": server["user"],
                "password": server["password"],
                "schema": "S",
                "extra": json.dumps(extra),
            }
        )

    def rows(
        self, table: str, columns: Sequence[Column] = loads.COLUMNS, extra: Iterable[str] = ()
    ) -> list[loads.Row]:
        """Moments are read as text: fakesnow hands a missing one out as 1970."""
        wanted = [*columns, *(OURS.get(name) or Column(name) for name in extra)]
        names = ", ".join(
            f'"{c.name.upper()}"' + ("::VARCHAR" if c.kind in MOMENTS else "") for c in wanted
        )
        found = self.execute(f"SELECT {names} FROM {table}")
        typed = [
            {c.name: self.typed(value, c.kind) for c, value in zip(wanted, values, strict=True)}
            for values in found
        ]
        return sorted(typed, key=repr)

    def typed(self, value: object, kind: Kind) -> object:
        return (
            dt.datetime.fromisoformat(value)
            if isinstance(value, str) and kind in MOMENTS
            else value
        )

    def column_names(self, table: str) -> list[str]:
        return [name.lower() for name in super().column_names(table)]

    def hook(self) -> Any:
        return self.hook_with(lambda sql: None)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook  # type: ignore[import-not-found, unused-ignore]

        class Watched(SnowflakeHook):
            def get_conn(hook) -> Any:  # noqa: N805 - self is the engine
                import snowflake.connector

                made = snowflake.connector.connect(
                    **self.server, database=self.database, schema="S"
                )
                return _Shim(_Watched(made, before))

        return Watched(snowflake_conn_id=self.conn_id)


class _Shim:
    """A connection or cursor whose statements are put as fakesnow knows them."""

    def __init__(self, inner: Any) -> None:
        object.__setattr__(self, "_inner", inner)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "cursor":
            return lambda *args, **kwargs: _Shim(found(*args, **kwargs))
        if name == "execute":
            return lambda sql, *args, **kwargs: found(_known(sql), *args, **kwargs)
        return found


def _known(sql: str) -> str:
    if sql.startswith("ALTER SESSION SET"):
        return "SELECT 1"  # not there: LOCK_TIMEOUT, AUTOCOMMIT
    sql = re.sub(
        r"^CREATE TEMPORARY TABLE", "CREATE TABLE", sql
    )  # COPY does not find temporary ones
    return sql.replace(" USE_LOGICAL_TYPE = TRUE", "")  # it always does so
