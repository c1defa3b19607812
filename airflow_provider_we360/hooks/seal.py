"""Seal: what is kept in Airflow is encrypted with Airflow's own Fernet key, and bound to the credentials it came of."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any, Protocol

from airflow_provider_we360.connection import We360Settings

VERSION = 1
ROUNDS = 200_000


class Fernet(Protocol):
    """Airflow's Fernet."""

    def encrypt(self, msg: bytes) -> bytes: ...
    def decrypt(self, msg: bytes) -> bytes: ...


class Unreadable(Exception):
    """The text does not open: written by hand, or under another Fernet key."""


class OtherVersion(Exception):
    """Another version of this provider wrote it. It is left alone."""


class OtherCredentials(Exception):
    """It was made with another password, e-mail, Customer ID or host.

    :param facts: what it holds, where only the password differs; else empty.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.facts = facts


class Seal:
    """Closes and opens the texts of one account. Readable from outside are only version and expiry.

    :param settings: the account. A digest of its credentials is put inside (PBKDF2-SHA256, 200,000 rounds, random salt).
    :param fernet: Airflow's Fernet: all keys of ``[core] fernet_key`` open, the first one closes.
    :param rounds: of the digest; fewer only in tests.
    """

    def __init__(self, settings: We360Settings, fernet: Fernet, *, rounds: int = ROUNDS) -> None:
        self._host = str(settings.api_url)
        self._credentials = "\0".join(
            (
                settings.login.lower(),
                settings.password,
                settings.customer_id,
                str(settings.api_url),
                settings.issuer,
            )
        ).encode()
        self._fernet = fernet
        self._rounds = rounds
        self._digests: dict[bytes, str] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @property
    def hides(self) -> bool:
        """False where Airflow has no Fernet key, and keeps passwords of Connections in clear as well."""
        return bool(getattr(self._fernet, "is_encrypted", True))

    def close(self, facts: Mapping[str, Any], *, expires_at: float, is_bound: bool) -> str:
        """Facts as one text.

        :param is_bound: only the same credentials open it again.
        """
        inner = dict(facts)
        if is_bound:
            salt = os.urandom(16)
            inner |= {"salt": salt.hex(), "digest": self.mark(salt), "host": self._host}
        sealed = self._fernet.encrypt(json.dumps(inner).encode()).decode()
        return json.dumps({"v": VERSION, "expires_at": int(expires_at), "sealed": sealed})

    def open(self, text: str, *, is_bound: bool) -> dict[str, Any]:
        """The facts in a text.

        :raises Unreadable: see there.
        :raises OtherVersion: see there.
        :raises OtherCredentials: see there.
        """
        version, sealed = _parts(text)
        if version != VERSION:
            raise OtherVersion
        try:
            facts: dict[str, Any] = json.loads(self._fernet.decrypt(sealed.encode()))
            is_ours = not is_bound or hmac.compare_digest(
                str(facts["digest"]), self.mark(bytes.fromhex(facts["salt"]))
            )
        except Exception:  # noqa: BLE001 - whatever goes wrong, it does not open; the error's text could hold a token
            raise Unreadable from None
        if not is_ours:
            raise OtherCredentials(facts if facts.get("host") == self._host else {})
        return facts

    def mark(self, salt: bytes) -> str:
        """The digest of the credentials under a salt: says whose something is, and nothing about them."""
        if salt not in self._digests:
            self._digests[salt] = hashlib.pbkdf2_hmac(
                "sha256", self._credentials, salt, self._rounds
            ).hex()
        return self._digests[salt]


def _parts(text: str) -> tuple[object, str]:
    try:
        outer = json.loads(text)
        return outer["v"], str(outer.get("sealed"))
    except Exception:  # noqa: BLE001 - as above
        raise Unreadable from None
