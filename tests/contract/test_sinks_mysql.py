"""What is MySQL's own: two drivers, two ways in, names by case, engines, locks, and what its errors may tell."""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sinks.base import OnEmpty
from airflow_provider_we360.sinks.registry import sink_for
from support import loads
from support.engines import HAS_MYSQLCLIENT, MariaDB, needs_mariadb
from support.loads import append, batch, batches, day, load, merge, row, rows

pytestmark = [pytest.mark.long, needs_mariadb]

SENDS_FILES = {"local_infile": "true"}
WAYS: dict[str, dict[str, Any]] = {
    "mysqlclient": {"client": "mysqlclient"},
    "mysqlclient, files": {"client": "mysqlclient", "extra": SENDS_FILES},
    "connector": {"client": "mysql-connector-python"},
    "connector, files": {"client": "mysql-connector-python", "extra": SENDS_FILES},
}
needs_mysqlclient = pytest.mark.only_if(
    HAS_MYSQLCLIENT, reason="no mysqlclient here (needs a compiler and libmariadb-dev)"
)
EVERY_WAY = [
    pytest.param(way, marks=needs_mysqlclient if way.startswith("mysqlclient") else ())
    for way in WAYS
]
NASTY = "a \"b\", 'c' %s\r\n\\. \\N \\' \t\0 नम 👩‍💻 \u2028 "


@pytest.fixture
def maria(mariadb_port: int) -> MariaDB:
    return MariaDB(mariadb_port)


@pytest.fixture(params=EVERY_WAY)
def either(request: pytest.FixtureRequest, mariadb_port: int) -> MariaDB:
    """Each driver, with and without files."""
    return MariaDB(mariadb_port, **WAYS[request.param])


def hook_that_begins_with(maria: MariaDB, statement: str) -> Any:
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    return MySqlHook(mysql_conn_id=maria.conn_id, init_command=statement)


def statements_of(maria: MariaDB, table: str) -> list[str]:
    told: list[str] = []
    maria.sink(table, maria.hook_with(told.append)).load(load(), [batch(rows(1, 1))])
    return told


# Drivers and ways in


def test_every_driver_and_way_in_loads_the_same(either: MariaDB, table: str) -> None:
    content = [
        row(1, "a", note=NASTY, seconds=1),
        row(1, "b", note=""),
        row(1, "c"),
        row(1, "d", note="x\\"),
    ]
    assert either.load(table, load(), content).rows == 4
    assert either.load(table, load(), content).rows_removed == 4
    assert either.load(table, merge(), content[:1]).rows_removed == 1
    assert either.rows(table) == sorted(batch(content).rows, key=repr)
    with pytest.raises(SinkError, match="replace_window"):
        either.load(table, append(run_id="x"), content)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_files_are_sent_only_where_the_connection_says_so(
    mariadb_port: int, table: str, way: str
) -> None:
    told = statements_of(MariaDB(mariadb_port, **WAYS[way]), table)
    assert any(sql.startswith("LOAD DATA LOCAL") for sql in told) == (way == "mysqlclient, files")


@needs_mysqlclient
def test_a_server_that_takes_no_files_gets_rows(mariadb_port: int, table: str) -> None:
    sender = MariaDB(mariadb_port, extra=SENDS_FILES)
    sender.execute("SET GLOBAL local_infile = 0")
    try:
        assert not any("LOAD DATA" in sql for sql in statements_of(sender, table))
    finally:
        sender.execute("SET GLOBAL local_infile = 1")


def test_a_load_larger_than_one_chunk_arrives_whole(either: MariaDB, table: str) -> None:
    content = [batch(rows(number, 600, note="x" * 2000), number=number) for number in range(1, 11)]
    assert either.sink(table).load(load(), content).rows == 6000
    assert either.execute(
        f"SELECT count(*), min(length(note)), max(length(note)) FROM {table}"
    ) == [(6000, 2000, 2000)]


@needs_mysqlclient
@pytest.mark.parametrize("cursor", ["dictcursor", "sscursor"])
def test_the_cursor_setting_of_the_connection_is_ignored(
    mariadb_port: int, table: str, cursor: str
) -> None:
    maria = MariaDB(mariadb_port, extra={"cursor": cursor})
    assert maria.load(table, load(), rows(1, 2)).rows == 2
    assert maria.sink(table).load(load(), [batch(rows(1, 2))]).rows_removed == 2


