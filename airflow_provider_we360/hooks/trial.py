"""Trial: one session of its own, to see what a Connection is good for. The token cache of the tasks is never touched."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from airflow_provider_we360.auth.store import TokenStore
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.client import reports
from airflow_provider_we360.client.bounds import EXTENSION, Bound
from airflow_provider_we360.client.http import DEADLINE_FACTOR, LARGEST_ANSWER_BYTES, send_whole
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import RetryableApiError
from airflow_provider_we360.hooks.session import open_session
from airflow_provider_we360.transport import connection_trouble, host_and_port
from airflow_provider_we360.types import Clock, Sleep

if TYPE_CHECKING:
    from airflow_provider_we360.client.answer import Answer

TIMEOUT_S = 10.0
"""A person waits, and one of Airflow's few API workers may, too."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A host that answered.

    :param status: HTTP status of its answer to a request without credentials; any will do.
    :param tls: version of TLS, None for plain HTTP.
    :param issuer: organisation that vouches for the host's certificate.
    :param valid_until: end of that certificate, UTC.
    """

    status: int
    tls: str | None = None
    issuer: str | None = None
    valid_until: dt.datetime | None = None


class Trial:
    """Logs in, asks, logs out. Use as a context: at its end the session is ended on the server.

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
        self.settings = replace(settings, timeout_s=min(settings.timeout_s, TIMEOUT_S))
        self._deadline_s = self.settings.timeout_s * DEADLINE_FACTOR
        self._clock = clock
        self._session = open_session(
            self.settings,
            TokenStore(),
            transport=transport,
            clock=clock,
            sleep=sleep,
            asks_twice=False,
        )
        self._is_logged_in = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.manager.close()
        self._session.http.close()

    @property
    def yesterday(self) -> dt.date:
        """The last local day that has ended."""
        return dt.datetime.fromtimestamp(
            self._clock(), zoneinfo.ZoneInfo(self.settings.timezone)
        ).date() - dt.timedelta(days=1)

    def reach(self, url: httpx.URL) -> Reached:
        """Whether the host of this URL answers at all; nothing secret is sent.

        :raises RetryableApiError: it does not; the message says what to look at.
        """
        http = self._session.http
        bound = Bound(self._deadline_s, LARGEST_ANSWER_BYTES, self._clock)
        request = http.build_request("GET", url, extensions={EXTENSION: bound})
        try:
            response = http.send(request, auth=None, stream=True)
            stream = response.extensions.get("network_stream")
            reached = _reached(
                response.status_code, stream.get_extra_info("ssl_object") if stream else None
            )
            response.close()
        except httpx.RequestError as error:
            raise RetryableApiError(
                connection_trouble(error, url, hosts_to_allow(self.settings))
            ) from None
        return reached

    def login(self) -> TokenSet:
        """A new session.

        :raises We360AuthError: the login failed; nothing is tried a second time.
        """
        return self._session.manager.token()

    def logout(self) -> bool:
        """End the session; True where there was one.

        :raises AuthUnavailable: the server could not be told.
        """
        return self._session.manager.logout()

    def one_row(self) -> Answer:
        """The Dynamic Report of yesterday, one row of it and no column but its key.

        :raises We360Error: what API and answer can raise.
        """
        from airflow_provider_we360.client.answer import parse_answer
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
        return parse_answer(
            self.post(report.path, report.body(query)), RowDecoder(columns, self.settings.timezone)
        )

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The API's answer, whatever its status.

        :raises RetryableApiError: there was none.
        """
        http = self._session.http
        try:
            return send_whole(
                http,
                http.build_request("POST", path, json=body),
                deadline_s=self._deadline_s,
                most_bytes=LARGEST_ANSWER_BYTES,
                clock=self._clock,
                auth=http.auth,
            )
        except httpx.RequestError as error:
            raise RetryableApiError(connection_trouble(error, http.base_url)) from None


def hosts_to_allow(settings: We360Settings) -> tuple[str, ...]:
    """Host and port of all that workers must reach, for a firewall rule."""
    return tuple(dict.fromkeys(map(host_and_port, (settings.api_url, settings.auth_url))))


def told_of(trial: Trial) -> str:
    """What a person who pressed *Test* reads of a Connection that works: Airflow shows it for two seconds.

    Both hosts are tried before the login, which would be patient with one that is silent.

    :raises We360Error: it does not work; the message says what to look at.
    """
    settings = trial.settings
    trial.reach(settings.api_url)
    trial.reach(httpx.URL(settings.issuer))
    if trial.one_row().rows.num_rows:
        return f"Logged in to {settings.customer_id}; the Dynamic Report has rows for this account."
    return (
        f"Logged in to {settings.customer_id}, but the Dynamic Report of {trial.yesterday} has no row for this account: "
        "a day off, or its role in We360 sees nobody."
    )


def _reached(status: int, tls: Any) -> Reached:
    if tls is None:
        return Reached(status)
    certificate = tls.getpeercert() or {}
    issuer = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    end = certificate.get("notAfter")
    valid_until = (
        dt.datetime.strptime(end, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=dt.UTC) if end else None
    )
    return Reached(
        status,
        tls.version(),
        issuer.get("organizationName") or issuer.get("commonName"),
        valid_until,
    )
