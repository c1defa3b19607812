"""What a load does over a hook of which nothing is known but that it is a ``DbApiHook``."""

from __future__ import annotations

import itertools
import re
import sqlite3
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from airflow_provider_we360.errors import SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import generic
from airflow_provider_we360.sinks.base import WriteMode
from airflow_provider_we360.sinks.generic import CHUNK_ROWS, STALE_HOURS
from airflow_provider_we360.sinks.paramstyle import parameter_speller
from support import loads
from support.elsewhere import Elsewhere, ElsewhereMariaDB, ElsewherePostgres, ElsewhereSQLite
from support.engines import MariaDB, Postgres, needs_mariadb
from support.loads import LOADED_AT, append, batch, day, load, merge, row, rows


class Killed(BaseException):
    """What a task's time-out is: no Exception."""


@pytest.fixture
def pg(postgres_server: str) -> ElsewherePostgres:
    return ElsewherePostgres(postgres_server)


@pytest.fixture
def unknown(postgres_server: str) -> ElsewherePostgres:
    """A database that SQLAlchemy has never heard of."""
    return ElsewherePostgres(postgres_server, known=False)


MYSQL = pytest.param("mysql-connector", marks=[pytest.mark.long, needs_mariadb])


@pytest.fixture(params=["psycopg2", "unknown to SQLAlchemy", MYSQL])
def stranger(request: pytest.FixtureRequest) -> Elsewhere:
    if request.param == "mysql-connector":
        port = request.getfixturevalue("mariadb_port")
        MariaDB(port).execute("CREATE DATABASE IF NOT EXISTS elsewhere CHARACTER SET utf8mb4")
        return ElsewhereMariaDB(port, "elsewhere")
    server = request.getfixturevalue("postgres_server")
    return (
        ElsewherePostgres(server, "psycopg2")
        if request.param == "psycopg2"
        else ElsewherePostgres(server, known=False)
    )


FEW = tuple(
    column for column in loads.COLUMNS if column.name != "count"
)  # the suite's own queries would have to quote it


def found(stranger: Elsewhere, table: str) -> list[loads.Row]:
    answer = stranger.execute(f"SELECT {', '.join(c.name for c in FEW)} FROM {table}")
    return sorted(
        (dict(zip((c.name for c in FEW), values, strict=True)) for values in answer), key=repr
    )


NASTY = 'a "b", %s ? :p1 {}\n\\.\nनम O\'H'
CONTENT = [
    row(1, "a", note=NASTY, seconds=2**40, percent=0.1 + 0.2),
    row(1, "b", note=""),
    row(2, "c"),
]


def test_any_driver_loads_the_same(stranger: Elsewhere, table: str) -> None:
    assert stranger.load(table, load(columns=FEW), CONTENT).rows == 3
    assert stranger.load(table, load(columns=FEW), CONTENT).rows_removed == 3
    assert stranger.load(table, merge(columns=FEW), CONTENT[:1]).rows_removed == 1
    assert found(stranger, table) == sorted(batch(CONTENT, FEW).rows, key=repr)
    with pytest.raises(SinkError, match=r"write_mode: .*replace_window"):
        stranger.load(table, append(run_id="x", columns=FEW), CONTENT)
    assert len(found(stranger, table)) == 3


def test_any_driver_adds_a_column(stranger: Elsewhere, table: str) -> None:
    stranger.load(table, load(columns=FEW[:2], window=(day(1), day(1))), rows(1, 1))
    stranger.load(table, load(columns=FEW, window=(day(2), day(2))), rows(2, 1, seconds=5))
    assert [one["seconds"] for one in found(stranger, table)] == [None, 5]


@pytest.mark.parametrize(
    "mode",
    [
        WriteMode.REPLACE_WINDOW,
        *(
            pytest.param(mode, marks=pytest.mark.long)
            for mode in (WriteMode.MERGE, WriteMode.APPEND)
        ),
    ],
)
def test_a_task_killed_with_any_driver_changes_nothing(
    stranger: Elsewhere, table: str, mode: WriteMode
) -> None:
    old, new = load(columns=FEW, write_mode=mode), rows(1, 2, note="new")
    stranger.load(table, old, rows(1, 2, note="old"))
    for survived in itertools.count():
        statements = itertools.count()

        def kill(
            sql: str, survived: int = survived, statements: Iterator[int] = statements
        ) -> None:
            if next(statements) == survived:
                raise Killed

        try:
            stranger.sink(table, stranger.hook_with(kill)).load(old, [batch(new, FEW)])
        except Killed:
            assert {one["note"] for one in found(stranger, table)} == {"old"}
        else:
            break
    assert {one["note"] for one in found(stranger, table)} == {"new"}


