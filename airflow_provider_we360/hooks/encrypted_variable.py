"""The entries of an account in Airflow: Variables, or for the token the XCom of a login task.

The token is encrypted. Lease and lockout state hold no secret and stay readable without the
Fernet key, so that machines with different keys and a key rotation keep protecting the account.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from airflow_provider_we360.auth.lease import Lease
from airflow_provider_we360.auth.lockout import decode_state, encode_state
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_store import Entry, EntryUnreadable, MemoryEntry, TokenStore
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.encryption import ForeignEntry, OtherCredentials, TokenCipher
from airflow_provider_we360.types import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

VARIABLE = "Airflow Variable"
XCOM_KEY = "we360_token"
_ALONE = "this process keeps its token to itself"


class Texts(Protocol):
    """Stores texts by name: Airflow's Variables, or the XComs of a task."""

    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str, description: str) -> None: ...
    def delete(self, name: str) -> None: ...

    def confirm_absent(self, name: str) -> None:
        """Raise if the text may exist although :meth:`get` returned None."""
        ...


class Codec(NamedTuple, Generic[T]):
    """How a value becomes text and comes back. ``decode`` raises ValueError for other texts."""

    encode: Callable[[T], str]
    decode: Callable[[str], T]


class StoredEntry(Generic[T]):
    """One value under one name.

    :param kind: what a person calls the place, e.g. ``Airflow Variable``.
    :param key: its name there.
    :param description: shown next to it in the UI.
    :param logged: what was logged before: each trouble once per hook, whatever the entry.
    :param earlier_key: the name that the first edition used.
    """

    is_shared = True

    def __init__(
        self,
        texts: Texts,
        kind: str,
        key: str,
        codec: Codec[T],
        *,
        description: str,
        logged: set[str],
        clock: Clock,
        earlier_key: str | None = None,
    ) -> None:
        self.name = f"{kind} {key}"
        self._kind = kind
        self.key = key
        self._clock = clock
        self.refuses = False
        self.voided: T | None = None
        self._texts = texts
        self._description = description
        self._codec = codec
        self._logged = logged
        self._earlier_key = earlier_key if earlier_key != key else None
        self._seen: str | None = None
        self._is_foreign = False

    def read(self, *, strict: bool = False) -> T | None:
        """Return the value, or None if there is none that this Connection may use.

        :raises EntryUnreadable: only if strict: it is unknown whether there is a value.
        """
        self._is_foreign, self.voided, text = False, None, None
        self.name = f"{self._kind} {self.key}"
        try:
            text = self._texts.get(self.key)
            # The lockout of a running deployment must survive the upgrade to the new name.
            if text is None and self._earlier_key:
                text = self._texts.get(self._earlier_key)
                self._earlier_key = self._earlier_key if text else None
                self.name = f"{self._kind} {self._earlier_key or self.key}"
            if text is None and strict:
                self._texts.confirm_absent(self.key)
        except Exception as error:  # noqa: BLE001 - every store raises errors of its own
            self._log(f"cannot be read; {_ALONE}", error)
            if strict:
                raise EntryUnreadable(
                    f"{self.name} cannot be read ({type(error).__name__})", is_damaged=False
                ) from None
        self._seen = text
        return None if text is None else self._decode(text, strict=strict)

    def write(self, value: T) -> bool:
        """Write the value and read it back: a secrets backend may show another one instead."""
        # It is in use by a task with another key; replacing it would make the two log in by turns.
        if self._is_foreign:
            return False
        # Compared below: any other text than this one or ours comes from another task.
        before, text = self._seen, self._codec.encode(value)
        trouble: Exception | None = None
        try:
            self._texts.set(self.key, text, self._description)
        except Exception as error:  # noqa: BLE001 - as above
            trouble = error
        # Outside of a task Airflow 3 cannot write Variables at all, and raises ImportError.
        self.refuses = isinstance(trouble, ImportError)
        try:
            self._seen = found = self._texts.get(self.key)
        except Exception as error:  # noqa: BLE001 - as above
            self._seen, found, trouble = None, None, trouble or error
        if found == text:
            return True
        # Another task may have written in between, or (Airflow 2.11) made our write collide.
        if found is not None and found != before and self._decode(found) is not None:
            return False
        if trouble is not None:
            self._log(f"cannot be written; {_ALONE}", trouble)
        else:
            self._log(
                f"does not show what was just written; {_ALONE}. A secrets backend, or another "
                "team's Variable of that name, may be in its place"
            )
        return False

    def delete(self) -> None:
        """Remove the value."""
        try:
            # Both names, or the old one would be read again after this one is gone.
            self._texts.delete(self.key)
            if self._earlier_key:
                self._texts.delete(self._earlier_key)
        except Exception as error:  # noqa: BLE001 - as above
            self._log("cannot be deleted", error)

    def _decode(self, text: str, *, strict: bool = False) -> T | None:
        try:
            return self._codec.decode(text)
        except OtherCredentials as other:
            self._log(
                "was saved with an earlier password and is no longer used", level=logging.INFO
            )
            self.voided = other.token  # type: ignore[assignment]
        except ForeignEntry as foreign:
            # Two machines with different keys would otherwise replace each other's for ever.
            self._is_foreign = foreign.expires_at > self._clock()
            end = "it is left alone until it expires" if self._is_foreign else "it will be replaced"
            self._log(f"{foreign.reason}; {end}")
        except ValueError:
            self._log("cannot be understood; it will be replaced")
            if strict:
                raise EntryUnreadable(
                    f"{self.name} cannot be understood", is_damaged=True
                ) from None
        return None

    def _log(self, what: str, error: Exception | None = None, level: int = logging.WARNING) -> None:
        """Log each trouble once, with the class of the error: its text may hold a secret."""
        # A load reads the token hundreds of times; the same trouble is one line.
        if what not in self._logged:
            self._logged.add(what)
            kind = f" ({type(error).__name__})" if error else ""
            log.log(level, "We360 token cache: %s %s%s", self.name, what, kind)


