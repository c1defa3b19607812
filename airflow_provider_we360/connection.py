"""The fields of an Airflow Connection, parsed once into frozen settings. Nothing of it is trusted as it comes."""

from __future__ import annotations

import enum
import hashlib
import ipaddress
import json
import math
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from airflow_provider_we360.errors import We360ConfigError

DEFAULT_HOST = "https://api.in.we360.ai"
DEFAULT_AUTH_URL = "https://auth.in.we360.ai"
DEFAULT_REALM = "ind-prod"
DEFAULT_TIMEZONE = "Asia/Kolkata"
DEFAULT_TIMEOUT_S = 60.0

EXTRAS = (
    "customer_id",
    "auth_url",
    "realm",
    "token_cache",
    "timezone",
    "timeout_s",
    "ca_bundle",
    "proxy",
    "allow_http",
)


_NO_JSON = object()


class TokenCache(enum.StrEnum):
    """Where the token pair is kept between tasks."""

    VARIABLE = "variable"
    XCOM = "xcom"
    MEMORY = "memory"


class ConnectionLike(Protocol):
    """The fields of an Airflow Connection that are read here."""

    @property
    def conn_id(self) -> str | None: ...
    @property
    def host(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def schema(self) -> str | None: ...
    @property
    def login(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def extra(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class We360Settings:
    """What a Connection of type ``we360`` says.

    :param conn_id: id of the Connection, for messages.
    :param customer_id: the tenant; OAuth ``client_id`` and ``X-Tenant-Id`` alike.
    :param login: e-mail of the account.
    :param password: its password.
    :param api_url: scheme, host and port of the API, no path.
    :param auth_url: base URL of Keycloak.
    :param realm: Keycloak realm.
    :param token_cache: where the token pair is kept.
    :param timezone: IANA name of the company's time zone.
    :param timeout_s: seconds to wait for each part of an answer.
    :param ca_bundle: file of CA certificates to trust instead of the usual ones.
    :param proxy: URL of an HTTP proxy.
    :param trust_env: False where plain http is spoken on this machine: no proxy of the environment is used then.
    """

    conn_id: str
    customer_id: str
    login: str = field(repr=False)
    password: str = field(repr=False)
    api_url: httpx.URL
    auth_url: httpx.URL
    realm: str = DEFAULT_REALM
    token_cache: TokenCache = TokenCache.VARIABLE
    timezone: str = DEFAULT_TIMEZONE
    timeout_s: float = DEFAULT_TIMEOUT_S
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)
    trust_env: bool = True

    @property
    def issuer(self) -> str:
        """The realm's URL, which Keycloak calls issuer."""
        return f"{str(self.auth_url).rstrip('/')}/realms/{quote(self.realm, safe='')}"

    @property
    def token_url(self) -> httpx.URL:
        """Login and refresh go here (RFC 6749 section 3.2)."""
        return httpx.URL(f"{self.issuer}/protocol/openid-connect/token")

    @property
    def logout_url(self) -> httpx.URL:
        """The session ends here (Keycloak, OpenID Connect logout)."""
        return httpx.URL(f"{self.issuer}/protocol/openid-connect/logout")

    @property
    def account_fingerprint(self) -> str:
        """Twelve hex digits that Connections of one account share; names the cache entry, holds no secret."""
        account = f"{self.issuer}|{self.customer_id}|{self.login.lower()}"
        return hashlib.sha256(account.encode()).hexdigest()[:12]


def parse_connection(conn: ConnectionLike) -> We360Settings:
    """The settings that a Connection holds.

    :raises We360ConfigError: for the first field that is missing or wrong; the message names it.
    """
    where = f"Connection {conn.conn_id!r}"
    extras = _parse_extra(conn.extra, where)
    login = _required(conn.login, where, "Login", "the e-mail of the We360 account")
    password = conn.password
    if not password:
        raise We360ConfigError(
            f"{where}: Password is missing; enter the password of the We360 account"
        )
    if (conn.schema or "").strip():
        raise We360ConfigError(
            f"{where}: Schema is not used by this Connection type; leave it empty"
        )
    allow_http = _parse_bool(extras.get("allow_http"), where, "allow_http")
    api_url = _parse_url(
        conn.host or DEFAULT_HOST, where, "Host", allow_http=allow_http, path_allowed=False
    )
    api_url = _with_port(api_url, conn.port, where)
    auth_url = _parse_url(
        _text(extras, "auth_url", where) or DEFAULT_AUTH_URL,
        where,
        "auth_url",
        allow_http=allow_http,
        path_allowed=True,
    )
    plain_http = "http" in (api_url.scheme, auth_url.scheme)
    proxy = _text(extras, "proxy", where)
    if proxy and plain_http:
        raise We360ConfigError(
            f"{where}: extra proxy cannot be used with an http:// address on this machine; remove it"
        )
    return We360Settings(
        conn_id=conn.conn_id or "",
        customer_id=_parse_customer_id(extras, where),
        login=login,
        password=password,
        api_url=api_url,
        auth_url=auth_url,
        realm=_parse_realm(extras, where),
        token_cache=_parse_token_cache(extras, where),
        timezone=require_timezone(
            _text(extras, "timezone", where) or DEFAULT_TIMEZONE, f"{where}: extra timezone"
        ),
        timeout_s=_parse_timeout(extras.get("timeout_s"), where),
        ca_bundle=_text(extras, "ca_bundle", where),
        proxy=_parse_proxy(proxy, where),
        trust_env=not plain_http,
    )


def require_timezone(name: object, argument: str) -> str:
    """The name, if it is that of an IANA time zone.

    :raises We360ConfigError: otherwise; begins with ``argument``.
    """
    try:
        zoneinfo.ZoneInfo(str(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise We360ConfigError(
            f"{argument}: {name!r} is no time zone; use an IANA name such as 'Asia/Kolkata'"
        ) from None
    return str(name)


def _parse_extra(text: str | None, where: str) -> Mapping[str, Any]:
    if not (text or "").strip():
        return {}
    extras = _json(text or "")
    if extras is _NO_JSON:
        raise We360ConfigError(
            f'{where}: Extra is not JSON; expected an object such as {{"customer_id": "..."}}'
        )
    if not isinstance(extras, dict):
        raise We360ConfigError(
            f'{where}: Extra is JSON, but no object; expected {{"customer_id": "..."}}'
        )
    if unknown := sorted(str(name)[:64] for name in extras if name not in EXTRAS):
        raise We360ConfigError(
            f"{where}: extra {', '.join(unknown)} is unknown; known are {', '.join(EXTRAS)}"
        )
    return extras


def _json(text: str) -> object:
    """What the text says. Nothing is raised: the error would hold the text, and the text may hold secrets."""
    try:
        return json.loads(text)
    except ValueError:
        return _NO_JSON


def _required(value: str | None, where: str, name: str, what: str) -> str:
    if not (value or "").strip():
        raise We360ConfigError(f"{where}: {name} is missing; enter {what}")
    return (value or "").strip()


def _text(extras: Mapping[str, Any], name: str, where: str) -> str | None:
    value = extras.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise We360ConfigError(f"{where}: extra {name} must be text, not {type(value).__name__}")
    return value.strip()


def _parse_customer_id(extras: Mapping[str, Any], where: str) -> str:
    value = _text(extras, "customer_id", where)
    if value is None:
        raise We360ConfigError(
            f"{where}: Customer ID (extra customer_id) is missing; the We360 portal shows it under the profile icon, top right"
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", value):
        raise We360ConfigError(
            f"{where}: extra customer_id holds blanks or signs that no Customer ID has; copy it again"
        )
    return value


def _parse_realm(extras: Mapping[str, Any], where: str) -> str:
    realm = _text(extras, "realm", where) or DEFAULT_REALM
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", realm):
        raise We360ConfigError(
            f"{where}: extra realm {realm!r} is no realm name; the usual one is {DEFAULT_REALM!r}"
        )
    return realm


def _parse_token_cache(extras: Mapping[str, Any], where: str) -> TokenCache:
    value = _text(extras, "token_cache", where) or TokenCache.VARIABLE.value
    try:
        return TokenCache(value)
    except ValueError:
        raise We360ConfigError(
            f"{where}: extra token_cache {value!r} is unknown; use one of {', '.join(TokenCache)}"
        ) from None


def _parse_bool(value: object, where: str, name: str) -> bool:
    """From a form or JSON it is a bool; from a URI or the environment it is text, where "false" is false."""
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if (word := str(value).strip().lower()) not in words:
        raise We360ConfigError(f"{where}: extra {name} must be true or false")
    return words[word]


def _parse_timeout(value: object, where: str) -> float:
    if value is None or value == "":
        return DEFAULT_TIMEOUT_S
    try:
        seconds = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= 3600:
        raise We360ConfigError(
            f"{where}: extra timeout_s must be a number of seconds from 1 to 3600"
        )
    return seconds


def _parse_proxy(value: str | None, where: str) -> str | None:
    if value is None:
        return None
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise We360ConfigError(
            f"{where}: extra proxy must be a URL such as http://proxy.example.com:3128"
        )
    return value


def _parse_url(
    value: str, where: str, name: str, *, allow_http: bool, path_allowed: bool
) -> httpx.URL:
    text = value.strip()
    try:
        url = httpx.URL(text if "://" in text else f"https://{text}")
    except (httpx.InvalidURL, TypeError):
        raise We360ConfigError(
            f"{where}: {name} is no URL; expected one such as {DEFAULT_HOST}"
        ) from None
    if url.userinfo:
        raise We360ConfigError(
            f"{where}: {name} holds a user name; enter Login and Password in their own fields"
        )
    if not url.host or url.query or url.fragment or url.scheme not in ("http", "https"):
        raise We360ConfigError(f"{where}: {name} must be scheme and host, such as {DEFAULT_HOST}")
    if not path_allowed and url.path not in ("", "/"):
        raise We360ConfigError(
            f"{where}: {name} holds a path; enter scheme and host only, such as {DEFAULT_HOST}"
        )
    if url.scheme == "http" and not (allow_http and _is_this_machine(url.host)):
        raise We360ConfigError(
            f"{where}: {name} begins with http://, which would send the password in clear; use https://. "
            "(For a sandbox on localhost only: extra allow_http = true.)"
        )
    return url.copy_with(path=url.path.rstrip("/") or "/")


def _with_port(url: httpx.URL, port: object, where: str) -> httpx.URL:
    if port in (None, ""):
        return url
    try:
        number = int(str(port))
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise We360ConfigError(f"{where}: Port must be a number from 1 to 65535")
    if url.port is not None and url.port != number:
        raise We360ConfigError(
            f"{where}: Port is {number}, but Host says {url.port}; enter it once"
        )
    return url.copy_with(port=number)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address == ipaddress.IPv6Address("::1") or address in ipaddress.ip_network("127.0.0.0/8")
