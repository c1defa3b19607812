"""Database sessions: the statements of one load, on one connection.

A session wraps whatever its driver raises in :class:`DriverFailure`, which carries the step of the
load. The loader decides what a failure means; no driver is imported for that.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.sinks.target import TableName, TableRef, Target

if TYPE_CHECKING:
    from airflow_provider_we360.sinks.dialect import Dialect

DriverErrors = Callable[[], tuple[type[Exception], ...]]
"""Returns the root classes of the driver's exceptions, for those drivers that are loaded."""


class LoadStep(enum.StrEnum):
    """Steps of a load, as error messages need to know them."""

    CONNECT = "connecting"
    PREPARE = "preparing the table"
    STAGE = "staging"
    COPY = "copying staged files"
    LOCK = "locking the table"
    CHANGE = "changing rows"
    COMMIT = "committing"


WITHOUT_ROWS = (LoadStep.PREPARE, LoadStep.LOCK)
"""Steps whose statements carry no row: only there may a driver's exception become the cause of
ours, as its text can quote what the statement carried. That of CONNECT can quote the password."""


class DriverFailure(Exception):
    """An exception of a driver, with the step at which it was raised.

    :param statement: first word of the statement; empty if there is none.
    """

    def __init__(self, error: Exception, statement: str = "") -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.statement = statement
        self.step: LoadStep | None = None
        self.table: TableName | None = None


@contextmanager
def at(step: LoadStep, table: TableName | None = None) -> Iterator[None]:
    """Note the step, and the table, on a driver's failure unless an inner block has noted them."""
    try:
        yield
    except DriverFailure as failure:
        failure.step = failure.step or step
        failure.table = failure.table or table
        raise


@contextmanager
def driver_calls(errors: DriverErrors, statement: str = "") -> Iterator[None]:
    """Wrap exceptions of the driver in :class:`DriverFailure`."""
    try:
        yield
    except Exception as error:
        if isinstance(error, errors()):
            # Not chained: the text of a driver's error can quote rows or the password.
            raise DriverFailure(error, statement) from None
        raise


class DbSession:
    """One database session of one load, over any DB-API driver. One thread uses it.

    :param cursor: the cursor of all statements, in autocommit mode: transactions are begun and
        ended in SQL.
    """

    def __init__(
        self, target: Target, connection: Any, cursor: Any, dialect: Dialect, errors: DriverErrors
    ) -> None:
        self.target = target
        self.connection = connection
        self.cursor = cursor
        self.dialect = dialect
        self.errors = errors
        self.database = ""
        self.schema = ""
        self.user = ""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Execute a statement and return the number of changed rows."""
        with driver_calls(self.errors, sql.partition(" ")[0]):
            # None and not an empty list: with a list, some drivers look for marks in literals that
            # contain %.
            self.cursor.execute(sql, list(parameters) or None)
            return int(self.cursor.rowcount or 0)

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Execute a query and return all its rows."""
        with driver_calls(self.errors, sql.partition(" ")[0]):
            self.cursor.execute(sql, list(parameters) or None)
            return [tuple(row) for row in self.cursor.fetchall()]

    def fetch_one(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...]:
        """Execute a query and return its first row."""
        return self.fetch(sql, parameters)[0]

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute("BEGIN")

    def commit(self) -> None:
        """Commit the transaction."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Roll the transaction back."""
        self.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction: commit at its end, roll back on any exception."""
        self.begin()
        try:
            yield
            with at(LoadStep.COMMIT):
                self.commit()
        except BaseException:
            # The connection may be gone, and the first error is the one that matters.
            with suppress(Exception):
                self.rollback()
            raise

    def resolve(self, name: TableName) -> TableRef:
        """Return the table that this name means in this session.

        :raises We360ConfigError: if the session does not reach that table.
        """
        parts = tuple(map(self.dialect.fold, name.parts))
        return self.table_ref(name, parts)

    def table_ref(self, name: TableName, parts: Sequence[str]) -> TableRef:
        """Return the reference to a table of these parts, quoted."""
        quoted = ".".join(map(self.dialect.quote, parts))
        return TableRef(name, tuple(map(self.dialect.fold, parts)), quoted)

    def new_staging(self) -> str:
        """Return a quoted name for a staging table that no other load uses."""
        return self.dialect.quote(f"_we360_stg_{secrets.token_hex(6)}")

    def cancel(self) -> None:
        """Cancel the running statement, if the driver can. Another thread may call this."""
        # DB-API has no cancel; these are the ways of DuckDB and SQLite, psycopg, and ADBC.
        for owner, name in (
            (self.connection, "interrupt"),
            (self.connection, "cancel"),
            (self.cursor, "adbc_cancel"),
        ):
            if callable(cancel := getattr(owner, name, None)):
                with suppress(Exception):
                    cancel()
                return
