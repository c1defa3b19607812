"""The one kind of ``httpx.Client``: time-outs, no redirects, no cookies, no other host."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Callable, Iterable, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import httpx

from airflow_provider_we360 import __version__
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transport.proxy import ROUTE, Proxy, Route, find_proxy
from airflow_provider_we360.types import Clock

CONNECT_TIMEOUT_S = 10.0
DEADLINE_FACTOR = 5.0
"""The body of a response may take this many times the time-out of one read."""
MAX_RESPONSE_BYTES = 256 * 2**20
"""A day of 50,000 people with all columns is about 100 MB. Larger days are read in pages."""
USER_AGENT = f"airflow-provider-we360/{__version__}"

# More than max_parallel_requests of any task; the rest of the pool serves the login.
_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32)
_DEFAULT_PORTS = {"https": 443, "http": 80}
_CLOCK, _SENT_AT = "we360_clock", "we360_sent_at"
# They describe the bytes on the wire, not the unpacked body that the response holds afterwards.
_BODY_HEADERS = ("content-encoding", "content-length", "transfer-encoding")


class ResponseTooLarge(httpx.RequestError):
    """The body of a response exceeds the bytes that may be held in memory."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the response is larger than {max_bytes // 2**20} MiB")


def build_http_client(
    settings: We360Settings, *, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """Return a client whose paths are relative to the API URL. It has no authentication yet.

    :param transport: replaces the network; for tests.
    :raises We360ConfigError: ``ca_bundle`` holds no certificates, or a variable no proxy URL.
    """
    tls = _build_tls_context(settings)
    proxies: dict[str, Proxy] = {}
    if transport is None:
        for url in (settings.api_url, settings.auth_url):
            if proxy := find_proxy(settings, url):
                proxies[_text_of(url)] = proxy

    def prepare(request: httpx.Request) -> None:
        require_origin(request.url, settings.api_url, settings.auth_url)
        proxy = proxies.get(_text_of(request.url))
        request.extensions[ROUTE] = Route(proxy, settings.ca_bundle)
        if clock := request.extensions.get(_CLOCK):
            request.extensions[_SENT_AT] = clock()

    return httpx.Client(
        base_url=settings.api_url,
        verify=tls,
        # Proxies of the environment are found by find_proxy: httpx ends in a traceback if one of
        # the variables holds what it does not know, such as an IPv6 range in NO_PROXY.
        trust_env=False,
        mounts={
            origin: httpx.HTTPTransport(verify=tls, proxy=proxy.url, limits=_LIMITS)
            for origin, proxy in proxies.items()
        },
        transport=transport,
        timeout=httpx.Timeout(
            settings.timeout_s, connect=min(CONNECT_TIMEOUT_S, settings.timeout_s)
        ),
        limits=_LIMITS,
        follow_redirects=False,
        # No state between requests but the token. A gateway that sets a cookie for each request
        # would make the headers grow until it refuses them.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        },
        event_hooks={"request": [prepare]},
    )


def send_bounded(
    http: httpx.Client,
    request: httpx.Request,
    *,
    deadline_s: float,
    max_bytes: int,
    clock: Clock,
    auth: httpx.Auth | None = None,
    on_chunk: Callable[[], None] = lambda: None,
) -> httpx.Response:
    """Return the response with its body read.

    The time-outs of httpx bound the silence between two reads; this bounds the whole body.

    :param deadline_s: seconds from sending the request to the last byte of the body. Headers that
        drip are noticed when they are complete.
    :param max_bytes: of the body, unpacked.
    :param auth: None: the request is sent without authentication.
    :param on_chunk: called after each chunk; it may raise to abandon the response.
    :raises httpx.ReadTimeout: the body is not complete at the deadline.
    :raises httpx.DecodingError: the body is compressed in another way than gzip.
    :raises ResponseTooLarge: the body is larger.
    """
    # The client's request hook notes when the request is sent, or sent again with a new token: a
    # login in between may take minutes.
    request.extensions[_CLOCK] = clock
    # Streamed: httpx alone would read a body of any size into memory.
    response = http.send(request, stream=True, auth=auth)
    try:
        end = response.request.extensions.get(_SENT_AT, clock()) + deadline_s
        chunks, size = [], 0
        for chunk in _decode(response, max_bytes):
            on_chunk()
            chunks.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise ResponseTooLarge(max_bytes)
            # Checked after each chunk: a server that drips a byte a minute never reaches the
            # time-out of a read.
            if clock() >= end:
                raise httpx.ReadTimeout(f"the response was not complete after {deadline_s:.0f} s")
    except httpx.RequestError as error:
        # httpx leaves it out of errors that are raised here, and messages need the URL.
        error.request = response.request
        raise
    finally:
        response.close()
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in _BODY_HEADERS
    ]
    return httpx.Response(
        response.status_code, headers=headers, content=b"".join(chunks), request=response.request
    )