def test_a_load_larger_than_one_chunk_arrives_whole(pg: ElsewherePostgres, table: str) -> None:
    assert pg.load(table, load(), rows(1, 2 * CHUNK_ROWS + 1)).rows == 2 * CHUNK_ROWS + 1
    assert len(pg.rows(table)) == 2 * CHUNK_ROWS + 1


def test_no_transaction_is_open_while_we360_is_asked(pg: ElsewherePostgres, table: str) -> None:
    states: list[object] = []

    def slow() -> Iterator[RowBatch]:
        for number in (1, 2):
            states.extend(
                pg.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                )
            )
            yield batch(rows(number, 1))

    pg.sink(table).load(load(), slow())
    assert states == [(0,), (0,)]


def test_two_loads_of_the_same_rows_at_once_never_double_them(
    pg: ElsewherePostgres, table: str
) -> None:
    pg.load(table, load(), [])
    barrier = Barrier(2, timeout=20)

    def one(rival: int) -> int | str:
        def when_both_are_there() -> Iterator[RowBatch]:
            yield batch(rows(1, 50, count=rival))
            barrier.wait()

        try:
            return pg.sink(table).load(load(run_id=str(rival)), when_both_are_there()).rows
        except SinkError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(one, [1, 2]))
    assert 50 in outcomes
    assert all(outcome == 50 or "Run the task again" in str(outcome) for outcome in outcomes)
    left = pg.rows(table)
    assert len(left) == 50
    assert len({one["count"] for one in left}) == 1


# The staging table


@pytest.fixture
def without_temporary_tables(postgres_server: str) -> ElsewherePostgres:
    """A database that takes no CREATE TEMPORARY TABLE, as Oracle and SQL Server do not."""
    name = f"d_{uuid.uuid4().hex[:8]}"
    admin = ElsewherePostgres(postgres_server)
    connection = admin.opener()
    connection.autocommit = True
    connection.execute(f"CREATE DATABASE {name}")
    connection.execute(f"CREATE ROLE {name} LOGIN")
    connection.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    connection.close()
    ElsewherePostgres(postgres_server, database=name).execute(
        f"CREATE SCHEMA hr AUTHORIZATION {name}"
    )
    return ElsewherePostgres(postgres_server, login=name, database=name)


def staging_tables(engine: Elsewhere) -> list[str]:
    answer = engine.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'hr'"
    )
    return sorted(name for (name,) in answer if "stg" in name)


def test_without_temporary_tables_a_real_one_is_made_and_dropped(
    without_temporary_tables: ElsewherePostgres,
) -> None:
    seen: list[str] = []

    def watched() -> Iterator[RowBatch]:
        yield batch(rows(1, 2))
        seen.extend(staging_tables(without_temporary_tables))

    assert without_temporary_tables.sink("hr.attendance").load(load(), watched()).rows == 2
    assert len(seen) == 1
    assert staging_tables(without_temporary_tables) == []
    assert without_temporary_tables.load("hr.attendance", merge(), rows(1, 1)).rows_removed == 1


