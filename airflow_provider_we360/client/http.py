"""Builds the one kind of httpx.Client that is used: time-outs on, redirects off, no host but the Connection's."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import httpx

from airflow_provider_we360 import __version__
from airflow_provider_we360.client.bounds import ENCODINGS, EXTENSION, Bound, Bounds
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transport import require_origin
from airflow_provider_we360.types import Clock

CONNECT_TIMEOUT_S = 10.0
DEADLINE_FACTOR = 5.0
"""A whole answer may take so many times the time-out."""
LARGEST_ANSWER_BYTES = 256 * 2**20
"""Of a report's answer, unpacked. A day of 50,000 people with all columns is about 100 MB; a larger one is read in pages."""
_OF_PACKED_BODIES = ("content-encoding", "content-length", "transfer-encoding")
USER_AGENT = f"airflow-provider-we360/{__version__}"


def build_http_client(
    settings: We360Settings, *, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """A client whose paths are relative to the Connection's Host. It has no authentication yet.

    :param transport: for tests; None: the network.
    :raises We360ConfigError: extra ``ca_bundle`` is no file of certificates.
    """

    def refuse_other_hosts(request: httpx.Request) -> None:
        require_origin(request.url, settings.api_url, settings.auth_url)

    bounds = Bounds()
    return httpx.Client(
        base_url=settings.api_url,
        verify=_tls(settings),
        proxy=settings.proxy if transport is None else None,
        trust_env=settings.trust_env and transport is None,
        transport=transport,
        timeout=httpx.Timeout(
            settings.timeout_s, connect=min(CONNECT_TIMEOUT_S, settings.timeout_s)
        ),
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
        follow_redirects=False,
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": ENCODINGS,
        },
        event_hooks={
            "request": [refuse_other_hosts, bounds.on_request],
            "response": [bounds.on_response],
        },
    )


def send_whole(
    http: httpx.Client,
    request: httpx.Request,
    *,
    deadline_s: float,
    most_bytes: int,
    clock: Clock,
    auth: httpx.Auth | None = None,
    before_each_part: Callable[[], None] = lambda: None,
) -> httpx.Response:
    """The response with its body read. Time-outs of httpx bound the silence between two parts; this bounds the whole.

    :param deadline_s: from sending the request, or sending it again, to the last byte of its answer.
    :param most_bytes: of its body, unpacked.
    :param auth: None: the request goes out as it is.
    :param before_each_part: may raise, to give the answer up.
    :raises httpx.ReadTimeout: the answer drips on past the deadline.
    :raises AnswerTooLarge: it is larger.
    """
    request.extensions[EXTENSION] = bound = Bound(deadline_s, most_bytes, clock)
    response = http.send(request, stream=True, auth=auth)
    try:
        parts = []
        for part in response.iter_bytes():
            before_each_part()
            parts.append(part)
            bound.left_s()
    finally:
        response.close()
    unpacked = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in _OF_PACKED_BODIES
    ]
    return httpx.Response(
        response.status_code, headers=unpacked, content=b"".join(parts), request=response.request
    )


def _tls(settings: We360Settings) -> ssl.SSLContext | bool:
    if settings.ca_bundle is None:
        is_used = "https" in (settings.api_url.scheme, settings.auth_url.scheme)
        return (
            True if is_used else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )  # which trusts nobody, and loads no certificates
    try:
        return ssl.create_default_context(cafile=settings.ca_bundle)
    except (OSError, ssl.SSLError):
        raise We360ConfigError(
            f"Connection {settings.conn_id!r}: extra ca_bundle {settings.ca_bundle!r} "
            "cannot be read as PEM certificates on this worker"
        ) from None
