"""MySQL and MariaDB: INSERT or LOAD DATA into a temporary table, then one transaction."""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from airflow_provider_we360.errors import SinkError, We360ConfigError
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import OWN_PREFIX, Column, Kind
from airflow_provider_we360.sinks import mysql_errors, statements
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.sinks.error_map import DriverFacts, ErrorMap, Failure
from airflow_provider_we360.sinks.mysql_dialect import DIALECT, literal
from airflow_provider_we360.sinks.row_text import TextFormat, format_rows
from airflow_provider_we360.sinks.session import DbSession, LoadStep, at, driver_calls
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

LONGEST_KEY_BYTES = 3072
LONGEST_COMMENT = 1024
LOCK_WAIT_S = 1
"""Short, so that Airflow's task timeout can interrupt; the loader asks again."""

_INSERT = TextFormat(
    escapes=(("\\", "\\\\"), ("'", "''")),
    quote="'",
    between_cells=",",
    between_rows="),(",
    null="NULL",
    chunk_chars=2**18,  # less than the smallest max_allowed_packet
)
_FILE = TextFormat(
    escapes=(("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n")),
    quote="",
    between_cells="\t",
    between_rows="\n",
    null="\\N",
    chunk_chars=2**23,
)


class MySqlSession(DbSession):
    """A session over mysqlclient or mysql-connector-python.

    :ivar exact: the collation in which keys that differ by case or a trailing blank are two.
    :ivar sends_files: True if LOAD DATA LOCAL may be used.
    """

    exact = "utf8mb4_bin"
    sends_files = False

    def resolve(self, name: TableName) -> TableRef:
        """Return the table in the named database, or the one that the Connection opens."""
        database = name.schema or self.database
        if not database:
            raise We360ConfigError(
                f"table: Connection {self.target.conn_id!r} opens no database; set its Schema, or "
                f"write database.{name}"
            )
        return self.table_ref(name, (database, name.table))


def check(target: Target) -> None:
    """Refuse names of three parts."""
    if target.table.database:
        raise We360ConfigError(
            f"table: {target} has three parts, and MySQL knows database.table only; write that"
        )


@contextmanager
def connect(target: Target) -> Iterator[MySqlSession]:
    """Open a session with known settings."""
    with driver_calls(ERRORS.classes):
        connection = _open(target)
    try:
        with at(LoadStep.PREPARE), driver_calls(ERRORS.classes):
            session = MySqlSession(target, connection, _cursor(connection), DIALECT, ERRORS.classes)
            _prepare(session)
        yield session
    finally:
        with suppress(Exception):
            # Rolls back what was not committed, releases the lock and drops the staging table.
            connection.close()


def _open(target: Target) -> Any:
    from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

    hook = target.hook
    # A malicious server can request any file from a client that sends files, so the Connection
    # has to allow it.
    wanted = str(hook.connection.extra_dejson.get("local_infile", "")).lower()
    hook.local_infile = hook.local_infile or wanted in ("true", "1", "yes")
    try:
        return hook.get_conn()
    except (RuntimeError, ValueError, AirflowOptionalProviderFeatureException) as error:
        raise We360ConfigError(
            f"sql_conn_id: {target.conn_id!r} has no driver ({foreign_text(error)}); pip install "
            "'airflow-provider-we360[mysql]', and set the extra field client to mysqlclient or "
            "mysql-connector-python"
        ) from error


def _is_mysqlclient(connection: Any) -> bool:
    return hasattr(connection, "set_character_set")


def _cursor(connection: Any) -> Any:
    """Return a cursor that returns tuples, on a connection in UTF-8."""
    if _is_mysqlclient(connection):
        from MySQLdb.cursors import Cursor  # type: ignore[import-untyped, unused-ignore]

        connection.set_character_set("utf8mb4")
        return connection.cursor(Cursor)
    connection.set_charset_collation("utf8mb4", "utf8mb4_bin")
    return connection.cursor()


