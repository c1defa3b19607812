"""The three calls to Keycloak: login, refresh and logout.

The meaning of an answer is in ``error`` and ``error_description``, never in the status: Keycloak
26.6 moved "Invalid user credentials" from 401 to 400.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from airflow_provider_we360.auth.token import TokenSet, parse_token_answer
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    RefreshRejected,
    We360AuthError,
)
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.transport.messages import (
    explain_connection_error,
    explain_web_page,
    is_refused_by_proxy,
)
from airflow_provider_we360.transport.retry import build_retrying, parse_retry_after
from airflow_provider_we360.types import Clock, Sleep

LONGEST_CALL_S = 600.0
"""Other tasks wait for a login or refresh, so a larger timeout_s does not count for it."""
CONNECT_TIMEOUT_S = 10.0
LARGEST_ANSWER_BYTES = 2**20
"""Token answers are a few kilobytes, and so are error pages of proxies."""
# A login that reached the server is never repeated: Keycloak counts it even if the answer is lost.
# A refresh costs no count, and neither does a logout.
CONNECT_TRIES = 3
REFRESH_TRIES = 2
LOGOUT_TRIES = 2

_CLIENT_ADVICE = {
    "invalid_client": "check Customer ID (extra customer_id): the We360 portal shows it under the "
    "profile icon, top right",
    "unauthorized_client": "Customer ID (extra customer_id) may not log in with a password; ask "
    "We360 support to allow it",
    "not_allowed": "the account may not hold offline sessions; ask We360 support",
    "invalid_scope": "the scope is refused for Customer ID (extra customer_id); ask We360 support",
    "unsupported_grant_type": "password login is switched off; ask We360 support",
    "invalid_request": "the login form was refused; check E-mail (login), Customer ID (extra "
    "customer_id), Login server (extra auth_url) and Realm (extra realm)",
    "access_denied": "the realm is switched off; check Realm (extra realm)",
}
_REFUSALS = frozenset({"invalid_grant", *_CLIENT_ADVICE})
# A code of OAuth 2.0. Anything else could repeat what was sent, also a shorter code: a password of
# fewer than 8 characters is not redacted by value.
_CODE = re.compile(r"(?=.{8})[a-z]{2,20}(_[a-z]{2,20}){1,4}")
# How Keycloak begins its error_description; tests/keycloak compares with a real one.
_DEAD_REFRESH_TOKEN = (
    "token is not active",
    "invalid refresh token",
    "invalid token issuer",
    "offline session not active",
    "offline user session not found",
    "session not active",
    "session doesn't have required client",
    "client session not active",
    "stale token",
    "maximum allowed refresh token reuse exceeded",
    "refresh token issued before",
    "client no longer has requested consent from user",
    "unmatching clients",
)
# Keycloak reports these two under an error code that otherwise means a wrong configuration.
_ALSO_DEAD = {
    ("invalid_scope", "client no longer has requested consent from user"),
    ("invalid_request", "unmatching clients"),
}
_DISABLED = "the account is disabled; ask an administrator of your We360 portal to enable it"
_ACCOUNT_ADVICE = {
    "account disabled": _DISABLED,
    "user disabled": _DISABLED,
    "account is not fully set up": "the account is not fully set up; log in once in a browser and "
    "finish what it requires",
}
_WRONG_PASSWORD = (
    "E-mail (login) or Password of the Connection is wrong, the account is locked for a while "
    "after too many tries, or it needs a second factor. Try them in a browser first: each try "
    "counts"
)
T = TypeVar("T")


def longest_call_s(settings: We360Settings) -> float:
    """Return the seconds that one call to Keycloak may take, from connecting to the last byte."""
    # The lease lasts longer than this, so that its holder cannot lose it during one call.
    return CONNECT_TIMEOUT_S + min(settings.timeout_s, LONGEST_CALL_S)


class KeycloakClient:
    """The login server of one account.

    :param send: sends a request without authentication and returns the response with its body.
    """

    def __init__(
        self,
        settings: We360Settings,
        send: Callable[[httpx.Request], httpx.Response],
        *,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self._settings = settings
        self._send = send
        self._clock = clock
        self._sleep = sleep

    def login(self, sleep: Sleep) -> TokenSet:
        """Return the token set of a new session. Only a request that was never sent is repeated.

        :raises We360AuthError: as :func:`parse_login`.
        """

        def send_form() -> TokenSet:
            # Before the request: a token is never believed to live longer than it does, however
            # long the answer takes.
            sent_at = self._clock()
            return parse_login(self._call(login_request(self._settings)), sent_at=sent_at)

        def may_repeat(error: AuthUnavailable) -> bool:
            return is_unsent(error) and not error.is_puzzling  # a proxy refuses again

        return _repeat(send_form, CONNECT_TRIES, may_repeat, sleep)

    def refresh(self, token: TokenSet, before: Callable[[], None], sleep: Sleep) -> TokenSet:
        """Return the next token set of a session.

        A refresh token that rotates is never sent again if it may have arrived: using it twice
        ends the session.

        :param before: called before each request.
        :raises We360AuthError: as :func:`parse_refresh`.
        """

        def send_form() -> TokenSet:
            before()
            sent_at = self._clock()
            response = self._call(refresh_request(self._settings, token.refresh_token or ""))
            return parse_refresh(response, sent_at=sent_at, previous=token)

        def may_repeat(error: AuthUnavailable) -> bool:
            # An unknown kind of token counts as reusable: recent Keycloaks mark those that are not.
            return not error.is_puzzling and not (token.rotates and error.may_have_acted)

        return _repeat(send_form, REFRESH_TRIES, may_repeat, sleep)

    def logout(self, token: TokenSet) -> None:
        """End the session of this token set. An expired or used refresh token still serves.

        :raises AuthUnavailable: the server did not confirm it.
        """

        def send_form() -> None:
            response = self._call(logout_request(self._settings, token.refresh_token or ""))
            if response.status_code != httpx.codes.NO_CONTENT and not is_session_over(response):
                raise AuthUnavailable(
                    f"the login server answered HTTP {response.status_code} to the logout; the "
                    "session may still exist"
                )

        if token.refresh_token is not None:
            _repeat(send_form, LOGOUT_TRIES, lambda error: not error.is_puzzling, self._sleep)

    def _call(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._send(request)
        except httpx.RequestError as error:
            # httpx raises these before the first byte of the request has left.
            never_sent = isinstance(
                error,
                httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError,
            )
            trouble = AuthUnavailable(
                explain_connection_error(error, request.url),
                may_have_acted=not never_sent,
                status=407 if is_refused_by_proxy(error) else None,
            )
        # Outside of the except block: httpx's error would stay attached as context, and with it
        # the form that holds the password.
        raise trouble


def is_unsent(error: AuthUnavailable) -> bool:
    """Return whether the request reached no server, so that it cannot have been counted."""
    return not error.may_have_acted and error.status != httpx.codes.TOO_MANY_REQUESTS


def login_request(settings: We360Settings) -> httpx.Request:
    """Return the password grant (RFC 6749 section 4.3), without a scope as We360 documents it."""
    return _form(
        settings,
        settings.token_url,
        username=settings.login,
        password=settings.password,
        grant_type="password",
    )


def refresh_request(settings: We360Settings, refresh_token: str) -> httpx.Request:
    """Return the refresh grant (RFC 6749 section 6)."""
    return _form(
        settings, settings.token_url, refresh_token=refresh_token, grant_type="refresh_token"
    )


def logout_request(settings: We360Settings, refresh_token: str) -> httpx.Request:
    """Return the request that ends the session of this refresh token, and no other.

    Not ``/revoke``: older Keycloaks end all sessions of the account there.
    """
    return _form(settings, settings.logout_url, refresh_token=refresh_token)


def parse_login(response: httpx.Response, *, sent_at: float) -> TokenSet:
    """Return the token set of a login.

    :raises CredentialsRefused: the login was refused.
    :raises AccountRefused: the account is disabled or not set up.
    :raises ClientRefused: Customer ID, realm or grant were refused.
    :raises AuthUnavailable: any other answer.
    """
    body = _parse_body(response)
    error, description = _read_error(body)
    if response.is_success and not error:
        return parse_token_answer(body, sent_at=sent_at)
    # Keycloak reports a client without the password grant as invalid_grant, too, but no password
    # was checked. It must not count as a wrong one.
    if error == "invalid_grant" and "direct access grants" not in description:
        if advice := _ACCOUNT_ADVICE.get(description):
            raise AccountRefused(f"We360 login refused: {advice}")
        # Keycloak answers a wrong password and a locked account with the same words, on purpose.
        raise CredentialsRefused(f"We360 login refused: {_WRONG_PASSWORD}")
    # A refusal in unknown words may still count as a failed login on the server.
    raise _refusal(response, error, description, "login")


def parse_refresh(response: httpx.Response, *, sent_at: float, previous: TokenSet) -> TokenSet:
    """Return the token set of a refresh.

    :raises RefreshRejected: the refresh token is no longer valid: log in.
    :raises AccountRefused: the account was disabled.
    :raises ClientRefused: as for a login.
    :raises AuthUnavailable: any other answer.
    """
    body = _parse_body(response)
    error, description = _read_error(body)
    if response.is_success and not error:
        return parse_token_answer(body, sent_at=sent_at, previous=previous)
    if error == "invalid_grant" and description == "user disabled":
        raise AccountRefused(f"We360 refused the session: {_DISABLED}")
    if error == "invalid_grant" or (error, description) in _ALSO_DEAD:
        # Only known words are repeated: others could quote what was sent.
        known = (words for words in _DEAD_REFRESH_TOKEN if description.startswith(words))
        raise RefreshRejected(
            f"the refresh token is no longer valid: {next(known, 'no known reason was given')}"
        )
    raise _refusal(response, error, description, "token refresh")


def is_session_over(response: httpx.Response) -> bool:
    """Return whether a refused logout says that the session had ended before."""
    return (
        response.status_code == httpx.codes.BAD_REQUEST
        and _read_error(_parse_body(response))[0] == "invalid_grant"
    )


def _form(settings: We360Settings, url: httpx.URL, **fields: str) -> httpx.Request:
    wait_s = min(settings.timeout_s, LONGEST_CALL_S)
    timeout = httpx.Timeout(wait_s, connect=min(wait_s, CONNECT_TIMEOUT_S)).as_dict()
    return httpx.Request(
        "POST",
        url,
        data={"client_id": settings.customer_id} | fields,
        headers={"Accept": "application/json"},
        extensions={"timeout": timeout},
    )


def _parse_body(response: httpx.Response) -> Mapping[str, Any]:
    """Return the JSON of the answer. Keycloak's words count as such whatever the status.

    :raises AuthUnavailable: the answer is not Keycloak's, or Keycloak is in trouble.
    """
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    # Known words first, status second: a proxy may change a status, but does not write them.
    if isinstance(body, dict) and (_read_error(body)[0] in _REFUSALS or response.is_success):
        return body
    status = response.status_code
    if response.is_server_error or status == httpx.codes.TOO_MANY_REQUESTS:
        raise AuthUnavailable(
            f"the login server is in trouble (HTTP {status})",
            retry_after_s=parse_retry_after(response.headers),
            # A 429 is answered before the password is checked; a 5xx may come after.
            may_have_acted=response.is_server_error,
            status=status,
        )
    if isinstance(body, dict) and _read_error(body)[0]:
        return body
    page = explain_web_page(response, "the login server")
    raise AuthUnavailable(
        f"HTTP {status}: {page}"
        if page
        else f"the login server answered HTTP {status} without Keycloak's JSON; check that Login "
        "server (extra auth_url) is right and that no proxy or firewall answers in its place",
        retry_after_s=parse_retry_after(response.headers),
        status=status,
    )


def _read_error(body: Mapping[str, Any]) -> tuple[str, str]:
    # Lower case: the descriptions differ in case between versions of Keycloak.
    return str(body.get("error") or ""), str(body.get("error_description") or "").strip().lower()


def _refusal(response: httpx.Response, error: str, description: str, call: str) -> We360AuthError:
    """Return the error for an answer that names one. Unknown words are left to retries."""
    if error.lower().startswith("realm does not exist"):
        return ClientRefused(
            f"We360 {call} refused: Realm (extra realm) does not exist on this login server"
        )
    if error == "invalid_client" and "consent" in description:
        return ClientRefused(
            f"We360 {call} refused: Customer ID (extra customer_id) requires a consent in a "
            "browser; ask We360 support"
        )
    advice = _CLIENT_ADVICE.get("unauthorized_client" if error == "invalid_grant" else error)
    if advice:
        return ClientRefused(f"We360 {call} refused ({error}): {advice}")
    return AuthUnavailable(
        f"We360 {call} failed: the login server answered HTTP {response.status_code}"
        # An unknown error text may quote the form, and with it the password.
        + (f" ({foreign_text(error)})" if _CODE.fullmatch(error) else "")
        + "; check Login server (extra auth_url) and Realm (extra realm)",
        status=response.status_code,
    )


def _repeat(
    call: Callable[[], T], tries: int, may_repeat: Callable[[AuthUnavailable], bool], sleep: Sleep
) -> T:
    """Return the result of the call; repeat it after errors that allow it."""

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, AuthUnavailable) and may_repeat(error)

    for attempt in build_retrying(
        tries, is_transient=may_pass, sleep=sleep, least_wait_s=2.0, longest_jitter_s=8.0
    ):
        with attempt:
            return call()
    raise AssertionError("unreachable: the last attempt returns or raises")
