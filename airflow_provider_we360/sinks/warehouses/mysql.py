"""MySQL and MariaDB: INSERTs of many rows, or LOAD DATA, into a temporary table, then one transaction under a named lock."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Self

from airflow_provider_we360.errors import (
    SinkBusy,
    SinkError,
    We360ConfigError,
    We360Error,
    foreign_text,
)
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import OWN_PREFIX, Column, Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import Load, WriteMode
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.scope import Condition
from airflow_provider_we360.sinks.spelled import Form, spelled
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse, literal

LONGEST_KEY_BYTES = 3072
LONGEST_COMMENT = 1024
LOCK_WAIT_S = 1
"""Short, so that a task's time-out is heard; who waits longer asks again."""

_INTEGERS = frozenset({"bigint", "int", "mediumint", "smallint"})
# -1: the driver got something else than an answer, such as the end of the session.
_LOST = frozenset(
    {-1, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 2055, 4031}
)
_BUSY = frozenset({1205, 1213, 3572})  # lock wait time-out, deadlock
_FORBIDDEN = frozenset({1044, 1142, 1143, 1227})
_CONSTRAINTS = frozenset({1216, 1217, 1451, 1452, 3819, 4025})
_UNFIT = frozenset({1264, 1265, 1292, 1366, 1367, 1406, 1411, 1416, 3140})
_NO_VALUE = frozenset({1048, 1364})
_TAKEN = frozenset({1062, 1586})
_ALREADY_THERE = frozenset({1050, 1060})  # table, column
_ADVICE = {
    1021: "the server's disk is full; free some room there",
    1049: "create the database first: CREATE DATABASE",
    1114: "the server has no room left; free some, or raise innodb_temp_data_file_path's limit",
    1118: "the table has too many columns for one row; name fewer in columns",
    1153: "a row is larger than the server's max_allowed_packet; raise that",
    1226: "the user has used up what MAX_QUERIES_PER_HOUR and the like allow",
    1290: "the server takes no writes; point the Connection to the primary, not to a replica",
    1317: "the statement was cancelled; run the task again",
    1665: "the server logs statements, not rows; set binlog_format to ROW or MIXED",
    1792: "the server takes no writes; point the Connection to the primary, not to a replica",
    1836: "the server takes no writes; point the Connection to the primary, not to a replica",
    1969: "the statement was cancelled by max_statement_time; raise it for this user",
    3024: "the statement was cancelled by max_execution_time; raise it for this user",
    3750: "the server takes no table without a primary key, and append makes such; use write_mode='replace_window' or 'merge'",
}
"""Errors whose text is about names and the server, and what helps. All others may quote a row, or a trigger's words."""


_INSERT = Form(
    (("\\", "\\\\"), ("'", "''")), "'", ",", "),(", "NULL", 2**18
)  # below what the smallest server takes at once
_FILE = Form((("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n")), "", "\t", "\n", "\\N", 2**23)