@pytest.mark.parametrize(
    "mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES"]
)
def test_the_sql_mode_of_the_server_changes_nothing(maria: MariaDB, table: str, mode: str) -> None:
    content = [row(1, "a", note=NASTY)]
    hook = hook_that_begins_with(maria, f"SET sql_mode = '{mode}'")
    assert maria.sink(table, hook).load(load(tenant="it's \\"), [batch(content)]).rows == 1
    assert maria.rows(table) == batch(content).rows
    with pytest.raises(SinkError, match="does not fit"):
        maria.sink(table, hook).load(load(), [batch([row(1, "a" * 256)])])


def test_a_client_that_airflow_does_not_know_is_named(mariadb_port: int, table: str) -> None:
    with pytest.raises(
        We360ConfigError,
        match=r"has no driver .*airflow-provider-we360\[mysql\].*mysql-connector-python",
    ):
        MariaDB(mariadb_port, client="pymysql").load(table, load(), [])


# Names


def test_a_table_is_named_alone_or_with_its_database(maria: MariaDB, table: str) -> None:
    other = f"db_{uuid.uuid4().hex[:8]}"
    maria.execute(f"CREATE DATABASE {other} CHARACTER SET latin1")
    maria.load(table, load(), rows(1, 1))
    assert maria.load(f"{maria.database}.{table}", load(), rows(1, 1)).rows_removed == 1
    assert maria.load(f"{other}.{table}", load(), rows(1, 1, note="नम")).rows_removed == 0
    with pytest.raises(We360ConfigError, match=r"three parts, .* database\.table"):
        maria.sink(f"a.{other}.{table}")


def test_a_connection_without_database_needs_one_in_the_name(mariadb_port: int, table: str) -> None:
    nowhere = MariaDB(mariadb_port, schema="")
    with pytest.raises(
        We360ConfigError, match=rf"opens no database; set its Schema, or write database\.{table}"
    ):
        nowhere.load(table, load(), rows(1, 1))
    assert nowhere.load(f"warehouse.{table}", load(), rows(1, 1)).rows == 1


def test_a_database_is_never_made_up(maria: MariaDB) -> None:
    with pytest.raises(SinkError, match="CREATE DATABASE"):
        maria.load("absent.attendance", load(), rows(1, 1))


def test_tables_that_differ_by_case_are_told_apart(maria: MariaDB, table: str) -> None:
    for name in (table, table.upper()):
        maria.execute(f"CREATE TABLE {name} (attendance_date date, identity_id varchar(50))")
    maria.load(table.upper(), load(columns=loads.COLUMNS[:2]), rows(1, 1))
    assert maria.execute(f"SELECT count(*) FROM {table}") == [(0,)]
    with pytest.raises(
        We360ConfigError, match=f"may be {table.upper()} or {table}; write it in its exact case"
    ):
        maria.load(table.title(), load(), rows(1, 1))


def test_keys_that_differ_by_case_or_by_a_blank_are_two(maria: MariaDB, table: str) -> None:
    content = [row(1, "person"), row(1, "PERSON"), row(1, "person "), row(1, "pérson")]
    assert maria.load(table, load(), content).rows == 4
    assert maria.load(table, merge(), content[:1]).rows_removed == 1
    assert maria.load(table, load(tenant="TENANT-1"), content[:1]).rows_removed == 0
    assert len(maria.rows(table)) == 5


@pytest.mark.parametrize("charset", ["utf8mb4 COLLATE utf8mb4_general_ci", "utf8mb3", "latin1"])
def test_merge_into_another_collation_replaces_its_keys_only(
    maria: MariaDB, table: str, charset: str
) -> None:
    maria.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), note text) CHARACTER SET {charset}"
    )
    few = loads.COLUMNS[:3]
    maria.load(
        table,
        load(columns=few),
        [row(1, "a", note="old"), row(1, "A", note="old"), row(1, "b", note="old")],
    )
    assert (
        maria.load(
            table, merge(columns=few), [row(1, "a", note="new"), row(2, "b", note="new")]
        ).rows_removed
        == 1
    )
    assert [one["note"] for one in maria.rows(table, few)] == ["old", "new", "old", "new"]


