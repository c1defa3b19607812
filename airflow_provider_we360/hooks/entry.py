"""SealedEntry: one entry of a token store, in whatever Airflow keeps texts in. Never a reason for a task to fail."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from airflow_provider_we360.auth.block import Block
from airflow_provider_we360.auth.lease import Lease
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.hooks.seal import OtherCredentials, OtherVersion, Seal, Unreadable

log = logging.getLogger(__name__)

T = TypeVar("T", bound=TokenSet | Lease | Block)

_ALONE = "this process keeps its token to itself"


class Texts(Protocol):
    """Keeps texts by name: Airflow's Variables, or the XComs of a task."""

    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str, description: str) -> None: ...
    def delete(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a value becomes facts and comes back.

    :param make: the value from its facts; raises where they do not fit.
    :param expires_at: when the value ends, readable by everybody.
    :param is_bound: void as soon as the credentials change.
    """

    make: Callable[[Mapping[str, Any]], T]
    expires_at: Callable[[T], float]
    is_bound: bool = True


TOKEN_FORM: Form[TokenSet] = Form(
    lambda facts: TokenSet(
        access_token=str(facts["access_token"]),
        refresh_token=facts["refresh_token"],
        obtained_at=float(facts["obtained_at"]),
        expires_at=float(facts["expires_at"]),
        rotates=facts["rotates"],
        session=facts["session"],
        generation=int(facts["generation"]),
        doubtful=bool(facts["doubtful"]),
    ),
    lambda token: token.expires_at,
)
LEASE_FORM: Form[Lease] = Form(
    lambda facts: Lease(owner=str(facts["owner"]), until=float(facts["until"])),
    lambda lease: lease.until,
    is_bound=False,
)
BLOCK_FORM: Form[Block] = Form(
    lambda facts: Block(
        kind=facts["kind"],
        refused=int(facts["refused"]),
        until=float(facts["until"]),
        reason=str(facts["reason"]),
    ),
    lambda block: block.until,
    is_bound=False,
)
_MOST_BLOCKS = 16


@dataclass(slots=True)
class Complaints:
    """What was said already: once per hook and matter, however many entries have the same trouble."""

    _said: set[str] = field(default_factory=set)

    def say(
        self, entry: str, what: str, error: Exception | None = None, level: int = logging.WARNING
    ) -> None:
        """Of the error only its kind: its text may hold what was written."""
        if what not in self._said:
            self._said.add(what)
            log.log(
                level,
                "We360 token cache: %s %s%s",
                entry,
                what,
                f" ({type(error).__name__})" if error else "",
            )


class SealedEntry(Generic[T]):
    """One value, sealed, under one name.

    :param kind: what a person calls the place, e.g. ``Airflow Variable``.
    :param key: its name there.
    :param description: what a person reads beside it.
    """

    def __init__(
        self,
        texts: Texts,
        kind: str,
        key: str,
        description: str,
        *,
        form: Form[T],
        seal: Seal,
        complaints: Complaints,
    ) -> None:
        self.name = f"{kind} {key}"
        self.key = key
        self.refuses = False
        self.voided: T | None = None
        self._texts = texts
        self._description = description
        self._form = form
        self._seal = seal
        self._complaints = complaints
        self._seen: str | None = None
        self._is_foreign = False

    def read(self) -> T | None:
        """The value; None where there is none that this Connection may use."""
        text = self._read()
        self._seen = text
        self._is_foreign = False
        self.voided = None
        return None if text is None else self._opened(text)

    def write(self, value: T) -> bool:
        """Write the value and read it back: a secrets backend that shadows the entry would keep an old one."""
        if self._is_foreign:
            return False
        if not self._seal.hides:
            self._say("lies unencrypted, as do all Connections: Airflow has no [core] fernet_key")
        before = self._seen
        sealed = self._packed(value)
        trouble: Exception | None = None
        try:
            self._texts.set(self.key, sealed, self._description)
        except Exception as error:  # noqa: BLE001 - any trouble of the store means: not kept
            trouble = error
        # Outside of a task Airflow 3 knows no way to write at all.
        self.refuses = isinstance(trouble, ImportError)
        there = self._read()
        self._seen = there
        if there == sealed:
            return True
        is_siblings = there is not None and there != before and self._opened(there) is not None
        if is_siblings:  # who came between, or made our write collide (Airflow 2.11), has won
            return False
        if trouble is not None:
            self._say(f"cannot be written; {_ALONE}", trouble)
        else:
            self._say(
                f"does not hold what was just written: a secrets backend shadows it; {_ALONE}"
            )
        return False

    def is_empty(self) -> bool:
        """True where nothing stands there."""
        return self._read() is None

    def delete(self) -> None:
        """Delete the entry."""
        try:
            self._texts.delete(self.key)
        except Exception as error:  # noqa: BLE001 - as above
            self._say("cannot be deleted", error)

    def _read(self) -> str | None:
        try:
            return self._texts.get(self.key)
        except Exception as error:  # noqa: BLE001 - as above
            self._say(f"cannot be read; {_ALONE}", error)
            return None

    def _packed(self, value: T) -> str:
        return self._seal.close(
            asdict(value), expires_at=self._form.expires_at(value), is_bound=self._form.is_bound
        )

    def _unpacked(self, facts: Mapping[str, Any]) -> T | None:
        return self._form.make(facts)

    def _opened(self, text: str) -> T | None:
        try:
            return self._unpacked(self._seal.open(text, is_bound=self._form.is_bound))
        except OtherVersion:
            self._is_foreign = True
            self._say("was written by another version of this provider; it is left alone")
        except OtherCredentials as other:
            self._say(
                "belongs to other credentials of this account; it counts no more",
                level=logging.INFO,
            )
            self.voided = self._voided(other.facts)
        except (Unreadable, KeyError, TypeError, ValueError):
            self._say(
                "does not open: written by hand, or with another Fernet key; it will be replaced"
            )
        return None

    def _voided(self, facts: Mapping[str, Any]) -> T | None:
        try:
            return self._form.make(facts) if facts else None
        except (KeyError, TypeError, ValueError):
            return None

    def _say(self, what: str, error: Exception | None = None, level: int = logging.WARNING) -> None:
        self._complaints.say(self.name, what, error, level)


class SealedBlocks(SealedEntry[Block]):
    """The blocks of one account, by credentials: Connections with two wrong passwords must not lift each other's block.

    ``read`` gives the block of our own credentials. ``delete`` deletes all: a login that succeeded clears the account.
    """

    def _packed(self, value: Block) -> str:
        facts = self._facts()
        salt, blocks = (
            str(facts.get("salt") or os.urandom(16).hex()),
            dict(facts.get("blocks") or {}),
        )
        blocks[self._seal.mark(bytes.fromhex(salt))] = asdict(value)
        newest = dict(
            sorted(blocks.items(), key=lambda item: float(item[1]["until"]))[-_MOST_BLOCKS:]
        )
        ends = max(float(block["until"]) for block in newest.values())
        return self._seal.close({"salt": salt, "blocks": newest}, expires_at=ends, is_bound=False)

    def _unpacked(self, facts: Mapping[str, Any]) -> Block | None:
        ours = facts["blocks"].get(self._seal.mark(bytes.fromhex(facts["salt"])))
        return None if ours is None else self._form.make(ours)

    def _facts(self) -> Mapping[str, Any]:
        text = self._read()
        try:
            return {} if text is None else self._seal.open(text, is_bound=False)
        except (Unreadable, OtherVersion):
            return {}
