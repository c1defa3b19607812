"""What is PostgreSQL's own: two drivers, search path, roles, locks, and what its errors may tell."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks import adbc
from airflow_provider_we360.sinks.base import OnEmpty
from support import loads
from support.engines import Postgres, PostgresOverAdbc
from support.loads import append, batch, batches, day, is_clean_up, load, merge, row, rows


@pytest.fixture(params=[Postgres, PostgresOverAdbc])
def way(request: pytest.FixtureRequest) -> type[Postgres]:
    """Over psycopg, or over ADBC."""
    return request.param


@pytest.fixture
def pg(way: type[Postgres], postgres_server: str) -> Postgres:
    return way(postgres_server)


@pytest.fixture
def with_psycopg2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own switch between the two drivers."""
    from airflow.providers.postgres.hooks import postgres

    monkeypatch.setattr(postgres, "USE_PSYCOPG3", False)


@pytest.mark.usefixtures("with_psycopg2")
def test_psycopg2_loads_the_same(postgres_server: str, table: str) -> None:
    pg = Postgres(postgres_server)
    assert type(pg.hook().get_conn()).__module__.startswith("psycopg2")
    nasty = 'a "b", %s\n\\.\nनम O\'H'
    content = [row(1, "a", note=nasty, seconds=1), row(1, "b", note=""), row(1, "c")]
    assert pg.load(table, load(), content).rows == 3
    assert pg.load(table, load(), content).rows_removed == 3
    assert pg.load(table, merge(), content[:1]).rows_removed == 1
    assert pg.rows(table) == sorted(batch(content).rows, key=repr)
    with pytest.raises(SinkError, match="replace_window"):
        pg.load(table, append(run_id="x"), content)


@pytest.mark.parametrize("kind", ["dictcursor", "namedtuplecursor"])
def test_the_cursor_setting_of_the_connection_is_ignored(
    way: type[Postgres], postgres_server: str, table: str, kind: str
) -> None:
    pg = way(postgres_server, cursor=kind)
    assert pg.load(table, load(), rows(1, 2)).rows == 2
    assert pg.load(table, load(), rows(1, 2)).rows_removed == 2


def test_a_load_larger_than_one_chunk_arrives_whole(pg: Postgres, table: str) -> None:
    from airflow_provider_we360.sinks.warehouses.postgres import CHUNK_BYTES

    content = [batch(rows(number, 300, note="x" * 2000), number=number) for number in range(1, 11)]
    assert sum(len(one) * 2000 for one in content) > CHUNK_BYTES
    assert pg.sink(table).load(load(), content).rows == 3000
    assert pg.execute(f"SELECT count(*), min(length(note)) FROM {table}") == [(3000, 2000)]


def test_a_bare_name_follows_the_search_path(
    way: type[Postgres], postgres_server: str, table: str
) -> None:
    schema = f"s_{uuid.uuid4().hex[:8]}"
    pg = way(postgres_server, options=f"-c search_path={schema},public")
    way(postgres_server).execute(f"CREATE SCHEMA {schema}")
    pg.load(table, load(), rows(1, 1))
    assert pg.load(f"{schema}.{table}", load(), rows(1, 1)).rows_removed == 1
    assert pg.load(f"postgres.{schema}.{table}", load(), rows(1, 1)).rows_removed == 1


def test_a_database_that_is_not_the_connected_one_is_refused(pg: Postgres) -> None:
    with pytest.raises(We360ConfigError, match=r"names database 'other', but .* opens 'postgres'"):
        pg.load("other.public.attendance", load(), rows(1, 1))


def test_a_schema_is_never_made_up(pg: Postgres) -> None:
    with pytest.raises(SinkError, match="CREATE SCHEMA"):
        pg.load("absent.attendance", load(), rows(1, 1))


def test_table_and_columns_are_commented(pg: Postgres, table: str) -> None:
    pg.load(table, load(), [])
    described = pg.execute(
        f"SELECT a.attname, col_description(a.attrelid, a.attnum) FROM pg_attribute a WHERE a.attrelid = '{table}'::regclass"
        " AND a.attname IN ('note', 'seconds') ORDER BY 1"
    )
    assert described == [("note", "It's text"), ("seconds", "Seconds")]
    assert "dynamic_report" in pg.execute(f"SELECT obj_description('{table}'::regclass)")[0][0]


