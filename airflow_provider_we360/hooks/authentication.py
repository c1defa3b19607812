"""Build an HTTP client whose requests carry a token, and the manager of that token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import httpx

from airflow_provider_we360._compat import mask_secret
from airflow_provider_we360.auth.bearer import BearerAuth
from airflow_provider_we360.auth.keycloak import LARGEST_ANSWER_BYTES, longest_call_s
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.transport.client import build_http_client, send_bounded
from airflow_provider_we360.types import Clock, Sleep


def open_client(
    settings: We360Settings,
    store: TokenStore,
    *,
    transport: httpx.BaseTransport | None,
    clock: Clock,
    sleep: Sleep,
    sends_twice: bool = True,
    reload: Callable[[], tuple[We360Settings, TokenStore] | None] = lambda: None,
) -> tuple[httpx.Client, TokenManager]:
    """Return a client of this account and the manager of its token. Nothing is sent yet.

    :param store: the entries that tasks of the account share.
    :param transport: replaces the network; for tests.
    :param sends_twice: False if a person waits for the answer, see :class:`TokenManager`.
    :param reload: see :class:`TokenManager`.
    """
    http = build_http_client(settings, transport=transport)
    send_form = partial(
        send_bounded,
        deadline_s=longest_call_s(settings),
        max_bytes=LARGEST_ANSWER_BYTES,
        clock=clock,
    )

    def send(request: httpx.Request) -> httpx.Response:
        # The one bounded way to send a form: login, refresh and logout all use it.
        if not http.is_closed:
            return send_form(http, request)
        # The logout after the last request.
        with build_http_client(settings, transport=transport) as another:
            return send_form(another, request)

    manager = TokenManager(
        settings,
        store,
        send,
        clock=clock,
        sleep=sleep,
        on_token=_mask,
        sends_twice=sends_twice,
        reload=reload,
    )
    http.auth = BearerAuth(manager, settings.api_url, settings.customer_id, sleep)
    return http, manager


def _mask(token: TokenSet) -> None:
    """Hide both tokens wherever a task prints them."""
    mask_secret(token.access_token)
    if token.refresh_token:
        mask_secret(token.refresh_token)
