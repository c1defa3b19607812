"""TokenStore: where the newest token set waits for the next task."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_we360.auth.token import TokenSet


class TokenStore(Protocol):
    """Keeps one token set. No method raises: a store in trouble behaves like an empty one and says so in the log."""

    def load(self) -> TokenSet | None:
        """The stored token set, or None."""
        ...

    def save(self, token: TokenSet) -> None:
        """Keep this token set in place of any other."""
        ...

    def clear(self, token: TokenSet) -> None:
        """Forget this token set; another one that took its place stays."""
        ...


class MemoryTokenStore:
    """Keeps the token set for as long as the process lives."""

    def __init__(self) -> None:
        self._token: TokenSet | None = None

    def load(self) -> TokenSet | None:
        return self._token

    def save(self, token: TokenSet) -> None:
        self._token = token

    def clear(self, token: TokenSet) -> None:
        if self._token is not None and self._token.access_token == token.access_token:
            self._token = None
