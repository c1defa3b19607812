"""TokenCipher: encrypts a token set with Airflow's Fernet key and binds it to its credentials."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings

VERSION = 1


class Fernet(Protocol):
    """Airflow's Fernet. All keys of ``[core] fernet_key`` decrypt, the first one encrypts."""

    def encrypt(self, msg: bytes) -> bytes: ...
    def decrypt(self, msg: bytes) -> bytes: ...


class ForeignEntry(Exception):
    """The text was written with another Fernet key or by another version of this provider.

    :param reason: which, in words that continue the name of the entry.
    :param expires_at: until when its writer may use it; 0 if it does not say.
    """

    def __init__(self, reason: str, expires_at: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expires_at = expires_at


class OtherCredentials(Exception):
    """The text was written with an earlier password.

    :param token: what it holds, so that its session can be ended.
    """

    def __init__(self, token: TokenSet) -> None:
        super().__init__()
        self.token = token


class TokenCipher:
    """Encrypts and decrypts the token sets of one account. Only version and expiry stay readable.

    :param settings: the account. A keyed digest of its credentials is encrypted with the token.
        The host is not part of it: a token serves every API host of its login server.
    """

    def __init__(self, settings: We360Settings, fernet: Fernet) -> None:
        account = (settings.login_name, settings.customer_id, settings.password)
        self._credentials = "\0".join(account).encode()
        self._fernet = fernet

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @property
    def is_encrypting(self) -> bool:
        """False if Airflow has no Fernet key. Connections are stored as text then, too."""
        return bool(getattr(self._fernet, "is_encrypted", True))

    def encode(self, token: TokenSet) -> str:
        """Return the token set as text."""
        # Fresh for each entry: equal credentials must not be recognisable by an equal digest.
        salt = os.urandom(16)
        # HMAC, not a slow hash: the digest is encrypted with the key that opens the password.
        inner = asdict(token) | {"salt": salt.hex(), "hmac": self._digest(salt)}
        encrypted = self._fernet.encrypt(json.dumps(inner).encode()).decode()
        # The expiry is readable, so that a process with another key knows how long to leave the
        # entry alone.
        return json.dumps({"v": VERSION, "expires_at": int(token.expires_at), "sealed": encrypted})

    def decode(self, text: str) -> TokenSet:
        """Return the token set in the text.

        :raises ForeignEntry: another key or version wrote it.
        :raises OtherCredentials: an earlier password wrote it.
        :raises ValueError: it has no known form.
        """
        try:
            outer = json.loads(text)
            version, expires_at = outer["v"], float(outer.get("expires_at") or 0.0)
        except Exception:  # noqa: BLE001 - the error's text could hold a token
            raise ValueError("no known form") from None
        if version != VERSION:
            raise ForeignEntry("was written by another version of this provider", expires_at)
        try:
            facts: dict[str, Any] = json.loads(self._fernet.decrypt(str(outer["sealed"]).encode()))
        except Exception:  # noqa: BLE001 - as above
            raise ForeignEntry("was encrypted with another Fernet key", expires_at) from None
        try:
            token, salt = _token_of(facts), bytes.fromhex(facts["salt"])
        except (KeyError, TypeError, ValueError):
            raise ValueError("no known form") from None
        # The first edition wrote another digest. Its session is ended after the next login.
        if not hmac.compare_digest(str(facts.get("hmac")), self._digest(salt)):
            raise OtherCredentials(token)
        return token

    def _digest(self, salt: bytes) -> str:
        return hmac.new(salt, self._credentials, hashlib.sha256).hexdigest()


def _token_of(facts: Mapping[str, Any]) -> TokenSet:
    return TokenSet(
        access_token=str(facts["access_token"]),
        refresh_token=facts["refresh_token"],
        obtained_at=float(facts["obtained_at"]),
        expires_at=float(facts["expires_at"]),
        rotates=facts["rotates"],
        session=facts["session"],
        generation=int(facts["generation"]),
        doubtful=bool(facts["doubtful"]),
    )
