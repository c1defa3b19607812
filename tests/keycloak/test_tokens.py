"""What a successful token answer has: fields, headers, claims and lifetimes."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest

from keycloak.server import CUSTOMER, WRONG, Server

ACCESS = {
    "acr", "aud", "azp", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "jti", "name",
    "preferred_username", "realm_access", "resource_access", "scope", "sid", "sub", "typ",
}  # fmt: skip
REFRESH = {"aud", "aud_x", "azp", "iat", "iss", "jti", "prov", "scope", "sid", "sub", "typ"}


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def cached(answer: httpx.Response) -> tuple[str | None, str | None]:
    return answer.headers.get("cache-control"), answer.headers.get("pragma")


def test_an_answer_has_these_fields_in_this_order(server: Server) -> None:
    granted = server.tokens()
    names = "access_token expires_in refresh_expires_in refresh_token token_type not-before-policy session_state scope"
    assert names.split() == list(granted) == list(server.refreshed(granted["refresh_token"]))
    # Keycloak counts from a moment before its answer: a slow machine sees a second less.
    assert granted["expires_in"] in (36000, 35999)
    assert (0, "Bearer", 0) == tuple(
        granted[name] for name in ("refresh_expires_in", "token_type", "not-before-policy")
    )
    assert {"email", "profile", "offline_access"} == set(granted["scope"].split())


def test_token_responses_are_not_to_be_cached(
    server: Server,
) -> None:
    granted, refused = server.login(), server.login(password=WRONG)
    assert (
        ("no-store", "no-cache")
        == cached(granted)
        == cached(refused)
        == cached(server.refresh("x"))
    )
    assert "application/json" == granted.headers["content-type"] == refused.headers["content-type"]
    token = granted.json()["refresh_token"]
    assert (
        (None, None)
        == cached(server.logout("x"))
        == cached(server.revoke("x"))
        == cached(server.revoke(token))
    )
    ended = server.logout(token)
    assert (204, b"", ("no-cache", None)) == (ended.status_code, ended.content, cached(ended))
    assert {"content-type", "content-length"} & ended.headers.keys() == set()
    server.realm = "us-prod"
    assert (None, None) == cached(server.login())


def test_tokens_carry_these_claims(server: Server) -> None:
    granted = server.tokens()
    access, refresh = claims(granted["access_token"]), claims(granted["refresh_token"])
    assert ACCESS == access.keys()
    assert REFRESH == refresh.keys(), "no exp, no reuse_id"
    assert ("Bearer", CUSTOMER, server.user) == (
        access["typ"],
        access["azp"],
        access["preferred_username"],
    )
    assert ("Offline", CUSTOMER, f"{server.base_url}/realms/ind-prod") == (
        refresh["typ"],
        refresh["azp"],
        refresh["iss"],
    )
    assert access["sid"] == refresh["sid"] == granted["session_state"]
    assert 36000 == access["exp"] - access["iat"]
    assert abs(access["iat"] - server.now()) < 5
    assert (
        set(granted["scope"].split())
        == set(access["scope"].split())
        <= set(refresh["scope"].split())
    )


def test_a_refresh_brings_a_new_pair_of_the_same_session(server: Server) -> None:
    first = server.tokens()
    second = server.refreshed(first["refresh_token"])
    assert first["session_state"] == second["session_state"]
    assert 4 == len(
        {
            first["access_token"],
            second["access_token"],
            first["refresh_token"],
            second["refresh_token"],
        }
    )
    assert REFRESH == claims(second["refresh_token"]).keys()


def test_refresh_tokens_of_one_login_share_a_mark(
    server: Server,
) -> None:
    server.set_rotation()
    granted = server.tokens()
    first = claims(granted["refresh_token"])
    second = claims(server.refreshed(granted["refresh_token"])["refresh_token"])
    assert REFRESH | {"reuse_id"} == first.keys() == second.keys()
    assert (
        first["reuse_id"]
        == second["reuse_id"]
        != claims(server.tokens()["refresh_token"])["reuse_id"]
    )


def test_a_session_that_began_before_rotation_never_shows_it(server: Server) -> None:
    token = server.tokens()["refresh_token"]
    server.set_rotation()
    for _ in range(2):
        token = server.refreshed(token)["refresh_token"]
        assert "reuse_id" not in claims(token)


def test_access_tokens_live_as_long_as_the_realm_says(server: Server) -> None:
    server.set_lifespans(access_s=60)
    granted = server.tokens()
    access = claims(granted["access_token"])
    assert 60 == granted["expires_in"] == access["exp"] - access["iat"]


def test_with_a_maximum_age_no_token_outlives_its_session(server: Server) -> None:
    server.set_lifespans(max_s=1000)
    server.begin_a_second()
    granted = server.tokens()
    refresh = claims(granted["refresh_token"])
    assert (
        1000
        == granted["expires_in"]
        == granted["refresh_expires_in"]
        == refresh["exp"] - refresh["iat"]
    )
    server.pass_time(2)
    later = server.refreshed(granted["refresh_token"])
    assert later["expires_in"] == later["refresh_expires_in"] in {997, 998}


def test_with_a_maximum_age_the_idle_time_shows_too(server: Server) -> None:
    server.set_lifespans(max_s=1000, idle_s=500)
    granted = server.tokens()
    assert (granted["expires_in"], granted["refresh_expires_in"]) in ((1000, 500), (999, 499))


def test_an_online_session_has_limits_and_says_so(server: Server) -> None:
    server.set_offline(False)
    granted = server.tokens()
    refresh = claims(granted["refresh_token"])
    assert ("Refresh", 1800, 1800) == (
        refresh["typ"],
        refresh["exp"] - refresh["iat"],
        granted["refresh_expires_in"],
    )
    assert {"email", "profile"} == set(granted["scope"].split())
    assert REFRESH | {"exp"} == refresh.keys()


def test_offline_access_can_be_requested(server: Server) -> None:
    server.set_offline(False)
    granted = server.tokens(scope="offline_access")
    assert "Offline" == claims(granted["refresh_token"])["typ"]
    assert {"email", "profile", "offline_access"} == set(granted["scope"].split())


def test_a_session_stays_offline_without_the_scope(server: Server) -> None:
    token = server.tokens()["refresh_token"]
    server.set_offline(False)
    assert "Offline" == claims(server.refreshed(token)["refresh_token"])["typ"]


def test_a_not_before_push_spares_new_logins(server: Server) -> None:
    server.push_not_before()
    server.pass_time(1.1)
    granted = server.tokens()
    assert 0 < granted["not-before-policy"] <= claims(granted["access_token"])["iat"]
    assert 200 == server.refresh(granted["refresh_token"]).status_code


@pytest.mark.parametrize("call", ["token", "revoke"])
def test_these_endpoints_want_post(server: Server, call: str) -> None:
    answer = server.http.get(server.url(call))
    assert (405, {"error": "HTTP 405 Method Not Allowed"}) == (answer.status_code, answer.json())


def test_a_form_in_json_is_none(server: Server) -> None:
    answer = server.http.post(server.url("token"), json={"grant_type": "password"})
    assert (400, "Missing form parameter: grant_type") == (
        answer.status_code,
        answer.json()["error_description"],
    )


def test_logout_without_a_refresh_token_ends_nothing(server: Server) -> None:
    server.tokens()
    for answer in (server.logout(None), server.http.get(server.url("logout"))):
        assert (200, True) == (
            answer.status_code,
            answer.headers["content-type"].startswith("text/html"),
        )
    assert 1 == server.sessions()
