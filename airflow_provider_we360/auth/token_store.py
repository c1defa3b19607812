"""TokenStore: the entries that tasks of one account share.

There are three entries, so that writing one never undoes another: a lease must not overwrite a
token that another task has just saved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from airflow_provider_we360.auth.lease import Lease
    from airflow_provider_we360.auth.lockout import LockoutState
    from airflow_provider_we360.auth.token import TokenSet

T = TypeVar("T")


class EntryUnreadable(Exception):
    """An entry may exist, but its value cannot be read.

    :param is_damaged: True if text was read that has no known form; False if the store did not
        answer, which can pass.
    """

    def __init__(self, message: str, *, is_damaged: bool) -> None:
        super().__init__(message)
        self.is_damaged = is_damaged


class Entry(Protocol[T]):
    """One shared value, or none. A failing store is logged and treated as empty, unless strict."""

    @property
    def name(self) -> str | None:
        """What to delete, e.g. ``Airflow Variable we360_token__0123456789ab``; None if nothing."""
        ...

    @property
    def refuses(self) -> bool:
        """True after a write in a process that can never write: waiting does not help."""
        ...

    @property
    def is_shared(self) -> bool:
        """True if other processes can read what this entry holds."""
        ...

    @property
    def voided(self) -> T | None:
        """The value that the last read found, saved with an earlier password."""
        ...

    def read(self, *, strict: bool = False) -> T | None:
        """Return the value, or None if there is none that this Connection may use.

        :raises EntryUnreadable: only if strict: it is unknown whether there is a value.
        """
        ...

    def write(self, value: T) -> bool:
        """Replace the value. Return whether it was read back: only then can others see it."""
        ...

    def delete(self) -> None:
        """Remove the value."""
        ...


class MemoryEntry(Generic[T]):
    """A value that lives as long as the process."""

    # A message then names nothing to delete.
    name = None
    refuses = False
    is_shared = False
    voided = None

    def __init__(self) -> None:
        self._value: T | None = None

    def read(self, *, strict: bool = False) -> T | None:  # noqa: ARG002 - memory never fails
        return self._value

    def write(self, value: T) -> bool:
        self._value = value
        return True

    def delete(self) -> None:
        self._value = None


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The entries of one account.

    :param token: the newest token set.
    :param lease: which task may call the token endpoint.
    :param lockout: password grants that brought no token.
    """

    token: Entry[TokenSet] = field(default_factory=MemoryEntry)
    lease: Entry[Lease] = field(default_factory=MemoryEntry)
    lockout: Entry[LockoutState] = field(default_factory=MemoryEntry)