def discard_body(response: httpx.Response) -> None:
    """Drop the body unread, for a response that an ``httpx.Auth`` answers with another request.

    httpx would read it to its end, without a deadline and without a bound.
    """
    cast("httpx.SyncByteStream", response.stream).close()
    response.headers.pop("content-encoding", None)
    response.stream = httpx.ByteStream(b"")


def require_origin(url: httpx.URL, *allowed: httpx.URL) -> None:
    """Check that scheme, host and port of the URL are those of an allowed one.

    :raises We360ConfigError: they are not; nothing was sent.
    """
    if _origin(url) not in {_origin(one) for one in allowed}:
        raise We360ConfigError(
            f"url: {url.scheme}://{url.host} is not the API URL (host) of this Connection "
            f"({allowed[0].scheme}://{allowed[0].host}); nothing was sent. Give a path such as "
            "/query/..., or create another Connection for the other host"
        )


def host_and_port(url: httpx.URL) -> str:
    """Return ``host:port``, as a firewall rule names it."""
    return f"{url.host}:{port_of(url)}"


def port_of(url: httpx.URL) -> int:
    """Return the port of an http or https URL, also if the URL does not name it."""
    return url.port or _DEFAULT_PORTS[url.scheme]


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


def _text_of(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _decode(response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    # httpx unpacks a chunk whole, however large it becomes, and whatever is installed to do so.
    encoding = response.headers.get("content-encoding", "").strip().lower()
    stream = cast("httpx.SyncByteStream", response.stream)
    if encoding in ("gzip", "x-gzip"):
        return _gunzip(stream, max_bytes)
    if encoding not in ("", "identity"):
        raise httpx.DecodingError("unexpected Content-Encoding")
    return iter(stream)


def _gunzip(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Unpack gzip, never more than ``max_bytes`` and one byte at once."""
    gzip, has_begun = zlib.decompressobj(zlib.MAX_WBITS | 16), False
    for chunk in chunks:
        has_begun = has_begun or bool(chunk)
        if gzip.eof:  # ignore what follows, but go on reading: the deadline still holds
            yield b""
            continue
        try:
            plain = gzip.decompress(chunk, max_bytes + 1)
        except zlib.error as error:
            raise httpx.DecodingError("the body is not gzip") from error
        if gzip.unconsumed_tail:
            raise ResponseTooLarge(max_bytes)
        yield plain
    if has_begun and not gzip.eof:
        raise httpx.DecodingError("the gzip body ends too early")


def _build_tls_context(settings: We360Settings) -> ssl.SSLContext:
    if settings.ca_bundle is not None:
        try:
            return ssl.create_default_context(cafile=settings.ca_bundle)
        except (OSError, ssl.SSLError) as error:
            raise We360ConfigError(
                f"Connection {settings.conn_id!r}: CA bundle (extra ca_bundle) "
                f"{settings.ca_bundle!r} cannot be read as PEM certificates on this worker; "
                "check the path and the file"
            ) from error
    if "https" not in (settings.api_url.scheme, settings.auth_url.scheme):
        # Loading the certificate authorities takes longer than a request to a sandbox. Without
        # any, the context trusts no server.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The authorities that httpx brings and those of the operating system: a company that inspects
    # TLS installs its own there. OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR in their place.
    context: ssl.SSLContext = httpx.create_ssl_context(verify=True, trust_env=False)
    context.load_default_certs()
    return context