def test_a_role_that_may_not_is_told_the_grants_it_needs(
    way: type[Postgres], pg: Postgres, postgres_server: str, table: str
) -> None:
    role = f"role_{uuid.uuid4().hex[:8]}"
    pg.load(table, load(), rows(1, 1))
    pg.execute(f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON {table} TO {role}")
    poor = way(postgres_server, login=role)
    with pytest.raises(
        SinkError, match=rf'GRANT SELECT, INSERT, UPDATE, DELETE ON "{table}" TO "{role}"'
    ):
        poor.load(table, load(), rows(1, 1))
    pg.execute(f"GRANT INSERT, UPDATE, DELETE ON {table} TO {role}")
    assert poor.load(table, load(), rows(1, 1)).rows_removed == 1


POLICY = "CREATE POLICY p ON {table} USING (note <> 'hidden') WITH CHECK (true)"


@pytest.mark.parametrize("has_key", [True, False])
def test_a_policy_that_hides_rows_fails_the_load(
    way: type[Postgres], pg: Postgres, postgres_server: str, table: str, has_key: bool
) -> None:
    role = f"role_{uuid.uuid4().hex[:8]}"
    content = [row(1, "seen", note="x"), row(1, "unseen", note="hidden")]
    pg.load(table, merge() if has_key else append(), content)
    pg.execute(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        POLICY.format(table=table),
    )
    held = pg.rows(table)
    for answers in (content, content[:1], []):
        with pytest.raises(SinkError, match=r"row-level security .* BYPASSRLS"):
            way(postgres_server, login=role).load(table, load(on_empty=OnEmpty.REPLACE), answers)
    assert pg.rows(table) == held
    pg.load(table, load(), content[:1])  # the owner sees all rows
    assert len(pg.rows(table)) == 1


def test_a_pooled_session_keeps_no_rows_and_settings(pg: Postgres, table: str) -> None:
    """A pooler in transaction mode gives the session to its next client without a reset."""
    connection = pg.hook().get_conn()
    connection.close, close = lambda: None, connection.close
    hook = pg.hook()
    hook.get_conn = lambda: connection
    settings = "SELECT name, setting FROM pg_settings WHERE source = 'session'"
    for answers in ([batch(rows(1, 2))], [batch(rows(1, 2)), batch([row(1, "p1")])]):
        with suppress(SinkError):
            Postgres.sink(pg, table, hook=hook).load(load(), answers)
        assert (
            connection.execute("SELECT relname FROM pg_class WHERE relname ~ 'stg'").fetchall()
            == []
        )
        assert connection.execute(settings).fetchall() == []
    close()


def test_a_transaction_pins_its_settings_itself(pg: Postgres, table: str) -> None:
    """A pooler may give a transaction another database session than the one that was prepared."""
    seen: list[str] = []
    Postgres.sink(pg, table, hook=pg.hook_with(seen.append)).load(load(), [batch(rows(1, 2))])
    for number, sql in enumerate(seen):
        if sql == "BEGIN":
            assert "set_config('row_security', 'off', true)" in seen[number + 1]
    assert "BEGIN" in seen


def test_a_missing_partition_is_named(pg: Postgres, table: str) -> None:
    pg.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id text) PARTITION BY RANGE"
        " (attendance_date)"
    )
    with pytest.raises(SinkError, match="partitioned: create the partition of these days"):
        pg.load(table, load(columns=loads.COLUMNS[:2]), rows(1, 1))


def test_an_unreachable_server_is_named_without_the_password(
    way: type[Postgres], postgres_server: str, table: str
) -> None:
    pg = way(f"{postgres_server}/absent")
    with pytest.raises(SinkError, match="sql_conn_id: no connection to PostgreSQL"):
        pg.load(table, load(), rows(1, 1))


def test_a_lock_that_is_never_given_back_ends_as_busy(
    way: type[Postgres], postgres_server: str, table: str
) -> None:
    pg = way(postgres_server, options="-c lock_timeout=200")
    pg.load(table, load(), rows(1, 1))
    with closing(pg.hook().get_conn()) as other:
        other.cursor().execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        with pytest.raises(SinkBusy, match="another session held"):
            pg.load(table, load(), rows(1, 2))
    assert len(pg.rows(table)) == 1


def test_readers_are_never_kept_waiting(
    way: type[Postgres], postgres_server: str, table: str
) -> None:
    pg = way(postgres_server)
    pg.load(table, load(), rows(1, 1))
    with closing(pg.hook().get_conn()) as reader:
        reader.cursor().execute(f"SELECT * FROM {table}")  # leaves its transaction open
        assert pg.load(table, load(), rows(1, 2)).rows == 2


def test_no_transaction_is_open_while_we360_is_asked(pg: Postgres, table: str) -> None:
    states: list[object] = []

    def slow() -> Iterator[RowBatch]:
        for one in batches(rows(1, 1) + rows(2, 1)):
            states.extend(
                pg.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
                )
            )
            yield one

    pg.sink(table).load(load(), slow())
    assert states == [(0,), (0,)]