def _prepare(session: MySqlSession) -> None:
    """Pin settings: nothing is truncated or rounded silently, UTC, no endless wait, no idle end."""
    session.execute(
        "SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
        " time_zone = '+00:00', sql_safe_updates = 0,"
        " wait_timeout = greatest(@@wait_timeout, 28800)"
    )
    session.execute(
        "SET SESSION lock_wait_timeout ="
        f" least(@@lock_wait_timeout, {int(session.target.patience_s)})"
    )
    session.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    database, user, infile, exact = session.fetch_one(
        "SELECT database(), current_user(), @@local_infile, (SELECT min(collation_name)"
        " FROM information_schema.collations"
        " WHERE collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin'))"
    )
    session.database, session.user = _text(database or ""), _text(user)
    session.exact = _text(exact or "utf8mb4_bin")
    # The other driver sends only files with a name, which would outlive a killed task.
    session.sends_files = bool(
        session.target.hook.local_infile and infile and _is_mysqlclient(session.connection)
    )


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table from the catalogue.

    On most servers on Linux two names that differ by case are two tables.
    """
    database, name = ref.parts
    found = session.fetch(
        "SELECT t.table_name, e.transactions FROM information_schema.tables t"
        " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
        " WHERE t.table_schema = %s AND lower(t.table_name) = lower(%s)",
        [database, name],
    )
    engines = {_text(table): _text(transactions) for table, transactions in found}
    if not engines:
        return None
    if name not in engines:
        if len(engines) > 1:
            raise We360ConfigError(
                f"table: {ref} may be {' or '.join(sorted(engines))}; write it in its exact case"
            )
        (name,) = engines
        ref = session.table_ref(ref.name, (database, name))
    if engines[name] != "YES":
        raise We360ConfigError(
            f"table: {ref} is a view, or has an engine without transactions, so a failed load "
            f"would leave half of its rows; ALTER TABLE {ref.sql} ENGINE = InnoDB, or name another "
            "table"
        )
    columns = session.fetch(
        "SELECT column_name, column_type, is_nullable, column_default IS NOT NULL, extra"
        " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
        [database, name],
    )
    return TableSchema(ref, {_text(row[0]).lower(): _column_schema(*row) for row in columns})


def _column_schema(
    name: object, kind: object, nullable: object, has_default: object, extra: object
) -> ColumnSchema:
    fills = re.search("auto_increment|generated", _text(extra), re.IGNORECASE) is not None
    is_required = _text(nullable) == "NO"
    return ColumnSchema(_text(name), _text(kind), is_required, bool(has_default) or fills)


def create_table(session: DbSession, ref: TableRef, plan: LoadPlan) -> None:
    """Create the table with its comments, in one statement."""
    parts = [_declare(session, plan, column, required=True) for column in plan.all_columns]
    parts += statements.primary_key(session.dialect, plan)
    session.execute(
        f"CREATE TABLE {ref.sql} ({', '.join(parts)}) ENGINE = InnoDB"
        f" COMMENT = {literal(plan.about)}"
    )


def add_columns(
    session: DbSession, ref: TableRef, plan: LoadPlan, columns: Sequence[Column]
) -> None:
    """Add all columns in one statement, which commits by itself: there are none of them or all."""
    added = ", ".join(f"ADD COLUMN {_declare(session, plan, column)}" for column in columns)
    session.execute(f"ALTER TABLE {ref.sql} {added}")


def _declare(
    session: DbSession,
    plan: LoadPlan,
    column: Column,
    *,
    required: bool = False,
    exact: bool = False,
) -> str:
    """Return the column as CREATE and ALTER take it.

    :param required: True if a key column takes no NULL.
    :param exact: True if all texts compare by code points, not only the provider's own.
    """
    is_key, kind = column.name in plan.table_key, session.dialect.types[column.kind]
    if column.kind is Kind.TEXT and (exact or is_key or column.name.startswith(OWN_PREFIX)):
        # A key has a bounded length. Two keys that differ by case or a trailing blank are two.
        texts = sum(c.kind is Kind.TEXT for c in plan.all_columns if c.name in plan.table_key)
        room = LONGEST_KEY_BYTES - 8 * len(plan.table_key)
        kind = f"varchar({min(255, room // (4 * texts))})" if is_key else "longtext"
        kind += f" CHARACTER SET utf8mb4 COLLATE {getattr(session, 'exact', '')}"
    null = "NOT NULL" if required and is_key else "NULL"
    comment = ""
    if column.description:
        comment = f" COMMENT {literal(column.description[:LONGEST_COMMENT])}"
    return f"{session.dialect.quote(column.name)} {kind} {null}{comment}"


def lock(session: DbSession, ref: TableRef) -> None:
    """Take a named lock, then write access to the table."""
    digest = hashlib.sha256(".".join(ref.parts).lower().encode()).hexdigest()
    name = f"we360:{digest[:40]}"  # 64 characters at most

    def attempt() -> bool | None:
        return bool(session.fetch_one("SELECT GET_LOCK(%s, %s)", [name, LOCK_WAIT_S])[0]) or None

    session.target.wait_for(attempt, what=f"table {ref}")
    # To rise from reading to writing while another load adds a column is a deadlock.
    session.fetch(f"SELECT 1 FROM {ref.sql} WHERE 1 = 0 FOR UPDATE")


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Insert all batches into a temporary table, indexed by the key."""
    quote = session.dialect.quote
    name = f"{quote(table.ref.parts[0])}.{session.new_staging()}"
    # Some servers refuse even temporary tables without a primary key.
    columns = [
        f"{quote(f'{OWN_PREFIX}row')} bigint AUTO_INCREMENT PRIMARY KEY",
        *(
            _declare(session, table.plan, column, exact=True)
            for column in table.plan.staged_columns
        ),
        f"KEY ({', '.join(map(quote, table.plan.key))})",
    ]
    session.execute(f"CREATE TEMPORARY TABLE {name} ({', '.join(columns)}) ENGINE = InnoDB")
    names = ", ".join(quote(column.name) for column in table.plan.staged_columns)
    if isinstance(session, MySqlSession) and session.sends_files:
        _send_files(session, name, names, batches)
        return name
    for rows in format_rows(batches, _INSERT):
        session.execute(f"INSERT INTO {name} ({names}) VALUES ({rows})")
    return name