def variable_store(
    settings: We360Settings,
    variables: Texts,
    cipher: TokenCipher | None,
    *,
    team: str | None = None,
    clock: Clock = time.time,
) -> TokenStore:
    """Return a store with the token in the Variable ``we360_token__<fingerprint>``.

    :param cipher: None: the token stays in this process.
    :param team: the Airflow team of the task; its Variables are visible to no other team.
    """
    logged: set[str] = set()
    token: Entry[TokenSet] = MemoryEntry()
    if cipher is not None:
        key = _name("token", settings.account_fingerprint, team)
        about = (
            f"We360 token cache of Connection {settings.conn_id}; delete it to force a new login"
        )
        codec = Codec(cipher.encode, cipher.decode)
        token = StoredEntry(
            variables, VARIABLE, key, codec, description=about, logged=logged, clock=clock
        )
        _warn_if_open(cipher, token.name)
    return _with_protection(token, settings, variables, team=team, logged=logged, clock=clock)


def xcom_store(
    settings: We360Settings,
    xcoms: Texts,
    login_task: str,
    variables: Texts,
    cipher: TokenCipher,
    *,
    team: str | None = None,
    clock: Clock = time.time,
) -> TokenStore:
    """Return a store with the token in an XCom of the run's login task.

    :param xcoms: the XComs of the login task.
    :param login_task: its ID, for messages.
    """
    logged: set[str] = set()
    codec = Codec(cipher.encode, cipher.decode)
    kind = f"XCom of task {login_task}:"
    token = StoredEntry(xcoms, kind, XCOM_KEY, codec, description="", logged=logged, clock=clock)
    _warn_if_open(cipher, token.name)
    return _with_protection(token, settings, variables, team=team, logged=logged, clock=clock)


def _warn_if_open(cipher: TokenCipher, name: str | None) -> None:
    if not cipher.is_encrypting:
        log.warning(
            "We360 token cache: %s is stored unencrypted, as are passwords of Connections, because "
            "[core] fernet_key is not set",
            name,
        )


def _with_protection(
    token: Entry[TokenSet],
    settings: We360Settings,
    variables: Texts,
    *,
    team: str | None,
    logged: set[str],
    clock: Clock,
) -> TokenStore:
    """Add lease and lockout. They are Variables in every mode: they protect the account."""
    login, of = settings.login_fingerprint, f"of Connection {settings.conn_id}"
    lease_about = f"A task renews the We360 token {of}; removed within minutes"
    about = f"Logins {of} brought no token; delete this to allow the next login at once"
    return TokenStore(
        token,
        StoredEntry(
            variables,
            VARIABLE,
            _name("token_lease", login, team),
            Codec(_encode_lease, _decode_lease),
            description=lease_about,
            logged=logged,
            clock=clock,
        ),
        StoredEntry(
            variables,
            VARIABLE,
            _name("token_block", login, team),
            Codec(encode_state, decode_state),
            description=about,
            logged=logged,
            clock=clock,
            earlier_key=_name("token_block", settings.account_fingerprint, None),
        ),
    )


def _name(what: str, fingerprint: str, team: str | None) -> str:
    return f"we360_{what}__{fingerprint}" + (f"__{team}" if team else "")


def _encode_lease(lease: Lease) -> str:
    facts = {"v": 2, "owner": lease.owner, "until": lease.until, "lasts_s": lease.lasts_s}
    return json.dumps(facts)


def _decode_lease(text: str) -> Lease:
    try:
        facts = json.loads(text)
        return Lease(str(facts["owner"]), float(facts["until"]), float(facts["lasts_s"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError("the text is not a lease") from None
