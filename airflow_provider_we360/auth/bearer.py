"""BearerAuth: sends the access token and the tenant with every request to the API."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.transport.client import discard_body, require_origin
from airflow_provider_we360.types import Sleep

PAUSES_S = (2.0, 5.0)
"""Before a new token that got a 401 is sent again: the clocks of login server and API may differ
by seconds, and a gateway may need a moment to fetch the signing keys."""


class BearerAuth(httpx.Auth):
    """Set ``Authorization: Bearer`` and ``X-Tenant-Id`` for one origin.

    After a 401 the token is renewed and the request sent again. The token is read for every
    request and never kept here: a long extract outlives many tokens.
    """

    def __init__(
        self, manager: TokenManager, api_url: httpx.URL, customer_id: str, sleep: Sleep
    ) -> None:
        self._manager = manager
        self._api_url = api_url
        self._customer_id = customer_id
        self._sleep = sleep

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the request with its token, up to four times while the answer is a 401."""
        # Before the token is read: a request to another host must not even cause a login.
        require_origin(request.url, self._api_url)
        token = self._manager.token()
        request.headers["X-Tenant-Id"] = self._customer_id
        request.headers["Authorization"] = f"Bearer {token.access_token}"
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        # The connection is not reused then, but an error page of any size is not read either.
        discard_body(response)
        renewed = self._manager.token(rejected=token)
        request.headers["Authorization"] = f"Bearer {renewed.access_token}"
        for pause_s in PAUSES_S:
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
            discard_body(response)
            self._sleep(pause_s)
        # The last answer goes to the caller as it is, so that the error names the API's own reason.
        yield request
