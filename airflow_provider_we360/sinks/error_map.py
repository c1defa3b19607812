"""Error maps: what the errors of one database's driver mean for a load, as data."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_provider_we360.errors import SinkBusy, SinkError, We360Error
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.sinks import error_messages
from airflow_provider_we360.sinks.base import LoadPlan
from airflow_provider_we360.sinks.session import (
    WITHOUT_ROWS,
    DbSession,
    DriverErrors,
    DriverFailure,
    LoadStep,
)
from airflow_provider_we360.sinks.target import TableName, Target

T = TypeVar("T")

NOTHING_CHANGED = "nothing was changed"


class ErrorKind(enum.Enum):
    """Kinds of errors that mean the same on every database."""

    LOST = enum.auto()
    BUSY = enum.auto()
    DENIED = enum.auto()
    NO_VALUE = enum.auto()
    KEY_TAKEN = enum.auto()
    CONSTRAINT = enum.auto()
    DOES_NOT_FIT = enum.auto()


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """What a driver reports of an error.

    :param code: SQLSTATE, or the database's own number or name; empty if the server reported none.
    :param text: the server's words.
    :param column: the column that takes no NULL.
    :param constraint: the name of the constraint that refused; names are no row values.
    """

    code: str = ""
    text: str = ""
    column: str | None = None
    constraint: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A driver's failure, with what a message needs.

    :param session: None if there is no connection.
    """

    error: Exception
    step: LoadStep
    statement: str
    facts: DriverFacts
    table: TableName
    target: Target
    plan: LoadPlan
    session: DbSession | None


def _no_error(failure: Failure) -> We360Error | None:  # noqa: ARG001 - a default
    return None


def _never(error: Exception) -> bool:  # noqa: ARG001 - a default
    return False


@dataclass(frozen=True, slots=True)
class ErrorMap:
    """The errors of one database.

    :param database: its name, for messages.
    :param classes: root classes of the driver's exceptions.
    :param read: reads what the driver reports.
    :param kinds: kind of an error by its code, or by the first characters of it; the longest wins.
    :param hints: what to do, likewise by code.
    :param names_only: codes, likewise, whose text names objects of the database only. All other
        texts may quote a row or a trigger's message, and are not shown.
    :param connect_hint: what to check if there is no connection.
    :param grants: the statements that give the load's user the missing privileges.
    :param is_already_there: whether another load created the table or column first.
    :param is_conflict: whether the database took the transaction back because of another one, so
        that it may run again.
    :param explain_first: errors with a text of their own; None: as the map says.
    :param code_label: the word before a code in messages.
    """

    database: str
    classes: DriverErrors
    read: Callable[[Exception], DriverFacts]
    connect_hint: str
    is_already_there: Callable[[Exception], bool]
    grants: Callable[[Failure], str] = lambda failure: ""
    is_conflict: Callable[[Exception], bool] = _never
    kinds: Mapping[str, ErrorKind] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    names_only: tuple[str, ...] = ()
    explain_first: Callable[[Failure], We360Error | None] = _no_error
    code_label: str = "SQLSTATE"

    def explain(
        self, failure: DriverFailure, target: Target, plan: LoadPlan, session: DbSession | None
    ) -> We360Error:
        """Return the error of this provider, with the driver's class and code as attributes.

        The driver's exception becomes its cause only if its text cannot hold a row or a secret.
        """
        step = failure.step or (LoadStep.CONNECT if session is None else LoadStep.CHANGE)
        facts = self.read(failure.error)
        known = Failure(
            failure.error,
            step,
            failure.statement,
            facts,
            failure.table or target.table,
            target,
            plan,
            session,
        )
        error = self.explain_first(known) or self._explain(known)
        if isinstance(error, SinkError):
            error.driver_error = type(failure.error).__name__
            error.sqlstate = facts.code if self.code_label == "SQLSTATE" and facts.code else None
            error.errno = int(facts.code) if facts.code.isdecimal() else None
        error.__cause__ = failure.error if step in WITHOUT_ROWS else None
        error.__suppress_context__ = True
        return error

    def _explain(self, failure: Failure) -> We360Error:
        if failure.step is LoadStep.CONNECT:
            return SinkError(
                f"sql_conn_id: no connection to {self.database} through "
                f"{failure.target.conn_id!r} ({foreign_text(failure.facts.text)}); "
                f"{self.connect_hint}"
            )
        kind = _longest(self.kinds, failure.facts.code)
        if kind is not None:
            return self.explain_kind(kind, failure)
        return self.refused(failure)

    def explain_kind(self, kind: ErrorKind, failure: Failure) -> We360Error:
        """Return the error that all databases share for this kind."""
        table, facts = failure.table, failure.facts
        code = f"{self.code_label} {facts.code}"
        match kind:
            case ErrorKind.LOST:
                at_commit = failure.step is LoadStep.COMMIT
                return error_messages.connection_lost(table, self.database, at_commit=at_commit)
            case ErrorKind.BUSY:
                return SinkBusy(
                    f"table: another session held or changed {table} ({code}); {NOTHING_CHANGED}. "
                    "Run the task again"
                )
            case ErrorKind.DENIED:
                return SinkError(
                    f"table: the user lacks a privilege that a load into {table} needs ({code}); "
                    f"{NOTHING_CHANGED}. {self.grants(failure)}"
                )
            case ErrorKind.NO_VALUE:
                return error_messages.missing_value(table, facts.column)
            case ErrorKind.KEY_TAKEN:
                return error_messages.key_taken(table, failure.plan.write_mode)
            case ErrorKind.CONSTRAINT:
                if facts.constraint or not self._remedy(facts.code):
                    return error_messages.constraint_failed(table, facts.constraint)
                what = f"{table} refuses the rows"
            case _:
                what = f"a value does not fit the type of its column in {table}"
        remedy = self._remedy(facts.code) or "Widen the column, or leave it out of columns"
        return SinkError(f"table: {what} ({code}); {NOTHING_CHANGED}. {remedy}")

    def _remedy(self, code: str) -> str:
        hint = _longest(self.hints, code) or ""
        return hint[:1].upper() + hint[1:]

    def refused(self, failure: Failure, *, shows_text: bool | None = None) -> SinkError:
        """Return the error for all codes without a kind.

        :param shows_text: whether the server's words are shown; None: by ``names_only``.
        """
        facts = failure.facts
        if shows_text is None:
            shows_text = any(facts.code.startswith(code) for code in self.names_only)
        text = f": {foreign_text(facts.text)}" if shows_text and facts.text else ""
        name = type(failure.error).__name__
        code = f"{self.code_label} {facts.code}, {name}" if facts.code else name
        remedy = self._remedy(facts.code)
        return SinkError(
            f"{self.database} refused the load into {failure.table} while {failure.step} "
            f"({code}{text}); {NOTHING_CHANGED}{'. ' if remedy else ''}{remedy}"
        )


def _longest(table: Mapping[str, T], code: str) -> T | None:
    """Return the value of the longest key that the code starts with."""
    for length in range(len(code), -1 if not code else 0, -1):
        if code[:length] in table:
            return table[code[:length]]
    return None
