"""Words for a request that failed on its way: what happened, and who can mend it."""

from __future__ import annotations

import html
import re
import socket
import ssl
from collections.abc import Iterator, Sequence

import httpx

from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.transport.client import ResponseTooLarge, host_and_port
from airflow_provider_we360.transport.proxy import ROUTE, Proxy, Route

# Codes of OpenSSL's x509_vfy.h. Those of X509_V_FLAG_X509_STRICT, which Python sets from 3.13 on
# (https://docs.python.org/3.13/whatsnew/3.13.html#ssl), stand together.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = (62, 64)
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_STRICT = range(79, 96)

_TITLE = re.compile(r"<title[^>]*>(.*?)</title|<h1[^>]*>(.*?)</h1", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_HEADERS_TOO_LARGE = re.compile(r"(headers?|cookie)[^.]{0,30}too (large|long|big)", re.IGNORECASE)


def explain_connection_error(
    error: httpx.RequestError, url: httpx.URL, needed: Sequence[str] = ()
) -> str:
    """Return what happened to a request that got no response, and what to do.

    :param needed: hosts with ports that the firewall must allow; empty: that of the URL.
    """
    return f"{url.scheme}://{url.netloc.decode('ascii')}: {_explain(error, url, needed)}"


def is_refused_by_proxy(error: BaseException) -> bool:
    """Return True if a proxy refused to connect: another try without a change is refused, too."""
    return isinstance(error, httpx.ProxyError) and _status_of(error) in (401, 403, 405, 407)


def explain_web_page(response: httpx.Response, owner: str = "the API") -> str | None:
    """Return what it means that a response holds a web page; None if it holds none.

    :param owner: whose answer was expected.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_page = "html" in kind or response.content.lstrip()[:1] == b"<"
    # A title stands at the beginning; a page of megabytes is not searched to its end.
    text = response.content[:20_000].decode(errors="replace")
    if response.status_code == 431 or (is_page and _HEADERS_TOO_LARGE.search(text)):
        token = len(response.request.headers.get("authorization", ""))
        return (
            f"an error from a gateway: the request's headers are too large, because the access token "
            f"has {token:,} bytes. Ask We360 support to remove roles from the account, or have the "
            "gateway's operator raise its limit"
        )
    if not is_page:
        return None
    match = _TITLE.search(text)
    title = html.unescape(_TAG.sub(" ", match[1] or match[2] or "")) if match else ""
    shown = " ".join(foreign_text(title, 80).split())
    return (
        f"a web page in place of {owner}'s answer{f' ({shown!r})' if shown else ''}: a proxy, "
        "firewall, gateway or maintenance page answers; check the URL in the Connection, and "
        "show the title to your network team"
    )


def _explain(error: httpx.RequestError, url: httpx.URL, needed: Sequence[str]) -> str:
    route, causes = _route_of(error), tuple(_causes(error))
    if tls := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
        return _explain_tls(tls, route)
    if isinstance(error, ResponseTooLarge):
        return f"{error}; stopped reading. Check that the host is We360's"
    if isinstance(error, httpx.DecodingError):
        return (
            "the response is compressed in a way that was not requested, or damaged; "
            "check proxies and gateways on the way"
        )
    if isinstance(error, httpx.ProxyError | httpx.ConnectError | httpx.ConnectTimeout):
        if route.proxy is not None:
            return _explain_proxy(error, route.proxy, url)
        allowed = f"that your firewall allows {' and '.join(needed) or host_and_port(url)}"
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return (
                f"cannot connect, the name {url.host} has no address here; check its spelling in "
                f"the Connection, this machine's DNS, and {allowed}"
            )
        return f"cannot connect; check {allowed}"
    through = f" through {route.proxy}" if route.proxy else ""
    happened = (
        "no answer in time" if isinstance(error, httpx.TimeoutException) else "the connection broke"
    )
    return f"{happened}{through} ({type(error).__name__})"


def _explain_tls(error: ssl.SSLError, route: Route) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, route)
    return (
        f"TLS failed ({error.reason or type(error).__name__}); check the port, and that no proxy "
        "or firewall answers in the host's place"
    )


def _explain_certificate(error: ssl.SSLCertVerificationError, route: Route) -> str:
    reason = f"(OpenSSL: {foreign_text(error.verify_message, 120)})"
    code = error.verify_code
    if code == _EXPIRED:
        return (
            f"its TLS certificate has expired {reason}; check this machine's clock, then have the "
            "host's operator, or the team whose device inspects TLS, renew it"
        )
    if code == _NOT_YET_VALID:
        return f"its TLS certificate is not valid yet {reason}; check this machine's clock"
    if code in _OTHER_NAME:
        return (
            f"its TLS certificate is for another name {reason}; check the host's spelling in the "
            "Connection, and that no proxy or firewall answers in its place"
        )
    if code in _STRICT:
        return (
            f"its TLS certificate does not follow RFC 5280 {reason}, which Python checks from 3.13 "
            "on; have the team whose device inspects TLS issue a correct one, or run the worker "
            "on Python 3.12"
        )
    if route.ca_bundle is None:
        return (
            f"its TLS certificate is not trusted {reason}; if your network inspects TLS, set CA "
            "bundle (extra ca_bundle) to the file of its certificate authority"
        )
    if code in _UNKNOWN_ISSUER:
        return (
            f"its TLS certificate is not trusted {reason}: CA bundle (extra ca_bundle) "
            f"{route.ca_bundle!r} does not hold the certificate authority that signed it. Add that "
            "authority to the file, or remove the field if the host's certificate is public"
        )
    return f"its TLS certificate is not trusted {reason}; show this to your network team"


def _explain_proxy(error: httpx.RequestError, proxy: Proxy, url: httpx.URL) -> str:
    if not isinstance(error, httpx.ProxyError):
        return (
            f"cannot reach {proxy}; correct it there, or have the network team allow the workers "
            "to connect to it"
        )
    status = _status_of(error)
    if status == 407:
        return (
            f"{proxy} requires a user name and password (407); put them into its URL, such as "
            "http://user:password@proxy.example.com:3128"
        )
    if status in (401, 403, 405):
        return (
            f"{proxy} refuses to connect to {host_and_port(url)} ({status}); have its operator "
            "allow that host"
        )
    answer = f"({status})" if status else f"({type(error).__name__})"
    return f"{proxy} cannot connect to {host_and_port(url)} {answer}; ask its operator why"


def _status_of(error: BaseException) -> int | None:
    """Return the status of a proxy's answer to CONNECT, which httpcore puts before its reason."""
    match = re.match(r"(\d{3})\b", str(error))
    return int(match[1]) if match else None


def _route_of(error: httpx.RequestError) -> Route:
    try:
        route: Route = error.request.extensions.get(ROUTE, Route())
    except RuntimeError:  # httpx: the error was raised before there was a request
        return Route()
    return route


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it. Libraries that raise an error again can make a circle."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        yield found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
