"""AirflowAuth: authentication whose refusals fail a task at once, also where a Dag's author uses the client directly."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from airflow_provider_we360.auth.bearer import BearerAuth
from airflow_provider_we360.hooks.failures import airflow_failures


class AirflowAuth(BearerAuth):
    """As :class:`BearerAuth`; a refused password leaves as ``AirflowFailException``, so that no retry tries it again."""

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        with airflow_failures():
            yield from super().sync_auth_flow(request)