def _send_files(session: DbSession, name: str, names: str, batches: Iterable[RowBatch]) -> None:
    # The file has no name; the driver opens it by its number.
    with tempfile.TemporaryFile(prefix="we360-") as file:
        for rows in format_rows(batches, _FILE):
            file.seek(0)
            file.truncate()
            file.write(f"{rows}\n".encode())
            file.seek(0)
            session.execute(
                f"LOAD DATA LOCAL INFILE '/dev/fd/{file.fileno()}' INTO TABLE {name}"
                " CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\'"
                f" LINES TERMINATED BY '\\n' ({names})"
            )
            # INSERT refuses a value that does not fit; LOAD DATA LOCAL truncates it and warns.
            if session.fetch_one("SELECT @@warning_count")[0]:
                raise SinkError(
                    f"table: a value does not fit the type of its column in {session.target} (the "
                    "server truncated it); nothing was changed. Widen the column, or leave it out "
                    "of columns"
                )


def _read_error(error: Exception) -> DriverFacts:
    number = getattr(error, "errno", None) or (error.args[0] if error.args else 0)
    text = str(getattr(error, "msg", None) or (error.args[1] if len(error.args) > 1 else error))
    column = re.match(r"(?:Column|Field) '([^']+)'", text)
    constraint = re.search(r"CONSTRAINT `([^`]+)`", text)
    return DriverFacts(
        str(number) if isinstance(number, int) else "0",
        text,
        column=column[1] if column else None,
        constraint=constraint[1] if constraint else None,
    )


def _text(value: object) -> str:
    """Return a name from the catalogue as text; some drivers return bytes."""
    return value.decode() if isinstance(value, (bytes, bytearray)) else str(value)


def _grants(failure: Failure) -> str:
    session = failure.session
    if session is None:
        return ""
    name, _, host = session.user.rpartition("@")
    user = f"'{name}'@'{host}'" if name else session.user
    ref = session.resolve(failure.table)
    rights = "SELECT, INSERT, UPDATE, DELETE"
    return (
        f"GRANT {rights} ON {ref.sql} TO {user}; to stage rows: GRANT CREATE TEMPORARY TABLES ON "
        f"{session.dialect.quote(ref.parts[0])}.* TO {user}; to create the table and add columns: "
        f"GRANT {rights}, CREATE, ALTER ON {ref.sql} TO {user}"
    )


def _error_classes() -> tuple[type[Exception], ...]:
    """Return the errors of the drivers that are loaded; others cannot be raised."""
    loaded = (sys.modules.get(name) for name in ("MySQLdb", "mysql.connector"))
    return tuple(module.Error for module in loaded if module is not None)


ERRORS = ErrorMap(
    database="MySQL",
    classes=_error_classes,
    read=_read_error,
    is_already_there=lambda error: _read_error(error).code in ("1050", "1060"),
    grants=_grants,
    code_label="error",
    kinds=mysql_errors.KINDS,
    hints=mysql_errors.HINTS,
    # Messages that name objects and the server only; others may quote a row.
    names_only=(
        *("1021", "1049", "1114", "1118", "1153", "1175", "1226", "1290", "1317", "1665", "1792"),
        *("1836", "1906", "1969", "3024", "3750"),
    ),
    connect_hint="check Host, Port, Schema (the database), Login and Password",
)
WAREHOUSE = Warehouse(
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    check=check,
    lock=lock,
    create_table=create_table,
    add_columns=add_columns,
)
