"""Databases that are not available: their SQL is parsed in their dialect, and run on SQLite.

sqlglot parses each statement that a load sends in the dialect of the database, and writes it for
SQLite, so that loads run to their end. What sqlglot accepts and the database does not is refused
here, as the database would.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlglot
from sqlalchemy.dialects import mssql, oracle
from sqlglot import exp

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import PseudonymKey
from airflow_provider_we360.sinks import generic, registry, sqlalchemy_schema
from airflow_provider_we360.sinks.base import OnEmpty
from support import loads
from support.elsewhere import ElsewhereSQLite
from support.loads import append, day, load, merge, row, rows, summary

KEY = PseudonymKey(b"k" * 32, "v1")


def sql_server() -> Any:
    """Return SQLAlchemy's dialect, as a connection to SQL Server 2019 leaves it."""
    dialect: Any = mssql.dialect()
    dialect.server_version_info = (15,)
    dialect._setup_version_attributes()
    return dialect


DIALECTS = {
    "tsql": sql_server,
    "oracle": oracle.dialect,
    # SQLAlchemy does not know these without a package of their own.
    "trino": None,
    "clickhouse": None,
    # Not Databricks, which is refused by name: it reads a name in double quotes as a text.
}


def refused(dialect: str, sql: str, tree: exp.Expression) -> str | None:
    """Return what the database would refuse, although sqlglot parses it."""
    if dialect in ("tsql", "oracle", "trino") and "TEMPORARY" in sql:
        return "no CREATE TEMPORARY TABLE"
    if dialect in ("tsql", "oracle") and tree.find(exp.Limit):
        return "no LIMIT"
    if dialect == "tsql" and re.search(r"\bsubstr\s*\(", sql, re.IGNORECASE):
        return "no substr()"
    if dialect == "tsql" and re.search(r"\bN?TEXT\b|\bDATETIME\b", sql):
        return "a type that cannot be compared, or rounds"
    if dialect == "oracle" and any(len(one.expressions) > 1 for one in tree.find_all(exp.Values)):
        return "no VALUES of several rows"
    if dialect == "oracle" and re.search(r"\bN?CLOB\b", sql):
        return "no comparison of a CLOB"
    return None


class _Translating:
    """A connection or cursor of SQLite that takes another database's SQL."""

    def __init__(self, inner: Any, dialect: str, sent: list[str]) -> None:
        self._inner, self._dialect, self._sent = inner, dialect, sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def cursor(self) -> Any:
        return _Translating(self._inner.cursor(), self._dialect, self._sent)

    def execute(self, sql: str, *values: Any) -> Any:
        return self._inner.execute(self._translate(sql), *values)

    def executemany(self, sql: str, *values: Any) -> Any:
        return self._inner.executemany(self._translate(sql), *values)

    def _translate(self, sql: str) -> str:
        (tree,) = sqlglot.parse(sql, read=self._dialect)
        assert tree is not None
        assert not isinstance(tree, exp.Command), f"sqlglot does not understand: {sql}"
        if reason := refused(self._dialect, sql, tree):
            raise sqlite3.OperationalError(reason)
        self._sent.append(sql)
        # SQLite has neither this collation nor this length.
        written = tree.sql("sqlite").replace("COLLATE Latin1_General_BIN2", "COLLATE BINARY")
        return written.replace("(MAX)", "")


