"""Session: an HTTP client whose requests carry a token, and the manager of that token, which sends through the same client."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import httpx

from airflow_provider_we360.auth.bearer import BearerAuth
from airflow_provider_we360.auth.endpoint import DEADLINE_S, LARGEST_ANSWER_BYTES
from airflow_provider_we360.auth.manager import TokenManager
from airflow_provider_we360.auth.store import TokenStore
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.transport.client import DEADLINE_FACTOR, build_http_client, send_bounded
from airflow_provider_we360.types import Clock, Sleep


@dataclass(frozen=True, slots=True)
class Session:
    """A client and the manager of its token."""

    http: httpx.Client
    manager: TokenManager


def open_session(
    settings: We360Settings,
    store: TokenStore,
    *,
    transport: httpx.BaseTransport | None,
    clock: Clock,
    sleep: Sleep,
    asks_twice: bool = True,
) -> Session:
    """A session of this account. Nothing is sent yet.

    :param store: where tasks of the account tell each other of the token.
    :param transport: replaces the network; for tests.
    :param asks_twice: False where a person waits for the answer; see :class:`TokenManager`.
    """
    http = build_http_client(settings, transport=transport)

    def send(request: httpx.Request) -> httpx.Response:
        deadline_s = min(settings.timeout_s * DEADLINE_FACTOR, DEADLINE_S)
        sent_by = partial(
            send_bounded,
            request=request,
            deadline_s=deadline_s,
            max_bytes=LARGEST_ANSWER_BYTES,
            clock=clock,
        )
        if not http.is_closed:
            return sent_by(http)
        with build_http_client(
            settings, transport=transport
        ) as another:  # a logout after the last request
            return sent_by(another)

    manager = TokenManager(
        settings, store, send, clock=clock, sleep=sleep, on_token=_mask, asks_twice=asks_twice
    )
    http.auth = BearerAuth(manager, settings.api_url, settings.customer_id)
    return Session(http, manager)


def _mask(token: TokenSet) -> None:
    """Airflow blanks both tokens wherever a task prints them."""
    from airflow_provider_we360._compat import mask_secret

    mask_secret(token.access_token)
    if token.refresh_token:
        mask_secret(token.refresh_token)
