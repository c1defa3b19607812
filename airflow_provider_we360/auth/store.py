"""TokenStore: what tasks of one account tell each other. Three entries, so that writing one never undoes another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from airflow_provider_we360.auth.block import Block
from airflow_provider_we360.auth.lease import Lease
from airflow_provider_we360.auth.token import TokenSet

T = TypeVar("T")


class Entry(Protocol[T]):
    """Holds one value, or none. No method raises: an entry in trouble behaves like an empty one and says so in the log."""

    @property
    def name(self) -> str | None:
        """What a person may delete, e.g. ``Airflow Variable we360_token__0123456789ab``; None where there is nothing to see."""
        ...

    @property
    def refuses(self) -> bool:
        """True after a write that was refused outright: waiting will not make it show."""
        ...

    @property
    def voided(self) -> T | None:
        """What the last read found of this account, made with an earlier password."""
        ...

    def read(self) -> T | None:
        """The value; None where there is none that this account may use."""
        ...

    def write(self, value: T) -> bool:
        """Keep the value in place of any other. True if it could be read back: only then do others see it."""
        ...

    def is_empty(self) -> bool:
        """True where nothing is kept, for this account or for others."""
        ...

    def delete(self) -> None:
        """Forget whatever is kept."""
        ...


class MemoryEntry(Generic[T]):
    """Holds its value for as long as the process lives."""

    refuses = False
    voided = None

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._value: T | None = None

    def read(self) -> T | None:
        return self._value

    def write(self, value: T) -> bool:
        self._value = value
        return True

    def is_empty(self) -> bool:
        return self._value is None

    def delete(self) -> None:
        self._value = None


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The entries of one account.

    :param token: the newest token set.
    :param lease: who may ask the token endpoint now.
    :param block: a refusal that everybody must mind.
    :param is_shared: False where nobody but this process can see the token set: its session ends with it.
    """

    token: Entry[TokenSet] = field(default_factory=MemoryEntry)
    lease: Entry[Lease] = field(default_factory=MemoryEntry)
    block: Entry[Block] = field(default_factory=MemoryEntry)
    is_shared: bool = False


def clear(entry: Entry[T], is_ours: Callable[[T], bool]) -> bool:
    """Delete the entry if it still holds our value: another one that took its place stays. True if it was deleted."""
    value = entry.read()
    if value is None or not is_ours(value):
        return False
    entry.delete()
    return True