def test_a_database_session_ended_during_a_load_changes_nothing(pg: Postgres, table: str) -> None:
    pg.load(table, load(), rows(1, 2, note="old"))

    def ended() -> Iterator[RowBatch]:
        yield batch(rows(1, 2, note="new"))
        pg.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    with pytest.raises(SinkError, match="run the task again"):
        pg.sink(table).load(load(), ended())
    assert {one["note"] for one in pg.rows(table)} == {"old"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("note varchar(5)", "do not tell"),
        ("note text CHECK (note <> 'do not tell')", "do not tell"),
    ],
)
def test_a_value_that_the_target_refuses_is_not_told(
    pg: Postgres, table: str, column: str, value: str
) -> None:
    pg.execute(f"CREATE TABLE {table} (attendance_date date, identity_id text, {column})")
    with pytest.raises(SinkError) as caught:
        pg.load(table, load(columns=loads.COLUMNS[:3]), rows(1, 1, note=value))
    assert "tell" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_words_of_a_trigger_are_not_told(pg: Postgres, table: str) -> None:
    pg.load(table, load(), [])
    pg.execute(
        f"CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no % here', NEW.identity_id; END $$",
        f"CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_f()",
    )
    with pytest.raises(SinkError, match="P0001") as caught:
        pg.load(table, load(), [row(1, "secret-person")])
    assert "secret-person" not in str(caught.value)


def test_a_narrower_number_column_accepts_what_fits(pg: Postgres, table: str) -> None:
    pg.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id varchar(50), seconds integer, percent numeric(5,2))"
    )
    pg.load(table, load(), rows(1, 1, seconds=5, percent=33.25))
    assert pg.execute(f"SELECT seconds, percent::text FROM {table}") == [(5, "33.25")]
    with pytest.raises(SinkError, match="SQLSTATE 22003"):
        pg.load(table, load(), rows(1, 1, seconds=2**40))


def test_a_column_quoted_in_capitals_is_another_column(pg: Postgres, table: str) -> None:
    pg.execute(f'CREATE TABLE {table} (attendance_date date, identity_id text, "Note" text)')
    pg.load(table, load(), rows(1, 1, note="x"))
    assert pg.execute(f'SELECT note, "Note" FROM {table}') == [("x", None)]


def test_a_timestamp_with_zone_would_move_punches_and_is_refused(pg: Postgres, table: str) -> None:
    pg.execute(
        f"CREATE TABLE {table} (attendance_date date, identity_id text, punch_in timestamptz)"
    )
    with pytest.raises(We360ConfigError, match=r"column 'punch_in' .* timestamp with time zone"):
        pg.load(table, load(window=(day(1), day(1))), rows(1, 1))


@pytest.mark.usefixtures("with_psycopg2")
def test_a_task_killed_over_psycopg2_leaves_the_table_as_it_was(
    postgres_server: str, table: str
) -> None:
    pg = Postgres(postgres_server)
    pg.load(table, load(), rows(1, 2, note="old"))
    for survived in itertools.count():
        statements = itertools.count()

        def kill(
            sql: str, survived: int = survived, statements: Iterator[int] = statements
        ) -> None:
            if not is_clean_up(sql) and next(statements) == survived:
                raise KeyboardInterrupt

        try:
            pg.sink(table, pg.hook_with(kill)).load(load(), [batch(rows(1, 2, note="new"))])
        except KeyboardInterrupt:
            assert {one["note"] for one in pg.rows(table)} == {"old"}
        else:
            break
    assert {one["note"] for one in pg.rows(table)} == {"new"}


def test_adbc_is_used_if_it_supports_the_connection(postgres_server: str) -> None:
    plain = PostgresOverAdbc(
        postgres_server, application_name="we360", connect_timeout=5, cursor="dictcursor"
    )
    assert adbc.is_usable(plain.hook())
    assert not adbc.is_usable(Postgres(postgres_server).hook_with(lambda statement: None)), (
        "a class of its own may log in by itself"
    )
    assert not adbc.is_usable(PostgresOverAdbc(postgres_server, prepare_threshold=0).hook()), (
        "libpq does not know it"
    )


def test_adbc_is_told_what_the_connection_says(postgres_server: str) -> None:
    pg = PostgresOverAdbc(
        postgres_server, application_name="a we360 & load", options="-c search_path=pg_temp"
    )
    with closing(adbc.connect(pg.hook())) as session:
        session.execute(
            "SELECT current_setting('application_name'), current_setting('search_path'), %s",
            ["100%"],
        )
        assert session.fetchall() == [("a we360 & load", "pg_temp", "100%")]


def test_a_session_over_adbc_that_is_refused_tells_no_password(table: str) -> None:
    pg = PostgresOverAdbc("127.0.0.1")
    pg.connection |= {"port": 1, "password": "hunter2 & more"}
    pg.connect_by_environment()
    with pytest.raises(SinkError, match="no connection to PostgreSQL") as caught:
        pg.load(table, load(), rows(1, 1))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
