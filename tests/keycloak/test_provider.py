"""The provider's own requests on both servers: each is accepted, and each answer understood."""

from __future__ import annotations

import httpx
import pytest

from airflow_provider_we360.auth.keycloak import (
    is_session_over,
    login_request,
    logout_request,
    parse_login,
    parse_refresh,
    refresh_request,
)
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import (
    AccountRefused,
    ClientRefused,
    CredentialsRefused,
    RefreshRejected,
)
from keycloak.server import CUSTOMER, WRONG, Server

SENT_AT = 1_800_000_000.0


def settings_for(server: Server, **changes: object) -> We360Settings:
    fields: dict[str, object] = {
        "conn_id": "we360_default",
        "customer_id": CUSTOMER,
        "login": server.user,
        "password": server.password,
        "api_url": httpx.URL("https://api.in.we360.ai"),
        "auth_url": httpx.URL(server.base_url),
        "trust_env": False,
    }
    return We360Settings(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("rotates", [None, True])
def test_a_session_lives_from_login_to_logout(server: Server, rotates: bool | None) -> None:
    if rotates:
        server.set_rotation()
    settings = settings_for(server)
    first = parse_login(server.http.send(login_request(settings)), sent_at=SENT_AT)
    assert first.lifetime_s in (36000, 35999)  # Keycloak counts from a moment before its answer
    assert rotates == first.rotates
    answer = server.http.send(refresh_request(settings, str(first.refresh_token)))
    second = parse_refresh(answer, sent_at=SENT_AT, previous=first)
    assert (first.session, rotates) == (second.session, second.rotates)
    assert 1 == server.sessions()
    assert 204 == server.http.send(logout_request(settings, str(second.refresh_token))).status_code
    assert 0 == server.sessions()
    with pytest.raises(RefreshRejected):
        parse_refresh(
            server.http.send(refresh_request(settings, str(second.refresh_token))),
            sent_at=SENT_AT,
            previous=second,
        )


@pytest.mark.parametrize("rotates", [False, True])
def test_a_refresh_token_used_before_still_ends_its_session(server: Server, rotates: bool) -> None:
    if rotates:
        server.set_rotation()
    settings = settings_for(server)
    token = str(
        parse_login(server.http.send(login_request(settings)), sent_at=SENT_AT).refresh_token
    )
    server.http.send(refresh_request(settings, token))
    assert 204 == server.http.send(logout_request(settings, token)).status_code
    assert 0 == server.sessions()


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({"password": WRONG}, CredentialsRefused),
        ({"login": "stranger@example.com"}, CredentialsRefused),
        ({"customer_id": "acme"}, ClientRefused),
        ({"realm": "us-prod"}, ClientRefused),
    ],
)
def test_a_wrong_connection_field_has_its_own_error(
    server: Server, changes: dict[str, str], raised: type[Exception]
) -> None:
    with pytest.raises(raised):
        parse_login(
            server.http.send(login_request(settings_for(server, **changes))), sent_at=SENT_AT
        )


def test_a_disabled_account_differs_from_a_wrong_password(server: Server) -> None:
    server.disable_user()
    with pytest.raises(AccountRefused):
        parse_login(server.http.send(login_request(settings_for(server))), sent_at=SENT_AT)


def test_a_logout_that_is_refused_for_its_token_counts_as_over(server: Server) -> None:
    assert is_session_over(server.http.send(logout_request(settings_for(server), "x")))
    assert not is_session_over(
        server.http.send(logout_request(settings_for(server, customer_id="acme"), "x"))
    )
