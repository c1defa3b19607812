"""VariableTokenStore: the token set, sealed, in an Airflow Variable that all tasks of one account share."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from typing import Any, Protocol

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings

log = logging.getLogger(__name__)

VERSION = 1
_ROUNDS = 200_000


class Variables(Protocol):
    """The three things done with Airflow Variables."""

    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str, description: str) -> None: ...
    def delete(self, name: str) -> None: ...


class Fernet(Protocol):
    """Airflow's Fernet."""

    def encrypt(self, msg: bytes) -> bytes: ...
    def decrypt(self, msg: bytes) -> bytes: ...


class VariableTokenStore:
    """Keeps the token set in the Variable ``we360_token__<fingerprint of the account>``.

    Readable are only a version and the expiry; the rest is encrypted with Airflow's Fernet key. Inside the seal stands a
    digest of the credentials, so that a changed password, e-mail, Customer ID or host voids the entry. Whatever does not
    open counts as absent. A store in trouble is said once; the process then goes on with what it has in memory.

    :param settings: the account.
    :param variables: Airflow's Variables.
    :param fernet: Airflow's Fernet.
    """

    def __init__(self, settings: We360Settings, variables: Variables, fernet: Fernet) -> None:
        self.name = f"we360_token__{settings.account_fingerprint}"
        self._description = f"We360 token cache of Connection {settings.conn_id}; delete it to force a new login"
        self._credentials = "\0".join(
            (settings.login, settings.password, settings.customer_id, str(settings.api_url), settings.issuer)
        ).encode()
        self._variables = variables
        self._fernet = fernet
        self._digests: dict[bytes, str] = {}
        self._said: set[str] = set()

    def load(self) -> TokenSet | None:
        """The stored token set; None where there is none that this Connection may use."""
        text = self._read()
        return None if text is None else self._open(text)

    def save(self, token: TokenSet) -> None:
        """Write the token set and read it back: a secrets backend that shadows the Variable would keep an old one."""
        if not getattr(self._fernet, "is_encrypted", True):
            self._say("lies unencrypted, as do all Connections: Airflow has no [core] fernet_key")
        sealed = self._seal(token)
        try:
            self._variables.set(self.name, sealed, self._description)
        except Exception as error:  # noqa: BLE001 - any store trouble means: no cache
            self._say("cannot be written; every process logs in on its own", error)
            return
        if self._read() != sealed:
            self._say("holds another value than the one just written: a secrets backend shadows it, or a sibling was faster")

    def clear(self, token: TokenSet) -> None:
        """Delete the Variable, if it still holds this token set."""
        stored = self.load()
        if stored is None or stored.access_token != token.access_token:
            return
        try:
            self._variables.delete(self.name)
        except Exception as error:  # noqa: BLE001 - as above
            self._say("cannot be deleted", error)

    def _read(self) -> str | None:
        try:
            return self._variables.get(self.name)
        except Exception as error:  # noqa: BLE001 - as above
            self._say("cannot be read; every process logs in on its own", error)
            return None

    def _seal(self, token: TokenSet) -> str:
        salt = os.urandom(16)
        inner = {
            "access_token": token.access_token,
            "refresh_token": token.refresh_token,
            "obtained_at": token.obtained_at,
            "expires_at": token.expires_at,
            "rotates": token.rotates,
            "salt": salt.hex(),
            "digest": self._digest(salt),
        }
        sealed = self._fernet.encrypt(json.dumps(inner).encode()).decode()
        return json.dumps({"v": VERSION, "expires_at": int(token.expires_at), "sealed": sealed})

    def _open(self, text: str) -> TokenSet | None:
        try:
            outer = json.loads(text)
            if outer["v"] != VERSION:
                self._say("was written by another version of this provider; it is left alone")
                return None
            inner: dict[str, Any] = json.loads(self._fernet.decrypt(outer["sealed"].encode()))
            token = TokenSet(
                access_token=str(inner["access_token"]),
                refresh_token=inner["refresh_token"],
                obtained_at=float(inner["obtained_at"]),
                expires_at=float(inner["expires_at"]),
                rotates=inner["rotates"],
            )
            same = hmac.compare_digest(str(inner["digest"]), self._digest(bytes.fromhex(inner["salt"])))
        except Exception:  # noqa: BLE001 - whatever does not open is absent; the error's text could hold the token
            self._say("does not open: written by hand, or with another Fernet key; a new login replaces it")
            return None
        if not same:
            log.info("Variable %s belongs to other credentials of this account; logging in anew", self.name)
            return None
        return token

    def _digest(self, salt: bytes) -> str:
        if salt not in self._digests:
            self._digests[salt] = hashlib.pbkdf2_hmac("sha256", self._credentials, salt, _ROUNDS).hex()
        return self._digests[salt]

    def _say(self, what: str, error: Exception | None = None) -> None:
        """Once per process and matter. Of the error only its kind: its text may hold what was written."""
        if what not in self._said:
            self._said.add(what)
            log.warning("We360 token cache: Variable %s %s%s", self.name, what, f" ({type(error).__name__})" if error else "")