def test_only_old_staging_tables_of_killed_loads_are_dropped(
    without_temporary_tables: ElsewherePostgres,
) -> None:
    hour = int(LOADED_AT.timestamp() // 3600)
    old, young = (f"_we360_stg_{hour - age:06x}0a1b2c" for age in (STALE_HOURS + 1, STALE_HOURS))
    others = ["_we360_stg_mine", "my_we360_stg_0000010a1b2c"]
    without_temporary_tables.execute(
        *(f"CREATE TABLE hr.{name} (x integer)" for name in (old, young, *others))
    )
    without_temporary_tables.load("hr.attendance", load(), rows(1, 2))
    assert staging_tables(without_temporary_tables) == sorted([young, *others])


# What a driver may lack


class _Changed:
    """A connection or cursor that lies about some of its members."""

    def __init__(self, inner: Any, **members: Any) -> None:
        self._inner, self._members = inner, members

    def __getattr__(self, name: str) -> Any:
        return self._members[name] if name in self._members else getattr(self._inner, name)


def lite(folder: Path, change: Callable[[sqlite3.Connection], Any]) -> ElsewhereSQLite:
    engine = ElsewhereSQLite(folder)
    opener = engine.opener
    engine.opener = lambda: change(opener())
    return engine


def test_a_database_without_transactions_is_refused(folder: Path, table: str) -> None:
    ElsewhereSQLite(folder).load(table, load(), rows(1, 2, note="old"))
    engine = lite(
        folder,
        lambda connection: _Changed(
            _committing(connection), rollback=lambda: None, commit=lambda: None
        ),
    )
    with pytest.raises(
        We360ConfigError, match=r"sql_conn_id: the database behind .* does not roll back"
    ):
        engine.load(table, load(), rows(1, 2, note="new"))
    assert {one["note"] for one in ElsewhereSQLite(folder).rows(table)} == {"old"}


def _committing(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.isolation_level = None
    return connection


def test_a_driver_that_does_not_count_is_counted_for(folder: Path, table: str) -> None:
    def mute(connection: sqlite3.Connection) -> Any:
        return _Changed(connection, cursor=lambda: _Changed(connection.cursor(), rowcount=-1))

    engine = lite(folder, mute)
    engine.load(table, load(), rows(1, 3))
    again = engine.load(table, load(), rows(1, 2))
    assert (again.rows, again.rows_removed) == (2, 3)
    assert engine.load(table, merge(), rows(1, 1)).rows_removed == 1


def test_a_driver_whose_parameters_have_names_gets_names(
    folder: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("a_driver_of_names")
    module.paramstyle = "named"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    told: list[str] = []

    class Connection(_Changed):
        __module__ = "a_driver_of_names.inner"

        def cursor(self) -> Any:
            cursor = self._inner.cursor()

            def execute(sql: str, *parameters: Any) -> Any:
                told.append(sql)
                assert all(isinstance(each, dict) for each in parameters)
                return cursor.execute(sql, *parameters)

            return _Changed(cursor, execute=execute)

    engine = lite(folder, Connection)
    monkeypatch.setattr("support.elsewhere._Watched", lambda inner, before: inner)
    assert engine.load(table, load(), rows(1, 2)).rows == 2
    assert engine.load(table, load(), rows(1, 2)).rows_removed == 2
    assert any(":p1" in sql for sql in told)
    assert not any("?" in sql for sql in told)


def test_a_driver_whose_parameters_have_numbers_gets_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("a_driver_of_numbers")
    module.paramstyle = "numeric"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spell = parameter_speller(type("Connection", (), {"__module__": module.__name__})(), "%s")
    assert spell("a = ? AND b = ?", (1, 2)) == ("a = :1 AND b = :2", (1, 2))


@pytest.mark.parametrize("hooks_mark", ["%s", "?"])
def test_a_driver_of_jdbc_gets_marks_and_texts_that_it_takes(
    folder: Path, table: str, monkeypatch: pytest.MonkeyPatch, hooks_mark: str
) -> None:
    """Airflow's hooks for ODBC and JDBC have %s; the driver for JDBC refuses dates of Python."""
    module = types.ModuleType("jaydebeapi")
    module.paramstyle = "qmark"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    taken: list[object] = []

    class Connection(_Changed):
        __module__ = "jaydebeapi"

        def cursor(self) -> Any:
            cursor = self._inner.cursor()

            def execute(sql: str, parameters: Any = ()) -> Any:
                taken.extend(parameters)
                return cursor.execute(sql, parameters)

            def executemany(sql: str, rows: Any) -> Any:
                taken.extend(itertools.chain.from_iterable(rows))
                return cursor.executemany(sql, rows)

            return _Changed(cursor, execute=execute, executemany=executemany)

    engine = lite(folder, Connection)
    engine.placeholder = hooks_mark
    monkeypatch.setattr("support.elsewhere._Watched", lambda inner, before: inner)
    content = [row(1, name, **values) for name, values in loads.NASTY.items()]
    assert engine.load(table, load(), content).rows == len(content)
    assert engine.load(table, load(), content).rows_removed == len(content)
    assert {type(one) for one in taken} == {str, int, float, type(None)}
    assert engine.rows(table) == sorted(batch(content).rows, key=repr)


def test_own_names_are_quoted_if_nothing_is_known(postgres_server: str, table: str) -> None:
    """Oracle and Derby take no underscore at the beginning of a name without quotes."""
    pg, told = ElsewherePostgres(postgres_server, known=False), []
    pg.sink(table, pg.hook_with(told.append)).load(load(), [batch(rows(1, 2))])
    bare = [sql for sql in told if re.search(r'(?<!["\w])_we360_', sql)]
    assert told
    assert bare == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("42S02", "[42S02] no days of p1"), "42S02"), (("no days of P1",), ""), (("SECRET",), "")],
)
def test_a_code_of_an_unknown_driver_is_shown(arguments: tuple[str, ...], code: str) -> None:
    facts = generic.ERRORS.read(sqlite3.ProgrammingError(*arguments))
    assert (facts.code, facts.text) == (code, "ProgrammingError")


