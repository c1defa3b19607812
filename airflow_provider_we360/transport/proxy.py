"""The proxy of a request, from the Connection or from the environment."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from urllib.request import getproxies, proxy_bypass  # noqa: TID251 - reads settings, sends nothing

import httpx

from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import We360ConfigError

ROUTE = "we360_route"
"""Key of a request's extensions under which its :class:`Route` is kept."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and where it was configured.

    :param url: may hold a user name and a password.
    :param source: the field or variable that names it.
    """

    url: httpx.URL = field(repr=False)
    source: str

    def __str__(self) -> str:
        port = self.url.port or _DEFAULT_PORTS[self.url.scheme]
        return f"the proxy {self.url.host}:{port} ({self.source})"


@dataclass(frozen=True, slots=True)
class Route:
    """How a request travels, for the words of a failure."""

    proxy: Proxy | None = None
    ca_bundle: str | None = None


def find_proxy(settings: We360Settings, url: httpx.URL) -> Proxy | None:
    """Return the proxy for requests to this URL; None if they go straight to the host.

    :raises We360ConfigError: a variable of the environment holds no URL of a proxy.
    """
    if settings.proxy:
        return Proxy(_parse(settings.proxy, "Proxy (extra proxy)"), "Proxy (extra proxy)")
    # proxy_bypass reads NO_PROXY: names and their suffixes. Ranges of addresses match no host name.
    if not settings.trust_env or proxy_bypass(url.host):
        return None
    proxies = getproxies()
    value = proxies.get(url.scheme) or proxies.get("all")
    if not value:
        return None
    # Lower case wins, as in curl and urllib.
    names = (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    name = next((name for name in names if os.environ.get(name) == value), None)
    source = f"environment variable {name}" if name else "the system's settings"
    return Proxy(_parse(value, source), source)


def _parse(value: str, source: str) -> httpx.URL:
    try:
        url = httpx.URL(value if "://" in value else f"http://{value}")
    except httpx.InvalidURL:  # not as the cause: its text may hold the password
        url = httpx.URL("")
    if not url.host or url.scheme not in _DEFAULT_PORTS:
        raise We360ConfigError(
            f"{source}: expected the URL of an HTTP proxy, such as http://proxy.example.com:3128; "
            "correct it, or list the host in NO_PROXY"
        )
    if url.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise We360ConfigError(
            f"{source}: names a SOCKS proxy, which needs another package; pip install "
            "'httpx[socks]', name an HTTP proxy, or list the host in NO_PROXY"
        )
    return url
