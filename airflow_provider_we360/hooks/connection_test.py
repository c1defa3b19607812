"""Test of a Connection with a session of its own: the token cache of the tasks is not touched."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.client import reports
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import RetryableApiError
from airflow_provider_we360.hooks.authentication import open_client
from airflow_provider_we360.transport.client import (
    DEADLINE_FACTOR,
    MAX_RESPONSE_BYTES,
    host_and_port,
    send_bounded,
)
from airflow_provider_we360.transport.messages import explain_connection_error
from airflow_provider_we360.types import Clock, Sleep

if TYPE_CHECKING:
    from airflow_provider_we360.client.response import ReportPage

TIMEOUT_S = 10.0
"""A person waits for the result, and so may one of Airflow's few API workers."""


@dataclass(frozen=True, slots=True)
class ReachedHost:
    """A host that answered a request without credentials.

    :param status: HTTP status of the answer; any will do.
    :param tls: version of TLS; None: plain HTTP.
    :param issuer: organization that signed the certificate.
    :param valid_until: end of the certificate, UTC.
    """

    status: int
    tls: str | None = None
    issuer: str | None = None
    valid_until: dt.datetime | None = None


class ConnectionTest:
    """Logs in, reads and logs out. Use it as a context manager: the session ends with it.

    :param settings: the Connection.
    :param transport: replaces the network; for tests.
    """

    def __init__(
        self,
        settings: We360Settings,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        # Never longer than the person waits, whatever the tasks may take.
        self.settings = replace(settings, timeout_s=min(settings.timeout_s, TIMEOUT_S))
        self._clock = clock
        self._http, self._manager = open_client(
            self.settings,
            TokenStore(),
            transport=transport,
            clock=clock,
            sleep=sleep,
            sends_twice=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session if there is one, and close the connections."""
        self._manager.close()
        self._http.close()

    @property
    def yesterday(self) -> dt.date:
        """The last local day that has ended."""
        zone = zoneinfo.ZoneInfo(self.settings.timezone)
        return dt.datetime.fromtimestamp(self._clock(), zone).date() - dt.timedelta(days=1)

    def reach(self, url: httpx.URL) -> ReachedHost:
        """Return how the host of this URL answers. No credentials are sent.

        :raises RetryableApiError: it does not answer; the message says what to check.
        """
        http = self._http
        try:
            response = http.send(http.build_request("GET", url), auth=None, stream=True)
        except httpx.RequestError as error:
            needed = hosts_to_allow(self.settings)
            raise RetryableApiError(explain_connection_error(error, url, needed)) from error
        # Absent if a transport replaces the network in tests.
        stream = response.extensions.get("network_stream")
        tls = stream.get_extra_info("ssl_object") if stream else None
        reached = _describe_host(response.status_code, tls)
        response.close()
        return reached

    def login(self) -> TokenSet:
        """Open a session. Nothing is sent a second time.

        :raises We360AuthError: the login failed.
        """
        return self._manager.token()

    def logout(self) -> bool:
        """End the session. Return True if there was one.

        :raises AuthUnavailable: the login server could not be reached.
        """
        return self._manager.logout()

    def fetch_one_row(self) -> ReportPage:
        """Return at most one row of yesterday's Dynamic Report, with no column but its key.

        :raises We360Error: the request failed, or its answer cannot be read.
        """
        from airflow_provider_we360.client.response import parse_response
        from airflow_provider_we360.rows.decode import RowDecoder

        report = reports.get("dynamic_report")
        key = report.modes["detailed"].key
        query = Query(
            first_day=self.yesterday,
            last_day=self.yesterday,
            mode="detailed",
            columns=key,
            page=1,
            limit=1,
        )
        columns = [report.column(name) for name in key]
        return parse_response(
            self.post(report.path, report.body(query)), RowDecoder(columns, self.settings.timezone)
        )

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Return the API's answer, whatever its status.

        :raises RetryableApiError: there was none.
        """
        http = self._http
        try:
            return send_bounded(
                http,
                http.build_request("POST", path, json=body),
                deadline_s=self.settings.timeout_s * DEADLINE_FACTOR,
                max_bytes=MAX_RESPONSE_BYTES,
                clock=self._clock,
                auth=http.auth,
            )
        except httpx.RequestError as error:
            # Not as the cause: its request holds the access token.
            raise RetryableApiError(explain_connection_error(error, http.base_url)) from None


def hosts_to_allow(settings: We360Settings) -> tuple[str, ...]:
    """Return host and port of everything that workers must reach, for a firewall rule."""
    return tuple(dict.fromkeys(map(host_and_port, (settings.api_url, settings.auth_url))))


def run_connection_test(test: ConnectionTest) -> str:
    """Test a Connection and return what a person reads; Airflow shows it for two seconds.

    Both hosts are tried before the login, which would wait long for one that is silent.

    :raises We360Error: the Connection does not work; the message says what to check.
    """
    # In the order in which a failure is cheapest: a firewall shows in seconds, and no password is
    # sent to a host that does not answer.
    settings = test.settings
    test.reach(settings.api_url)
    test.reach(httpx.URL(settings.issuer))
    if test.fetch_one_row().rows.num_rows:
        return f"Logged in to {settings.customer_id}; the Dynamic Report has rows for this account."
    return (
        f"Logged in to {settings.customer_id}, but the Dynamic Report of {test.yesterday} has no "
        "rows for this account: a day off, or the account's role in We360 sees no one."
    )


def _describe_host(status: int, tls: Any) -> ReachedHost:
    if tls is None:
        return ReachedHost(status)
    certificate = tls.getpeercert() or {}
    issuer = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    end = certificate.get("notAfter")
    valid_until = (
        dt.datetime.strptime(end, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=dt.UTC) if end else None
    )
    name = issuer.get("organizationName") or issuer.get("commonName")
    return ReachedHost(status, tls.version(), name, valid_until)
