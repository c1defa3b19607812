"""The fields of an Airflow Connection, parsed once into frozen settings."""

from __future__ import annotations

import enum
import hashlib
import ipaddress
import json
import re
import zoneinfo
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol
from urllib.parse import quote

import httpx
import msgspec

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.provider_info import CONNECTION_FIELDS
from airflow_provider_we360.redaction import register_secret

DEFAULT_HOST = "https://api.in.we360.ai"
DEFAULT_AUTH_URL = "https://auth.in.we360.ai"
DEFAULT_REALM = "ind-prod"
DEFAULT_TIMEZONE = "Asia/Kolkata"
DEFAULT_TIMEOUT_S = 60.0

# The name in Airflow's form, and in parentheses the field of the Connection.
_HOST, _LOGIN, _PASSWORD = "API URL (host)", "E-mail (login)", "Password"
_PORTAL = "the We360 portal shows it under the profile icon, top right"


class TokenCache(enum.StrEnum):
    """Where the token set is kept between tasks."""

    VARIABLE = "variable"
    XCOM = "xcom"
    MEMORY = "memory"


class _Extra(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The extra of a Connection, as JSON or, from a URI or the environment, all text."""

    customer_id: Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,255}$")]
    auth_url: str = DEFAULT_AUTH_URL
    realm: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")] = (
        DEFAULT_REALM
    )
    token_cache: TokenCache = TokenCache.VARIABLE
    timezone: str = DEFAULT_TIMEZONE
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = DEFAULT_TIMEOUT_S
    ca_bundle: str | None = None
    proxy: str | None = None
    allow_http: bool = False


# Also what the form and the documentation list: one source for all three.
EXTRAS = _Extra.__struct_fields__
_EXPECTED = {
    "customer_id": f"must be text without blanks; copy it again: {_PORTAL}",
    "realm": f"must be the name of a realm; the usual one is {DEFAULT_REALM!r}",
    "token_cache": f"must be one of {', '.join(TokenCache)}",
    "timeout_s": "must be a number of seconds from 1 to 3600",
    "allow_http": "must be true or false",
}
_OTHER_BOOLEANS = {"yes": True, "on": True, "no": False, "off": False}


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
    """A Connection of type ``we360``, checked.

    :param conn_id: ID of the Connection, for messages.
    :param customer_id: the tenant; both OAuth ``client_id`` and ``X-Tenant-Id``.
    :param login: e-mail of the account.
    :param password: its password.
    :param api_url: scheme, host and port of the API, no path.
    :param auth_url: base URL of Keycloak.
    :param realm: Keycloak realm.
    :param token_cache: where the token set is kept.
    :param timezone: IANA name of the company's time zone.
    :param timeout_s: seconds to wait for each part of a response.
    :param ca_bundle: file of the CA certificates to trust; None: the usual ones.
    :param proxy: URL of an HTTP proxy; None: as the environment says.
    :param trust_env: False if plain http is used on this machine, which needs no proxy.
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

    def __post_init__(self) -> None:
        # A server may quote what it is sent: from now on no foreign text shows these.
        register_secret(self.password)
        register_secret(self.login)
        if self.proxy:
            register_secret(httpx.URL(self.proxy).password)

    @property
    def issuer(self) -> str:
        """The realm's URL, which Keycloak calls issuer."""
        return f"{str(self.auth_url).rstrip('/')}/realms/{quote(self.realm, safe='')}"

    @property
    def token_url(self) -> httpx.URL:
        """The endpoint of login and refresh (RFC 6749 section 3.2)."""
        return httpx.URL(f"{self.issuer}/protocol/openid-connect/token")

    @property
    def logout_url(self) -> httpx.URL:
        """The endpoint that ends a session (Keycloak, OpenID Connect logout)."""
        return httpx.URL(f"{self.issuer}/protocol/openid-connect/logout")

    @property
    def login_name(self) -> str:
        """The login and its server in one spelling, whatever the Customer ID."""
        # A dot at the end of a host is another spelling of the same host.
        host = self.auth_url.host
        # The Customer ID is left out: Keycloak locks an account, through whichever client the
        # password is tried.
        return f"{self.issuer.replace(host, host.rstrip('.'), 1)}|{self.login.lower()}"

    @property
    def account_fingerprint(self) -> str:
        """Twelve hex digits that name the token of a login and Customer ID. Not a secret."""
        issuer, login = self.login_name.rsplit("|", 1)
        return hashlib.sha256(f"{issuer}|{self.customer_id}|{login}".encode()).hexdigest()[:12]

    @property
    def login_fingerprint(self) -> str:
        """Twelve hex digits that name a login at its server. Not a secret."""
        return hashlib.sha256(self.login_name.encode()).hexdigest()[:12]


class _FieldError(Exception):
    """A field is wrong. The message begins with its name."""


def parse_connection(conn: ConnectionLike) -> We360Settings:
    """Return the settings that a Connection holds.

    :raises We360ConfigError: for the first field that is missing or wrong; the message names it.
    """
    try:
        return _parse(conn)
    except _FieldError as error:
        # Without the cause: the errors of parsers quote what they read.
        raise We360ConfigError(f"Connection {conn.conn_id!r}: {error}") from None


def _parse(conn: ConnectionLike) -> We360Settings:
    # First: it says whether http is allowed, which decides how the URLs are read.
    extra = _parse_extra(conn.extra)
    login = _check_secret((conn.login or "").strip(), _LOGIN, "the e-mail of the We360 account")
    password = _check_secret(conn.password or "", _PASSWORD, "the password of the We360 account")
    # The form hides it, so a value can only come from a URI, where it is a path by mistake.
    if (conn.schema or "").strip():
        raise _FieldError("Schema is not used by this connection type; leave it empty")
    api_url = _parse_url(
        (conn.host or "").strip() or DEFAULT_HOST, _HOST, allow_http=extra.allow_http
    )
    if api_url.path != "/":
        raise _FieldError(
            f"{_HOST} holds a path; enter scheme and host only, such as {DEFAULT_HOST}"
        )
    auth_url = _parse_url(extra.auth_url, _name_of("auth_url"), allow_http=extra.allow_http)
    _check_is_base_url(auth_url, extra.realm)
    is_plain_http = "http" in (api_url.scheme, auth_url.scheme)
    if extra.proxy and is_plain_http:
        raise _FieldError(
            f"{_name_of('proxy')} cannot be used with an http:// address on this machine; remove it"
        )
    return We360Settings(
        conn_id=conn.conn_id or "",
        customer_id=extra.customer_id,
        login=login,
        password=password,
        api_url=_add_port(api_url, conn.port),
        auth_url=auth_url,
        realm=extra.realm,
        token_cache=extra.token_cache,
        timezone=_parse_timezone(extra.timezone),
        timeout_s=extra.timeout_s,
        ca_bundle=extra.ca_bundle,
        proxy=_parse_proxy(extra.proxy),
        trust_env=not is_plain_http,
    )


def _name_of(extra: str) -> str:
    """Return the name of an extra field as the form and JSON show it."""
    return f"{CONNECTION_FIELDS[extra]['label']} (extra {extra})"


def _parse_extra(text: str | None) -> _Extra:
    try:
        given = json.loads(text) if text and text.strip() else {}
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise _FieldError('Extra is not a JSON object; expected one such as {"customer_id": "..."}')
    if unknown := sorted(str(name)[:64] for name in given if name not in EXTRAS):
        raise _FieldError(
            f"extra {', '.join(unknown)} is unknown; known fields are {', '.join(EXTRAS)}"
        )
    values = {
        name: value.strip() if isinstance(value, str) else value for name, value in given.items()
    }
    # An empty field of the form is stored as "" or null, and means the default.
    values = {name: value for name, value in values.items() if value not in (None, "")}
    if "customer_id" not in values:
        raise _FieldError(f"{_name_of('customer_id')} is missing; {_PORTAL}")
    _check_secret(values["customer_id"], _name_of("customer_id"), "the Customer ID")
    if isinstance(word := values.get("allow_http"), str):
        values["allow_http"] = _OTHER_BOOLEANS.get(word.lower(), word)
    try:
        # Not strict: from a URI or the environment, every value is text.
        return msgspec.convert(values, _Extra, strict=False)
    except msgspec.ValidationError as error:
        found = re.search(r"\$\.(\w+)", str(error))
        name = found[1] if found else ""
        raise _FieldError(f"{_name_of(name)} {_EXPECTED.get(name, 'must be text')}") from None


def _check_secret(value: Any, name: str, expected: str) -> Any:
    """Return the value, unless its carrier must have changed it.

    Sent as they are, such passwords would count as failed logins and lock the account.
    """
    if not value:
        raise _FieldError(f"{name} is missing; enter {expected}")
    if not isinstance(value, str):
        return value
    if not value.strip("*"):
        raise _FieldError(
            f"{name} holds asterisks, with which Airflow hides a value; enter {expected} itself"
        )
    if value[-1] in "\r\n":
        raise _FieldError(
            f"{name} ends with a line break, as the last line of a file does; enter {expected} "
            "without it"
        )
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'`":
        raise _FieldError(
            f"{name} stands in quotation marks, as in a shell or an .env file; enter {expected} "
            "without them"
        )
    return value


def _parse_timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise _FieldError(
            f"{_name_of('timezone')} {name[:64]!r} is not a time zone; use an IANA name such as "
            f"{DEFAULT_TIMEZONE!r}"
        ) from None
    return name


def _parse_proxy(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise _FieldError(
            f"{_name_of('proxy')} must be the URL of an HTTP proxy, such as "
            "http://proxy.example.com:3128"
        )
    return value


def _parse_url(text: str, name: str, *, allow_http: bool) -> httpx.URL:
    try:
        # A bare host is what people paste; https is the only safe guess.
        url = httpx.URL(text if "://" in text else f"https://{text}")
    except (httpx.InvalidURL, TypeError):
        raise _FieldError(f"{name} is not a URL; expected one such as {DEFAULT_HOST}") from None
    # A password in a URL would be shown by Airflow and logged by proxies.
    if url.userinfo:
        raise _FieldError(
            f"{name} holds a user name; enter {_LOGIN} and {_PASSWORD} in their own fields"
        )
    if not url.host or url.query or url.fragment or url.scheme not in ("http", "https"):
        raise _FieldError(f"{name} must be scheme and host, such as {DEFAULT_HOST}")
    if url.scheme == "http" and not (allow_http and _is_this_machine(url.host)):
        raise _FieldError(
            f"{name} begins with http://, which would send the password unencrypted; use https://. "
            "(Only for a sandbox on localhost: extra allow_http = true.)"
        )
    return url.copy_with(path=url.path.rstrip("/") or "/")


def _check_is_base_url(url: httpx.URL, realm: str) -> None:
    """Refuse an issuer or a token URL, which other tools want in this place."""
    base, found, rest = url.path.partition("/realms/")
    if not found:
        return
    given = rest.partition("/")[0]
    also = "" if given == realm else f", and enter {given[:64]!r} as {_name_of('realm')}"
    raise _FieldError(
        f"{_name_of('auth_url')} must be the base URL of the login server; remove "
        f"{(found + rest)[:200]!r} from its end, so that {str(url.copy_with(path=base or '/'))!r} "
        f"remains{also}"
    )


def _add_port(url: httpx.URL, port: object) -> httpx.URL:
    if port in (None, ""):
        return url
    try:
        number = int(str(port))
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise _FieldError("Port must be a number from 1 to 65535")
    if url.port is not None and url.port != number:
        raise _FieldError(f"Port is {number}, but {_HOST} names {url.port}; enter it once")
    return url.copy_with(port=number)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address == ipaddress.IPv6Address("::1") or address in ipaddress.ip_network("127.0.0.0/8")