@pytest.fixture(params=DIALECTS)
def stranger(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> ElsewhereSQLite:
    """Return SQLite, reached in the SQL of another database."""
    name, known = request.param, DIALECTS[request.param]
    engine = ElsewhereSQLite(folder)
    engine.sent = []  # type: ignore[attr-defined]
    opener = engine.opener
    engine.opener = lambda: _Translating(opener(), name, engine.sent)  # type: ignore[attr-defined]
    monkeypatch.setattr("support.elsewhere._Watched", lambda inner, before: inner)
    # The catalogue of the database is not available: columns are read from an empty query.
    monkeypatch.setattr(generic, "open_engine", lambda hook: None)
    if known is not None:
        build = sqlalchemy_schema.build_dialect
        its = SimpleNamespace(dialect=known())
        monkeypatch.setattr(generic, "build_dialect", lambda hook, engine: build(hook, its))
    return engine


def held(engine: ElsewhereSQLite, table: str, *columns: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(engine.path)) as connection:
        found = connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    return sorted(found, key=repr)


def test_every_load_is_written_in_its_sql(stranger: ElsewhereSQLite, table: str) -> None:
    log = f"{table}_log"
    few = loads.COLUMNS[:3]
    stranger.load(table, load(columns=few), rows(1, 2) + rows(2, 2), log)
    stranger.load(table, load(window=(day(1), day(2)), run_id="b"), rows(1, 3) + rows(2, 2), log)
    kept = load(window=(day(1), day(2)), on_empty=OnEmpty.KEEP, run_id="c")
    assert stranger.load(table, kept, rows(1, 3, note="kept"), log).days_kept == (day(2),)
    people = load(user_ids=("p0",), window=(day(1), day(1)), run_id="d")
    stranger.load(table, people, [row(1, "p0", note="alone")], log)
    stranger.load(table, merge(run_id="e"), [row(1, "p0", note="merged"), row(3, "new")], log)
    found = held(stranger, table, "identity_id", "note")
    assert found == sorted(
        [
            ("p0", "merged"),
            ("p1", "kept"),
            ("p2", "kept"),
            ("p0", None),
            ("p1", None),
            ("new", None),
        ],
        key=repr,
    )
    assert any(sql.startswith("DELETE FROM") and "EXISTS" in sql for sql in stranger.sent)  # type: ignore[attr-defined]


def test_an_append_and_a_summary_are_written_in_its_sql(
    stranger: ElsewhereSQLite, table: str
) -> None:
    for run in ("a", "b", "b"):
        stranger.load(table, append(run_id=run), rows(1, 2))
    assert len(held(stranger, table, "identity_id")) == 4
    for window in ((1, 7), (8, 14), (1, 7)):
        stranger.load(f"{table}_sums", summary(*window), [{"identity_id": "p0", "count": 1}])
    assert len(held(stranger, f"{table}_sums", "identity_id")) == 2


def test_pseudonyms_are_compared_in_its_sql(stranger: ElsewhereSQLite, table: str) -> None:
    named = {"pseudonyms": {"identity_id": KEY.prefix}, "window": (day(1), day(1))}
    one = KEY.pseudonym("p0")
    stranger.load(table, load(**named), [row(1, one)])
    stranger.load(table, load(user_ids=(one,), **named), [row(1, one, note="x")])
    stranger.load(table, merge(**named), [row(1, one, note="y")])
    assert held(stranger, table, "note") == [("y",)]
    with pytest.raises(We360ConfigError, match="pseudonymize"):
        stranger.load(table, merge(window=(day(1), day(1))), rows(1, 1))


@pytest.mark.parametrize(
    ("conn_type", "says"),
    [
        ("trino", "Trino behind .* an Iceberg table"),
        ("presto", "Presto behind .* an Iceberg table"),
        ("clickhouse", r"ClickHouse behind .* files, and read them with .*s3\(\)"),
        ("databricks", "Databricks SQL behind .* a Delta table"),
    ],
)
def test_a_database_without_transactions_names_the_way_out(
    folder: Path, conn_type: str, says: str
) -> None:
    hook = ElsewhereSQLite(folder).hook()
    hook.conn_type = conn_type
    with pytest.raises(We360ConfigError, match=f"^sql_conn_id: {says}"):
        registry.sink_for(hook, "t", conn_id="other", sleep=lambda s: None, clock=lambda: 0.0)


def test_the_types_of_new_tables_hold_what_they_should() -> None:
    its = {
        name: sqlalchemy_schema.build_dialect(None, SimpleNamespace(dialect=known())).types.values()
        for name, known in DIALECTS.items()
        if known
    }
    assert {name: sorted(set(types)) for name, types in its.items()} == {
        "tsql": ["BIGINT", "DATE", "DATETIME2(6)", "DOUBLE PRECISION", "NVARCHAR(max)"],
        "oracle": ["DATE", "DOUBLE PRECISION", "NUMBER(19)", "NVARCHAR2(2000)", "TIMESTAMP"],
    }