# Names, types and errors


def test_a_column_quoted_in_capitals_is_reached(pg: ElsewherePostgres, table: str) -> None:
    pg.execute(f'CREATE TABLE {table} (attendance_date date, identity_id text, "Note" text)')
    pg.load(table, load(), rows(1, 1, note="x"))
    assert pg.execute(f'SELECT "Note" FROM {table}') == [("x",)]


def test_keys_have_a_type_that_can_be_one_and_texts_have_room(
    pg: ElsewherePostgres, table: str
) -> None:
    pg.load(table, load(), [])
    kinds = dict(
        pg.execute(
            f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{table}'"
        )
    )
    assert kinds["identity_id"] == kinds["_we360_tenant"] == "character varying"
    assert kinds["note"] == kinds["_we360_run_id"] == "text"
    assert kinds["punch_in"] == kinds["_we360_loaded_at"] == "timestamp without time zone"


def test_a_time_with_zone_would_move_punches_and_is_refused(
    pg: ElsewherePostgres, table: str
) -> None:
    pg.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id text, punch_in timestamptz)"
    )
    with pytest.raises(We360ConfigError, match=r"column 'punch_in' .*TIME ZONE"):
        pg.load(table, load(window=(day(1), day(1))), rows(1, 1))


def test_unknown_types_leave_the_check_to_the_database(
    unknown: ElsewherePostgres, table: str
) -> None:
    unknown.execute(f"CREATE TABLE {table} (attendance_date date, identity_id text, note integer)")
    text_note = (*FEW[:2], Column("note", Kind.TEXT))
    with pytest.raises(
        SinkError, match=r"at INSERT \(DatatypeMismatch, 42804\); nothing was changed"
    ) as caught:
        unknown.load(table, load(columns=text_note), rows(1, 1, note="secret words"))
    assert "secret" not in str(caught.value)


def test_words_of_a_trigger_are_not_told(
    postgres_server: str, pg: ElsewherePostgres, table: str
) -> None:
    pg.load(table, load(), [])
    Postgres(postgres_server).execute(
        f"CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no % here', NEW.identity_id; END $$",
        f"CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_f()",
    )
    with pytest.raises(SinkError, match=r"at INSERT \(RaiseException, P0001\)") as caught:
        pg.load(table, load(), [row(1, "secret-person")])
    assert "secret-person" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_server_that_cannot_be_reached_is_named(postgres_server: str, table: str) -> None:
    with pytest.raises(
        SinkError, match=r"sql_conn_id: no connection through 'elsewhere_\w+' \(OperationalError\)"
    ):
        ElsewherePostgres(f"{postgres_server}/absent").load(table, load(), rows(1, 1))


def test_a_table_that_may_not_be_created_names_the_step(
    without_temporary_tables: ElsewherePostgres, table: str
) -> None:
    with pytest.raises(
        SinkError, match=r"at CREATE \(InsufficientPrivilege, 42501\); nothing was changed"
    ):
        without_temporary_tables.load(f"pg_catalog.{table}", load(), rows(1, 1))


def test_a_uri_that_does_not_work_is_no_reason_to_fail(postgres_server: str, table: str) -> None:
    pg = ElsewherePostgres(postgres_server)
    pg.uri = "sqlite:////no/such/folder/at/all.db"
    assert pg.load(table, load(), rows(1, 2)).rows == 2
    assert pg.load(table, load(), rows(1, 2)).rows_removed == 2