def test_table_and_columns_are_commented(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), [])
    maria.load(
        table, load(columns=(*loads.COLUMNS, Column("late", description="Late \\ it's"))), []
    )
    described = maria.execute(
        "SELECT column_name, column_comment FROM information_schema.columns"
        f" WHERE table_name = '{table}' AND column_name IN ('note', 'seconds', 'late') ORDER BY 1"
    )
    assert described == [("late", "Late \\ it's"), ("note", "It's text"), ("seconds", "Seconds")]
    about = maria.execute(
        f"SELECT table_comment FROM information_schema.tables WHERE table_name = '{table}'"
    )
    assert "dynamic_report" in about[0][0]


# Tables that cannot keep what a load brings


@pytest.mark.parametrize("engine_name", ["MyISAM", "Aria"])
def test_a_table_without_transactions_is_refused(
    maria: MariaDB, table: str, engine_name: str
) -> None:
    maria.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50)) ENGINE = {engine_name}"
    )
    with pytest.raises(
        We360ConfigError, match=rf"ALTER TABLE `warehouse`.`{table}` ENGINE = InnoDB"
    ):
        maria.load(table, load(), rows(1, 1))


def test_a_view_is_refused(maria: MariaDB, table: str) -> None:
    maria.execute(
        f"CREATE TABLE {table} (attendance_date date)",
        f"CREATE VIEW {table}_v AS SELECT * FROM {table}",
    )
    with pytest.raises(We360ConfigError, match="is a view"):
        maria.load(f"{table}_v", load(), rows(1, 1))


@pytest.mark.parametrize(
    ("column", "type_name"),
    [
        ("punch_in", "datetime"),
        ("punch_in", "timestamp"),
        ("percent", "decimal"),
        ("percent", "float"),
        ("percent", r"double(5,2)"),
    ],
)
def test_a_type_that_would_round_or_move_values_is_refused(
    maria: MariaDB, table: str, column: str, type_name: str
) -> None:
    maria.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), {column} {type_name} NULL)"
    )
    with pytest.raises(We360ConfigError, match=rf"column '{column}' .* {re.escape(type_name)}"):
        maria.load(table, load(), rows(1, 1))


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("note varchar(5)", "do not tell"),
        ("note text CHECK (note <> 'do not tell')", "do not tell"),
        ("note text CHARACTER SET latin1", "tell 👩‍💻"),
    ],
)
def test_a_value_that_the_target_refuses_is_not_told(
    mariadb_port: int, table: str, column: str, value: str, way: str
) -> None:
    maria = MariaDB(mariadb_port, **WAYS[way])
    maria.execute(f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), {column})")
    with pytest.raises(SinkError) as caught:
        maria.load(table, load(columns=loads.COLUMNS[:3]), rows(1, 1, note=value))
    assert "tell" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    assert maria.execute(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_key_longer_than_its_column_is_refused_and_never_cut(either: MariaDB, table: str) -> None:
    assert either.load(table, load(), [row(1, "k" * 255)]).rows == 1
    with pytest.raises(SinkError, match="does not fit") as caught:
        either.load(table, load(), [row(1, "k" * 256)])
    assert "kkk" not in str(caught.value)
    assert [one["identity_id"] for one in either.rows(table)] == ["k" * 255]


def test_words_of_a_trigger_are_not_told(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), [])
    maria.execute(
        f"CREATE TRIGGER {table}_t BEFORE INSERT ON {table} FOR EACH ROW SIGNAL SQLSTATE '45000'"
        " SET MESSAGE_TEXT = 'no secret-person here'"
    )
    with pytest.raises(SinkError, match="error 1644") as caught:
        maria.load(table, load(), [row(1, "secret-person")])
    assert "secret-person" not in str(caught.value)