class MySqlWarehouse(Warehouse):
    """A load into MySQL or MariaDB, over mysqlclient or mysql-connector-python, whichever the Connection names."""

    placeholder: ClassVar[str] = "%s"
    has_comments: ClassVar[bool] = False  # they are part of the column's declaration here
    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: "longtext CHARACTER SET utf8mb4",
        Kind.DURATION: "bigint",
        Kind.BIGINT: "bigint",
        Kind.DOUBLE: "double",
        Kind.TIMESTAMP: "datetime(6)",
        Kind.DATE: "date",
        Kind.INSTANT: "datetime(6)",  # holds UTC: TIMESTAMP ends in 2038
    }
    # With fewer digits MySQL rounds a moment without a word, and so it does with DECIMAL.
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"varchar", "tinytext", "text", "mediumtext", "longtext"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double"}),
        Kind.TIMESTAMP: frozenset({"datetime(6)"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"datetime(6)", "timestamp(6)"}),
    }

    _connection: Any = None
    _cursor: Any = None
    _user = "the user"
    _opened = ""
    """The database that the Connection opens."""
    _database = ""
    _name = ""

    @classmethod
    def require_usable(cls, target: Target) -> None:
        if target.table.database:
            raise We360ConfigError(
                f"table: {target} has three parts, and MySQL knows database.table only; write that"
            )

    @property
    def driver_error(self) -> tuple[type[Exception], ...]:
        """Of whichever driver is loaded: an error of one that is not cannot come."""
        loaded = (sys.modules.get(name) for name in ("MySQLdb", "mysql.connector"))
        return tuple(module.Error for module in loaded if module is not None)

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        connection = self._connect()
        try:
            self._connection = connection
            self._cursor = self._plain_cursor()
            self._settle_in()
            yield batches
        finally:
            with suppress(Exception):
                connection.close()  # undoes what was not committed, gives the lock back, drops the staging

    def stage(self, batches: Iterable[RowBatch]) -> None:
        # Some servers take no table without a primary key, be it temporary.
        number = self.quote(f"{OWN_PREFIX}row")
        columns = [
            f"{number} bigint AUTO_INCREMENT PRIMARY KEY",
            *(self._declared(column) for column in self.load.columns),
        ]
        if (
            self.load.write_mode is WriteMode.MERGE
        ):  # against a table of the user's own keys the join needs one here
            columns.append(f"KEY ({', '.join(map(self.quote, self.load.key))})")
        self.run(f"CREATE TEMPORARY TABLE {self.staging} ({', '.join(columns)}) ENGINE = InnoDB")
        names = ", ".join(self.quote(column.name) for column in self.load.columns)
        if self._may_send_files:
            self._send_files(batches, names)
            return
        for rows in spelled(batches, _INSERT):
            self.run(f"INSERT INTO {self.staging} ({names}) VALUES ({rows})")

    def _send_files(self, batches: Iterable[RowBatch], names: str) -> None:
        with tempfile.TemporaryFile(
            prefix="we360-"
        ) as file:  # has no name; the driver opens it by its number
            for rows in spelled(batches, _FILE):
                file.seek(0)
                file.truncate()
                file.write(f"{rows}\n".encode())
                file.seek(0)
                self.run(
                    f"LOAD DATA LOCAL INFILE '/dev/fd/{file.fileno()}' INTO TABLE {self.staging} CHARACTER SET utf8mb4"
                    f" FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({names})"
                )
                # What INSERT refuses, LOAD DATA LOCAL cuts to fit and mentions.
                if self.query("SELECT @@warning_count")[0][0]:
                    raise self._unfit("cut to fit")

    def lock(self) -> None:
        digest = hashlib.sha256(f"{self._database}.{self._name}".lower().encode()).hexdigest()
        name = f"we360:{digest[:40]}"  # 64 characters at most

        def held() -> bool | None:
            return bool(self.query("SELECT GET_LOCK(%s, %s)", [name, LOCK_WAIT_S])[0][0]) or None

        self.target.wait_for(held, what=f"table {self.target}")
        # Write access from the start: to rise from reading to writing while a sibling adds a column is a deadlock.
        self.query(f"SELECT 1 FROM {self.table} WHERE 1 = 0 FOR UPDATE")

    def quote(self, name: str) -> str:
        return f"`{name}`"

    def beside(self, target: Target, load: Load) -> Self:
        other = super().beside(target, load)
        other._settle_on_table()  # noqa: SLF001 - it is of our own kind
        return other

    @property
    def table(self) -> str:
        return f"{self.quote(self._database)}.{self.quote(self._name)}"

    def adapt(self, value: object) -> object:
        return (
            value.astimezone(dt.UTC).replace(tzinfo=None)
            if isinstance(value, dt.datetime)
            else value
        )

    def typed_placeholder(self, kind: Kind) -> str:  # noqa: ARG002 - a constant takes the type of the column it goes to
        return self.placeholder

    def holds(self, kind: Kind, type_name: str) -> bool:
        return type_name.lower() in self.holding_types[kind] or super().holds(kind, type_name)

    def create_table(self) -> None:
        parts = [self._declared(column, is_ours=True) for column in self.load.all_columns]
        if self.load.write_mode is not WriteMode.APPEND:
            parts.append(f"PRIMARY KEY ({', '.join(map(self.quote, self.load.table_key))})")
        self.run(
            f"CREATE TABLE {self.table} ({', '.join(parts)}) ENGINE = InnoDB COMMENT = {_literal(self.load.about)}"
        )

    def add_columns(self, columns: Iterable[Column]) -> None:
        """All in one statement, which commits by itself: a sibling finds either none of them or all."""
        added = ", ".join(
            f"ADD COLUMN {self._declared(column, takes_null=True)}" for column in columns
        )
        self.run(f"ALTER TABLE {self.table} {added}")

    def delete_staged_keys(self, condition: Condition) -> int:
        same = " AND ".join(f"come.{name} = held.{name}" for name in map(self.quote, self.load.key))
        return self.run(
            f"DELETE held FROM {self.table} AS held JOIN {self.staged()} AS come ON {same} WHERE {condition.sql}",
            condition.parameters,
        )

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self._cursor.execute(sql, list(parameters) or None)
        return int(self._cursor.rowcount)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql, list(parameters) or None)
        return [tuple(row) for row in self._cursor.fetchall()]

    def stored_table(self) -> StoredTable | None:
        # Tables are files for most servers on Linux: two names that differ by case only are two tables.
        there = self.query(
            "SELECT t.table_name, e.transactions FROM information_schema.tables t LEFT JOIN information_schema.engines e"
            " ON e.engine = t.engine WHERE t.table_schema = %s AND lower(t.table_name) = lower(%s)",
            [self._database, self._name],
        )
        engines = {_text(name): _text(transactions) for name, transactions in there}
        if not engines:
            return None
        if self._name not in engines:
            if len(engines) > 1:
                raise We360ConfigError(
                    f"table: {self.target} may be {' or '.join(sorted(engines))}; write it as it is"
                )
            (self._name,) = engines
        if engines[self._name] != "YES":
            raise We360ConfigError(
                f"table: {self.target} is a view, or of an engine without transactions, where a broken load would leave half "
                f"of its rows; ALTER TABLE {self.table} ENGINE = InnoDB, or name another table"
            )
        found = self.query(
            "SELECT column_name, column_type, is_nullable, column_default IS NOT NULL, extra FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s",
            [self._database, self._name],
        )
        return StoredTable(
            str(self.target), {_text(column[0]).lower(): _stored(*column) for column in found}
        )

    def is_already_there(self, error: Exception) -> bool:
        return _number(error) in _ALREADY_THERE

    def explain(self, error: Exception) -> We360Error:
        number, text = _number(error), _message(error)
        if self._connection is None:
            return SinkError(
                f"sql_conn_id: no connection to MySQL through {self.target.conn_id!r} ({foreign_text(text)}); "
                "check Host, Port, Schema (the database), Login and Password"
            )
        if number in _LOST:
            return refusals.lost(self.target, "MySQL", at_commit=self.is_committing)
        if number in _BUSY:
            return SinkBusy(
                f"table: another session held {self.target} for too long ({number}); nothing was changed. Run the task again"
            )
        if number in _FORBIDDEN:
            return self._forbidden()
        if number in _NO_VALUE:
            column = re.match(r"(?:Column|Field) '([^']+)'", text)
            return refusals.no_value(self.target, column[1] if column else None)
        if number in _TAKEN:
            return refusals.key_taken(self.target, self.load.write_mode)
        if number in _CONSTRAINTS:
            return refusals.constraint(self.target)
        if number in _UNFIT:
            return self._unfit(f"error {number}")
        told = f": {foreign_text(text)}" if number in _ADVICE else ""
        return SinkError(
            f"MySQL refused the load into {self.target} (error {number}{told}): {_ADVICE.get(number, 'nothing was changed')}"
        )

    def _unfit(self, how: str) -> SinkError:
        return SinkError(
            f"table: a value does not fit the type of its column in {self.target} ({how}); nothing was changed. "
            "Widen the column, or leave it out of columns"
        )

    def _forbidden(self) -> SinkError:
        name, _, host = self._user.rpartition("@")
        user = f"'{name}'@'{host}'" if name else self._user
        return SinkError(
            f"table: {user} may not do what a load into {self.target} needs; nothing was changed. "
            f"GRANT SELECT, INSERT, DELETE ON {self.table} TO {user}; to stage rows: GRANT CREATE TEMPORARY TABLES "
            f"ON {self.quote(self._database)}.* TO {user}; to create the table and add columns: "
            f"GRANT SELECT, INSERT, DELETE, CREATE, ALTER ON {self.table} TO {user}"
        )

    def _declared(self, column: Column, *, is_ours: bool = False, takes_null: bool = False) -> str:
        """The column as CREATE and ALTER take it.

        :param is_ours: True in a table that we make: its keys take no NULL.
        """
        texts = sum(
            c.kind is Kind.TEXT for c in self.load.all_columns if c.name in self.load.table_key
        )
        is_key, kind = column.name in self.load.table_key, self.type_names[column.kind]
        if column.kind is Kind.TEXT and (is_key or column.name.startswith(OWN_PREFIX)):
            # A key has a bounded length; two that differ by case, or by a blank at the end, are two.
            room = LONGEST_KEY_BYTES - 8 * len(self.load.table_key)
            kind = f"varchar({min(255, room // (4 * texts))})" if is_key else "longtext"
            kind += f" CHARACTER SET utf8mb4 COLLATE {self._exact}"
        required = " NOT NULL" if is_ours and is_key and not takes_null else " NULL"
        comment = (
            f" COMMENT {_literal(column.description[:LONGEST_COMMENT])}"
            if column.description
            else ""
        )
        return f"{self.quote(column.name)} {kind}{required}{comment}"

    def _connect(self) -> Any:
        from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

        hook = self.target.hook
        # A server can ask a client that sends files for any of them: only where the Connection says so.
        wanted = str(hook.connection.extra_dejson.get("local_infile", "")).lower() in (
            "true",
            "1",
            "yes",
        )
        hook.local_infile = hook.local_infile or wanted
        try:
            return hook.get_conn()
        except (RuntimeError, ValueError, AirflowOptionalProviderFeatureException) as error:
            raise We360ConfigError(
                f"sql_conn_id: {self.target.conn_id!r} has no driver ({foreign_text(error)}); pip install "
                "'airflow-provider-we360[mysql]', and let the extra field client be mysqlclient or mysql-connector-python"
            ) from None

    @property
    def _is_mysqlclient(self) -> bool:
        return hasattr(self._connection, "set_character_set")

    def _plain_cursor(self) -> Any:
        """A cursor that hands out tuples, whatever kind the Connection asks for; the session speaks all of Unicode."""
        if self._is_mysqlclient:
            from MySQLdb.cursors import Cursor  # type: ignore[import-untyped, unused-ignore]

            self._connection.set_character_set("utf8mb4")
            return self._connection.cursor(Cursor)
        self._connection.set_charset_collation("utf8mb4", "utf8mb4_bin")
        return self._connection.cursor()

    def _settle_in(self) -> None:
        """A session of known manners: nothing is cut or rounded silently, UTC, no gaps locked, no wait without end."""
        self.run(
            "SET SESSION autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'"
        )
        self.run(
            f"SET SESSION lock_wait_timeout = least(@@lock_wait_timeout, {int(self.target.patience_s)})"
        )
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        database, user, taken, exact = self.query(
            "SELECT database(), current_user(), @@local_infile, (SELECT min(collation_name) FROM information_schema.collations"
            " WHERE collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin'))"
        )[0]
        # The other driver sends no file that has no name, and one with a name would outlive a killed task.
        self._may_send_files = (
            bool(self.target.hook.local_infile and taken) and self._is_mysqlclient
        )
        self._user, self._exact = _text(user), _text(exact or "utf8mb4_bin")
        self._opened = _text(database or "")
        self._settle_on_table()
        self.staging = f"{self.quote(self._database)}.{self.staging}"

    def _settle_on_table(self) -> None:
        self._database, self._name = (
            self.target.table.schema or self._opened,
            self.target.table.table,
        )
        if not self._database:
            raise We360ConfigError(
                f"table: Connection {self.target.conn_id!r} opens no database; set its Schema, or write database.{self.target}"
            )


def _stored(
    name: object, kind: object, nullable: object, defaulted: object, extra: object
) -> StoredColumn:
    filled = (
        bool(defaulted)
        or re.search("auto_increment|generated", _text(extra), re.IGNORECASE) is not None
    )
    return StoredColumn(_text(name), _text(kind), _text(nullable) == "NO", filled)


def _text(value: object) -> str:
    """A name from the catalogue, which some drivers hand out as bytes."""
    return value.decode() if isinstance(value, (bytes, bytearray)) else str(value)


def _literal(text: str) -> str:
    return literal(text.replace("\\", "\\\\"))


def _number(error: Exception) -> int:
    number = getattr(error, "errno", None) or (error.args[0] if error.args else 0)
    return number if isinstance(number, int) else 0


def _message(error: Exception) -> str:
    return str(getattr(error, "msg", None) or (error.args[1] if len(error.args) > 1 else error))


WAREHOUSE = MySqlWarehouse
