"""BearerAuth: puts token and tenant on every request to the API, and on no other."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from airflow_provider_we360.auth.manager import TokenManager
from airflow_provider_we360.transport.client import discard_body, require_origin


class BearerAuth(httpx.Auth):
    """``Authorization: Bearer`` and ``X-Tenant-Id`` for one origin. A 401 costs one renewed token and one replay.

    The token is asked for at each request, never kept: a long extract outlives many tokens. httpx calls
    ``sync_auth_flow`` from the thread that sends, so the manager's lock is enough.
    """

    def __init__(self, manager: TokenManager, api_url: httpx.URL, customer_id: str) -> None:
        self._manager = manager
        self._api_url = api_url
        self._customer_id = customer_id

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        require_origin(request.url, self._api_url)
        token = self._manager.token()
        request.headers["X-Tenant-Id"] = self._customer_id
        request.headers["Authorization"] = f"Bearer {token.access_token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            discard_body(response)
            renewed = self._manager.token(rejected=token)
            request.headers["Authorization"] = f"Bearer {renewed.access_token}"
            yield request