@pytest.mark.parametrize("type_name", ["int", "int unsigned", "smallint(5) unsigned"])
def test_a_narrower_number_column_accepts_what_fits(
    maria: MariaDB, table: str, type_name: str
) -> None:
    maria.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), seconds {type_name})"
    )
    maria.load(table, load(), rows(1, 1, seconds=5))
    assert maria.execute(f"SELECT seconds FROM {table}") == [(5,)]
    with pytest.raises(SinkError, match="does not fit"):
        maria.load(table, load(), rows(1, 1, seconds=2**40))
    assert maria.execute(f"SELECT seconds FROM {table}") == [(5,)]


# Rights and reach


def test_a_user_who_may_not_is_told_the_grants_that_are_needed(
    maria: MariaDB, mariadb_port: int, table: str
) -> None:
    user = f"u_{uuid.uuid4().hex[:8]}"
    maria.load(table, load(), rows(1, 1))
    maria.execute(
        f"CREATE USER '{user}'@'127.0.0.1'",
        f"GRANT SELECT ON warehouse.{table} TO '{user}'@'127.0.0.1'",
    )
    poor = MariaDB(mariadb_port, login=user, password="")
    with pytest.raises(
        SinkError,
        match=f"GRANT SELECT, INSERT, UPDATE, DELETE ON `warehouse`.`{table}` TO '{user}'",
    ) as caught:
        poor.load(table, load(), rows(1, 1))
    told = str(caught.value)
    grants = re.findall(rf"GRANT .*? TO '{user}'@'127.0.0.1'", told)
    assert len(grants) == 3
    maria.execute(*grants)
    assert poor.load(table, load(), rows(1, 1)).rows_removed == 1
    assert (
        poor.load(table, load(columns=(*loads.COLUMNS, Column("late"))), rows(1, 1)).rows_removed
        == 1
    )


@pytest.mark.parametrize(
    "changes", [{"port": 1}, {"password": "wrong-and-secret"}, {"schema": "absent"}]
)
def test_an_unreachable_server_is_named_without_the_password(
    mariadb_port: int, table: str, changes: dict[str, Any]
) -> None:
    maria = MariaDB(mariadb_port, **changes)
    with pytest.raises(SinkError, match="sql_conn_id: no connection to MySQL through") as caught:
        maria.load(table, load(), rows(1, 1))
    assert "secret" not in str(caught.value)


# Locks and transactions


def paused(
    maria: MariaDB, table: str, at: str, **changes: Any
) -> tuple[Callable[[], int], Event, Event]:
    """A load that stops before its first statement beginning so; with what says that it stands there, and what lets it go."""
    there, go_on = Event(), Event()
    asked = load(on_empty=OnEmpty.REPLACE, **changes)

    def wait(sql: str) -> None:
        if sql.startswith(at):
            there.set()
            assert go_on.wait(20)

    def run() -> int:
        return (
            maria.sink(table, maria.hook_with(wait))
            .load(asked, [batch(rows(1, 2, note="first"))])
            .rows
        )

    return run, there, go_on


def test_a_load_that_never_ends_ends_the_wait_of_the_next(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), rows(1, 1))
    ticks = itertools.count(step=400)
    first, there, go_on = paused(maria, table, "DELETE")
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        assert there.wait(20)
        impatient = sink_for(
            maria.hook(),
            table,
            conn_id=maria.conn_id,
            sleep=lambda _: None,
            clock=lambda: float(next(ticks)),
        )
        with pytest.raises(SinkBusy, match=f"table {table} was held by other sessions for 600 s"):
            impatient.load(load(), [batch(rows(1, 2, note="second"))])
        go_on.set()
        assert done.result(20) == 2
    assert {one["note"] for one in maria.rows(table)} == {"first"}


def test_adding_a_column_waits_for_the_load_without_deadlock(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), rows(1, 1))
    first, there, go_on = paused(maria, table, "DELETE")
    waiting = "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%'"
    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(first)
        assert there.wait(20)
        altered = pool.submit(maria.execute, f"ALTER TABLE {table} ADD COLUMN late int")
        for _ in range(200):
            if maria.execute(waiting) == [(1,)]:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the ALTER never waited")
        go_on.set()
        assert done.result(20) == 2
        altered.result(20)
    assert "late" in maria.column_names(table)


