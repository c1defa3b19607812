"""Where errors of the core become Airflow's: what must never be retried fails the task at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    BaseHook,
)

from airflow_provider_we360.errors import We360ConfigError, We360Error

_failing_kinds: dict[type[We360Error], type[We360Error]] = {}


def _failing(kind: type[We360Error]) -> type[We360Error]:
    """The same error, and an ``AirflowFailException`` as well: Airflow fails at once, a caller still catches it by our name."""
    if kind not in _failing_kinds:
        facts = {"__module__": kind.__module__, "__doc__": kind.__doc__, "__reduce__": _reduced}
        _failing_kinds[kind] = type(kind.__name__, (kind, AirflowFailException), facts)
    return _failing_kinds[kind]


def _reduced(error: We360Error) -> tuple[Any, ...]:
    """A class made at run time cannot be found by its name: it is made again where the error is unpickled."""
    return _revived, (type(error).__mro__[1], error.args, error.__dict__)


def _revived(kind: type[We360Error], args: tuple[Any, ...], facts: dict[str, Any]) -> We360Error:
    failing = _failing(kind)
    error = failing.__new__(failing, *args)
    error.__dict__.update(facts)
    return error


@contextmanager
def airflow_failures() -> Iterator[None]:
    """Inside it, an error that no retry can help leaves as ``AirflowFailException``; all others leave as they are."""
    try:
        yield
    except We360Error as error:
        if not error.never_retry or isinstance(error, AirflowFailException):
            raise
        failing = _failing(type(error))
        final = failing.__new__(failing, *error.args)
        final.__dict__.update(error.__dict__)
        raise final.with_traceback(error.__traceback__) from error.__cause__


def required_connection(conn_id: str, argument: str, what: str) -> Any:
    """The Connection of that id.

    :param argument: the argument that names it.
    :param what: what kind it must be, for the error.
    :raises We360ConfigError: where there is none.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise We360ConfigError(
            f"{argument}: there is no Connection {conn_id!r}; create {what}, or name another"
        ) from None