def test_a_row_that_another_session_holds_ends_as_busy(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), rows(1, 1))
    with closing(maria.hook().get_conn()) as other:
        cursor = other.cursor()
        cursor.execute(f"SELECT * FROM {table} FOR UPDATE")
        cursor.fetchall()
        with pytest.raises(SinkBusy, match="another session held"):
            maria.sink(
                table, hook_that_begins_with(maria, "SET innodb_lock_wait_timeout = 1")
            ).load(load(), [batch(rows(1, 2))])
    assert len(maria.rows(table)) == 1


def test_readers_and_writers_of_other_days_do_not_block(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), [one for number in range(1, 31) for one in rows(number, 50)])
    with closing(maria.hook().get_conn()) as other:
        cursor = other.cursor()
        cursor.execute(f"SELECT * FROM {table}")  # leaves its transaction open
        cursor.fetchall()
        mine = (
            "_we360_tenant = 'tenant-1' AND attendance_date = '2026-04-20' AND identity_id = 'p0'"
        )
        cursor.execute(f"UPDATE {table} SET note = 'x' WHERE {mine}")
        hook = hook_that_begins_with(maria, "SET innodb_lock_wait_timeout = 2")
        comes = [batch(rows(1, 50)), batch(rows(2, 50))]
        assert (
            maria.sink(table, hook).load(load(window=(day(1), day(2))), comes).rows_removed == 100
        )
        assert maria.sink(table, hook).load(merge(), comes).rows_removed == 100


def test_rows_outside_the_window_can_be_written_during_a_load(maria: MariaDB, table: str) -> None:
    content = [one for number in range(1, 31) for one in rows(number, 50)]
    maria.load(table, load(), content)
    first, there, go_on = paused(
        maria, table, "INSERT INTO `warehouse`.`attendance", window=(day(1), day(2))
    )
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        assert there.wait(20)
        maria.execute(
            "SET innodb_lock_wait_timeout = 2",
            f"INSERT INTO {table} (_we360_tenant, attendance_date, identity_id) VALUES ('tenant-1', '2026-04-03', 'a')",
        )
        go_on.set()
        assert done.result(20) == 2
    assert len(maria.rows(table)) == 28 * 50 + 2 + 1


def test_no_transaction_is_open_while_we360_is_asked(maria: MariaDB, table: str) -> None:
    maria.load(table, load(), rows(1, 1))
    states: list[object] = []

    def slow() -> Iterator[RowBatch]:
        for one in batches(rows(1, 1) + rows(2, 1)):
            states.extend(maria.execute("SELECT count(*) FROM information_schema.innodb_trx"))
            yield one

    maria.sink(table).load(load(), slow())
    assert states == [(0,), (0,)]


def test_a_database_session_ended_during_a_load_changes_nothing(
    either: MariaDB, table: str
) -> None:
    either.load(table, load(), rows(1, 2, note="old"))

    def ended() -> Iterator[RowBatch]:
        yield batch(rows(1, 2, note="new"))
        found = "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = 'warehouse'"
        for (number,) in either.execute(found):
            either.execute(f"KILL {number}")

    with pytest.raises(SinkError, match="run the task again"):
        either.sink(table).load(load(), ended())
    assert {one["note"] for one in either.rows(table)} == {"old"}
    assert either.load(table, load(), rows(1, 2, note="new")).rows_removed == 2


@needs_mysqlclient
def test_a_task_killed_while_it_sends_files_changes_nothing(mariadb_port: int, table: str) -> None:
    maria = MariaDB(mariadb_port, extra=SENDS_FILES)
    maria.load(table, load(), rows(1, 2, note="old"))
    for survived in itertools.count():
        statements = itertools.count()

        def kill(
            sql: str, survived: int = survived, statements: Iterator[int] = statements
        ) -> None:
            if next(statements) == survived:
                raise KeyboardInterrupt

        try:
            maria.sink(table, maria.hook_with(kill)).load(load(), [batch(rows(1, 2, note="new"))])
        except KeyboardInterrupt:
            assert {one["note"] for one in maria.rows(table)} == {"old"}
        else:
            break
    assert {one["note"] for one in maria.rows(table)} == {"new"}
