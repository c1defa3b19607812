"""The identity side answers as Keycloak does, word for word; what versions differ in, and what only a stopped clock shows.

``tests/keycloak`` holds it against a real server of this year. Answers of 22.0 and 26.5 here are what 22.0.5 and 26.5.6 gave.
"""

from __future__ import annotations

import threading
import time

import httpx
import jwt
import pytest

from simulator.app import Account, BruteForce, Simulator, SimulatorConfig
from simulator.refusals import REFUSALS
from simulator.server import serve

BAD = "Invalid user credentials"
NO_CLIENT = "Invalid client or Invalid client credentials"


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def told(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    content = answer.json()
    return answer.status_code, content.get("error"), content.get("error_description")


# a login that succeeds


def test_a_login_brings_what_keycloak_brings(caller) -> None:
    answer = caller.login()
    content = answer.json()
    assert list(content) == [
        "access_token",
        "expires_in",
        "refresh_expires_in",
        "refresh_token",
        "token_type",
        "not-before-policy",
        "session_state",
        "scope",
    ]
    assert (36000, 0, "Bearer", 0) == tuple(
        content[n] for n in ("expires_in", "refresh_expires_in", "token_type", "not-before-policy")
    )
    assert content["scope"] == "email profile offline_access"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


def test_tokens_carry_the_claims_of_keycloak(caller, clock) -> None:
    content = caller.tokens()
    access, refresh = claims(content["access_token"]), claims(content["refresh_token"])
    assert ("Bearer", "acme-demo", int(clock.now)) == (access["typ"], access["azp"], access["iat"])
    assert access["exp"] - access["iat"] == 36000
    assert access["sid"] == refresh["sid"] == content["session_state"]
    assert {"jti", "iss", "sub", "scope", "email", "preferred_username", "name"} <= access.keys()
    assert refresh["typ"] == "Offline"
    assert {"exp", "reuse_id", "nbf"} & refresh.keys() == set()
    assert refresh["iss"] == "https://sandbox.example.com/realms/ind-prod"


def test_newer_versions_write_more_into_a_refresh_token(sandbox_with) -> None:
    for version, has in (("26.5", False), ("26.7", True)):
        assert has == (
            {"aud_x", "prov"}
            <= claims(sandbox_with(kc_version=version).tokens()["refresh_token"]).keys()
        )


@pytest.mark.parametrize(("version", "has"), [("24.0", False), ("26.5", True)])
def test_newer_versions_show_rotation_in_the_refresh_token(
    sandbox_with, version: str, has: bool
) -> None:
    caller = sandbox_with(kc_version=version, rotation=True)
    assert has == ("reuse_id" in claims(caller.tokens()["refresh_token"]))
    assert (not has) == ("session_state" in claims(caller.tokens()["access_token"]))


def test_lifetimes_are_as_the_switches_say(sandbox_with) -> None:
    content = sandbox_with(access_lifetime_s=300, refresh_lifetime_s=1800, offline=False).tokens()
    assert (300, 1800, "email profile") == (
        content["expires_in"],
        content["refresh_expires_in"],
        content["scope"],
    )
    refresh = claims(content["refresh_token"])
    assert ("Refresh", 1800) == (refresh["typ"], refresh["exp"] - refresh["iat"])


def test_a_fast_server_clock_shows_in_tokens_and_date(sandbox_with, clock) -> None:
    answer = sandbox_with(clock_skew_s=600).login()
    assert claims(answer.json()["access_token"])["iat"] == int(clock.now) + 600
    assert "13:30:00" in answer.headers["date"]


# refusals of the password grant


@pytest.mark.parametrize(
    ("switches", "form", "expected"),
    [
        ({}, {"password": "no"}, (401, "invalid_grant", BAD)),
        ({"kc_version": "26.6"}, {"password": "no"}, (400, "invalid_grant", BAD)),
        ({}, {"username": "stranger@example.com"}, (401, "invalid_grant", BAD)),
        ({}, {"username": "robot@example.com", "password": "x"}, (401, "invalid_grant", BAD)),
        ({}, {"username": "otp@example.com", "password": "x"}, (401, "invalid_grant", BAD)),
        (
            {},
            {"username": "off@example.com", "password": "x"},
            (400, "invalid_grant", "Account disabled"),
        ),
        (
            {},
            {"username": "new@example.com", "password": "x"},
            (400, "invalid_grant", "Account is not fully set up"),
        ),
        ({}, {"username": "new@example.com", "password": "no"}, (401, "invalid_grant", BAD)),
        (
            {"direct_grants": False},
            {},
            (400, "unauthorized_client", "Client not allowed for direct access grants"),
        ),
        ({"consent_required": True}, {}, (400, "invalid_client", "Client requires user consent")),
        ({}, {"client_id": "acme"}, (401, "invalid_client", NO_CLIENT)),
        (
            {"kc_version": "18.0"},
            {"client_id": "acme"},
            (400, "invalid_client", "Invalid client credentials"),
        ),
        ({"confidential_client": True}, {}, (401, "unauthorized_client", NO_CLIENT)),
        (
            {"confidential_client": True, "kc_version": "18.0"},
            {},
            (401, "unauthorized_client", "Client secret not provided in request"),
        ),
        (
            {"offline_allowed": False},
            {},
            (400, "not_allowed", "Offline tokens not allowed for the user or client"),
        ),
        ({}, {"scope": "openid reports"}, (400, "invalid_scope", "Invalid scopes: openid reports")),
        ({}, {"username": ""}, (401, "invalid_grant", BAD)),
        ({}, {"username": []}, (401, "invalid_request", "Missing parameter: username")),
        ({}, {"grant_type": []}, (400, "invalid_request", "Missing form parameter: grant_type")),
        ({}, {"grant_type": ""}, (400, "unsupported_grant_type", "Unsupported grant_type")),
        ({}, {"grant_type": "magic"}, (400, "unsupported_grant_type", "Unsupported grant_type")),
        (
            {},
            {"username": "off@example.com", "password": "no"},
            (400, "invalid_grant", "Account disabled"),
        ),
        (
            {"kc_version": "26.6"},
            {"username": "off@example.com", "password": "no"},
            (400, "invalid_grant", BAD),
        ),
        ({}, {"username": ["a", "b"]}, (400, "invalid_request", "duplicated parameter")),
        ({"realm_enabled": False}, {}, (403, "access_denied", "Realm not enabled")),
        ({"realm": "us-prod"}, {}, (404, "Realm does not exist", None)),
    ],
)
def test_a_login_is_refused_in_keycloaks_words(
    sandbox_with, switches: dict, form: dict, expected: tuple
) -> None:
    people = [
        ("robot", "service_account"),
        ("otp", "otp"),
        ("off", "disabled"),
        ("new", "not_set_up"),
    ]
    accounts = tuple(Account(f"{name}@example.com", "x", refused=why) for name, why in people)
    caller = sandbox_with(more_accounts=accounts, **switches)
    answer = caller.login(**form)
    assert expected == told(answer)
    assert caller.sandbox.request_log.counts["logins_ok"] == 0


def test_logins_ignore_the_case_of_the_name_only(caller) -> None:
    login, password = caller.sandbox.config.login, caller.sandbox.config.password
    assert caller.login(username=login.upper()).status_code == 200
    assert caller.login(password=password.upper()).status_code == 401


def test_a_second_factor_is_never_right(sandbox_with) -> None:
    caller = sandbox_with(more_accounts=(Account("otp@example.com", "x", refused="otp"),))
    assert caller.login(username="otp@example.com", password="x", totp="123456").status_code == 401


def test_the_token_endpoint_wants_post(caller) -> None:
    assert caller.http.get("/realms/ind-prod/protocol/openid-connect/token").status_code == 405


# brute force


def test_too_many_failures_lock_the_account(sandbox_with, clock) -> None:
    caller = sandbox_with(brute_force=BruteForce(failure_factor=3))
    for _ in range(3):
        caller.login(password="no")
        clock.now += 2
    assert told(caller.login()) == (401, "invalid_grant", BAD)
    clock.now += 60
    assert caller.login().status_code == 200


def test_failures_made_while_locked_do_not_lengthen_the_lock(sandbox_with, clock) -> None:
    caller = sandbox_with(brute_force=BruteForce(failure_factor=2))
    for _ in range(2):
        caller.login(password="no")
        clock.now += 2
    for _ in range(20):
        caller.login(password="no")
    clock.now += 59
    assert caller.login().status_code == 200


def test_waits_grow_to_a_limit(sandbox_with, clock) -> None:
    caller = sandbox_with(
        brute_force=BruteForce(failure_factor=1, wait_increment_s=60, max_wait_s=100)
    )
    caller.login(password="no")
    clock.now += 61
    caller.login(password="no")
    clock.now += 61
    assert caller.login().status_code == 401
    clock.now += 40
    assert caller.login().status_code == 200


def test_two_failures_within_a_second_lock_for_a_minute(sandbox_with, clock) -> None:
    caller = sandbox_with(brute_force=BruteForce())
    caller.login(password="no")
    clock.now += 0.9
    caller.login(password="no")
    assert caller.login().status_code == 401
    clock.now += 61
    assert caller.login().status_code == 200


def test_failures_expire_and_a_success_clears_them(sandbox_with, clock) -> None:
    caller = sandbox_with(brute_force=BruteForce(failure_factor=2, reset_s=100))
    for pause in (101, 2):
        caller.login(password="no")
        clock.now += pause
    assert caller.login().status_code == 200
    caller.login(password="no")
    clock.now += 2
    assert caller.login().status_code == 200


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("26.6", (400, BAD)),
        ("26.5", (401, BAD)),
        ("22.0", (401, BAD)),
        ("21.0", (400, "Account disabled")),
    ],
)
def test_a_permanent_lock_never_ends(sandbox_with, clock, version: str, expected: tuple) -> None:
    caller = sandbox_with(
        kc_version=version, brute_force=BruteForce(failure_factor=1, permanent=True)
    )
    caller.login(password="no")
    clock.now += 10**7
    status, words = expected
    assert told(caller.login()) == (status, "invalid_grant", words)


def test_a_right_password_that_opens_nothing_forgets_no_failure(sandbox_with, clock) -> None:
    caller = sandbox_with(brute_force=BruteForce(failure_factor=2))
    for refused in (None, "not_set_up", None):
        caller.sandbox.identity.change_account(refused=refused)
        caller.login(**({} if refused else {"password": "no"}))
        clock.now += 2
    assert told(caller.login()) == (401, "invalid_grant", BAD)


def test_without_brute_force_detection_nobody_is_locked(caller) -> None:
    for _ in range(40):
        caller.login(password="no")
    assert caller.login().status_code == 200


# refreshes


def test_a_refresh_keeps_the_session_and_brings_a_new_pair(caller, clock) -> None:
    first = caller.tokens()
    clock.now += 3600
    second = caller.refresh(first["refresh_token"]).json()
    assert first["session_state"] == second["session_state"]
    assert (
        len({first["access_token"], second["access_token"]})
        == len({first["refresh_token"], second["refresh_token"]})
        == 2
    )
    assert caller.sandbox.request_log.snapshot()["live_sessions"] == {
        caller.sandbox.config.login: 1
    }


def test_without_rotation_an_old_refresh_token_lives_on(caller) -> None:
    first = caller.tokens()["refresh_token"]
    assert [200, 200, 200] == [caller.refresh(first).status_code for _ in range(3)]


def test_with_rotation_a_second_use_ends_the_session(sandbox_with) -> None:
    caller = sandbox_with(rotation=True)
    first = caller.tokens()["refresh_token"]
    second = caller.refresh(first).json()["refresh_token"]
    assert told(caller.refresh(first)) == (
        400,
        "invalid_grant",
        "Maximum allowed refresh token reuse exceeded",
    )
    assert told(caller.refresh(second)) == (
        400,
        "invalid_grant",
        "Session doesn't have required client",
    )
    assert caller.sandbox.request_log.snapshot()["live_sessions"] == {}


def test_with_rotation_a_stale_token_ends_the_session(sandbox_with, clock) -> None:
    caller = sandbox_with(rotation=True)
    first = caller.tokens()["refresh_token"]
    second = caller.refresh(first).json()["refresh_token"]
    clock.now += 1
    third = caller.refresh(second).json()["refresh_token"]
    assert told(caller.refresh(first)) == (400, "invalid_grant", "Stale token")
    assert told(caller.refresh(third)) == (
        400,
        "invalid_grant",
        "Session doesn't have required client",
    )


def test_with_rotation_an_older_token_passes_within_a_second(sandbox_with) -> None:
    caller = sandbox_with(rotation=True)
    first = caller.tokens()["refresh_token"]
    second = caller.refresh(first).json()["refresh_token"]
    caller.refresh(second)
    assert caller.refresh(first).status_code == 200


def test_rotation_may_allow_some_reuse(sandbox_with) -> None:
    caller = sandbox_with(rotation=True, max_reuse=1)
    first = caller.tokens()["refresh_token"]
    assert [200, 200, 400] == [caller.refresh(first).status_code for _ in range(3)]


def test_a_refresh_token_expires_when_it_says(sandbox_with, clock) -> None:
    caller = sandbox_with(refresh_lifetime_s=1800)
    token = caller.tokens()["refresh_token"]
    clock.now += 1800
    assert caller.refresh(token).status_code == 200, "its last second is one of its life"
    clock.now += 1
    assert told(caller.refresh(token)) == (400, "invalid_grant", "Token is not active")


def test_an_idle_session_is_gone_without_a_word(sandbox_with, clock) -> None:
    caller = sandbox_with(idle_s=1000)
    token = caller.tokens()["refresh_token"]
    for _ in range(2):
        clock.now += 900
        assert caller.refresh(token).status_code == 200, "each refresh starts the idle time anew"
    clock.now += 1001
    assert told(caller.refresh(token)) == (400, "invalid_grant", "Offline user session not found")


@pytest.mark.parametrize("limit", ["idle_s", "session_max_s"])
@pytest.mark.parametrize(
    ("version", "first_words"),
    [("26.7", "Offline session not active"), ("26.8", "Session not active")],
)
def test_a_session_beyond_a_limit_set_since_dies_in_two_steps(
    sandbox_with, clock, version: str, first_words: str, limit: str
) -> None:
    caller = sandbox_with(kc_version=version)
    token = caller.tokens()["refresh_token"]
    caller.sandbox.identity.change_realm(**{limit: 1000})
    clock.now += 1001
    assert told(caller.refresh(token)) == (400, "invalid_grant", first_words)
    assert told(caller.refresh(token)) == (400, "invalid_grant", "Offline user session not found")


def test_a_session_has_a_greatest_age_and_its_tokens_tell(sandbox_with, clock) -> None:
    caller = sandbox_with(session_max_s=5000)
    token = caller.tokens()["refresh_token"]
    clock.now += 4000
    later = caller.refresh(token).json()
    assert (1000, 1000) == (later["expires_in"], later["refresh_expires_in"])
    clock.now += 1001
    assert told(caller.refresh(later["refresh_token"])) == (
        400,
        "invalid_grant",
        "Token is not active",
    )


@pytest.mark.parametrize(
    ("offline", "words"), [(True, "Offline user session not found"), (False, "Session not active")]
)
def test_a_session_that_was_logged_out_is_gone(sandbox_with, offline: bool, words: str) -> None:
    caller = sandbox_with(offline=offline)
    token = caller.tokens()["refresh_token"]
    caller.logout(token)
    assert told(caller.refresh(token)) == (400, "invalid_grant", words)


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", jwt.encode({"typ": "Offline"}, "k" * 64, algorithm="HS512")]
)
def test_a_refresh_token_of_somebody_else_is_garbage(caller, token: str) -> None:
    assert told(caller.refresh(token)) == (400, "invalid_grant", "Invalid refresh token")


def test_an_access_token_is_no_refresh_token(caller) -> None:
    assert told(caller.refresh(caller.tokens()["access_token"])) == (
        400,
        "invalid_grant",
        "Invalid refresh token",
    )


def test_no_refresh_token_at_all_is_a_request_that_is_wrong(caller) -> None:
    assert told(caller.post("token", grant_type="refresh_token")) == (
        400,
        "invalid_request",
        "No refresh token",
    )
    assert told(caller.refresh("")) == (400, "invalid_grant", "Invalid refresh token")


def test_a_refresh_token_of_another_customer_is_refused(sandbox_with) -> None:
    other = sandbox_with(customer_id="other-co").login(client_id="other-co").json()["refresh_token"]
    words = "Invalid refresh token. Token client and authorized client don't match"
    assert told(sandbox_with().refresh(other)) == (400, "invalid_grant", words)


def test_a_refresh_at_another_address_names_it(sandbox_with) -> None:
    for version in ("26.5", "22.0"):
        caller = sandbox_with(kc_version=version)
        token = caller.tokens()["refresh_token"]
        caller.http.base_url = httpx.URL("https://moved.example.com")
        answer = caller.refresh(token)
        words = "Invalid token issuer. Expected 'https://moved.example.com/realms/ind-prod'"
        assert told(answer) == (
            (400, "invalid_grant", words) if version == "26.5" else (200, None, None)
        )


def test_a_disabled_user_is_refused_at_refresh_in_other_words(caller) -> None:
    token = caller.tokens()["refresh_token"]
    caller.sandbox.identity.change_account(refused="disabled")
    assert told(caller.refresh(token)) == (400, "invalid_grant", "User disabled")


def test_a_deleted_users_session_is_gone(caller) -> None:
    token = caller.tokens()["refresh_token"]
    caller.sandbox.identity.accounts.clear()
    assert told(caller.refresh(token)) == (400, "invalid_grant", "Offline user session not found")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (
            "26.5",
            (
                400,
                "invalid_grant",
                "Offline session invalid because offline access not granted anymore",
            ),
        ),
        ("22.0", (400, "not_allowed", "Offline tokens not allowed for the user or client")),
    ],
)
def test_a_user_who_lost_the_role_loses_the_session(
    sandbox_with, version: str, expected: tuple
) -> None:
    caller = sandbox_with(kc_version=version)
    token = caller.tokens()["refresh_token"]
    caller.sandbox.identity.change_realm(offline_allowed=False)
    assert told(caller.refresh(token)) == expected


@pytest.mark.parametrize(("version", "status"), [("26.5", 400), ("22.0", 200)])
def test_an_unknown_scope_is_minded_at_a_refresh_since_26(
    sandbox_with, version: str, status: int
) -> None:
    caller = sandbox_with(kc_version=version)
    assert status == caller.refresh(caller.tokens()["refresh_token"], scope="zebra").status_code


def test_a_not_before_push_ends_all_tokens(caller) -> None:
    old = caller.tokens()
    caller.sandbox.identity.push_not_before()
    assert told(caller.refresh(old["refresh_token"])) == (400, "invalid_grant", "Stale token")
    assert caller.report(old["access_token"]).status_code == 401
    new = caller.tokens()
    assert new["not-before-policy"] == caller.sandbox.identity.not_before > 0
    assert caller.report(new["access_token"]).status_code == 200
    assert caller.refresh(new["refresh_token"]).status_code == 200


def test_a_restarted_sandbox_remembers_no_session(sandbox_with) -> None:
    token = sandbox_with().tokens()["refresh_token"]
    assert told(sandbox_with().refresh(token)) == (
        400,
        "invalid_grant",
        "Offline user session not found",
    )


# ends of sessions


def test_logout_ends_one_session_and_says_nothing(caller) -> None:
    first, second = caller.tokens(), caller.tokens()
    answer = caller.logout(first["refresh_token"])
    assert (204, b"") == (answer.status_code, answer.content)
    assert "content-length" not in answer.headers
    assert caller.refresh(second["refresh_token"]).status_code == 200
    assert caller.logout(first["refresh_token"]).status_code == 204, "a second time too"
    assert caller.sandbox.request_log.counts["logouts"] == 2


def test_logout_accepts_an_expired_token_but_no_garbage(sandbox_with, clock) -> None:
    caller = sandbox_with(refresh_lifetime_s=60)
    token = caller.tokens()["refresh_token"]
    clock.now += 61
    assert caller.logout(token).status_code == 204
    assert told(caller.logout("")) == (400, "invalid_grant", "Invalid refresh token")
    assert told(caller.logout("x")) == (400, "invalid_grant", "Invalid refresh token")


def test_logout_without_a_token_shows_a_page(sandbox_with) -> None:
    page = sandbox_with().post("logout")
    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert told(sandbox_with(kc_version="17.0").post("logout")) == (
        400,
        "invalid_request",
        "No refresh token",
    )


@pytest.mark.parametrize(("version", "left"), [("26.0", 0), ("26.1", 1)])
def test_a_revocation_used_to_end_all_sessions_of_the_user(
    sandbox_with, version: str, left: int
) -> None:
    caller = sandbox_with(kc_version=version)
    first, _ = caller.tokens(), caller.tokens()
    answer = caller.post("revoke", token=first["refresh_token"])
    assert (200, b"") == (answer.status_code, answer.content)
    assert left == sum(caller.sandbox.request_log.live_sessions().values())


def test_a_revoked_access_token_leaves_its_session_alive(caller) -> None:
    granted = caller.tokens()
    assert caller.post("revoke", token=granted["access_token"]).status_code == 200
    assert caller.report(granted["access_token"]).status_code == 401
    assert (
        caller.report(caller.refresh(granted["refresh_token"]).json()["access_token"]).status_code
        == 200
    )


def test_a_revocation_of_nothing_known_succeeds_with_an_error(caller) -> None:
    assert told(caller.post("revoke", token="x")) == (200, "invalid_token", "Invalid token")
    assert told(caller.post("revoke")) == (400, "invalid_request", "Token not provided")


# at the same time


def at_once(n: int, call) -> list[int]:
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(call().status_code)) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(codes)


@pytest.mark.parametrize(("guard", "codes"), [(True, [200, 401, 401]), (False, [200, 200, 200])])
def test_a_parallel_login_is_refused_and_not_counted(
    sandbox_with, guard: bool, codes: list[int]
) -> None:
    caller = sandbox_with(login_guard=guard, login_takes_s=0.15, sleep=time.sleep)
    assert codes == at_once(3, caller.login)
    assert caller.sandbox.request_log.max_concurrent_logins >= 2
    assert caller.login().status_code == 200


@pytest.mark.parametrize(("race", "codes"), [(True, [200, 200, 200]), (False, [200, 400, 400])])
def test_parallel_refreshes_win_by_version(sandbox_with, race: bool, codes: list[int]) -> None:
    caller = sandbox_with(rotation=True, rotation_race=race, refresh_takes_s=0.15, sleep=time.sleep)
    token = caller.tokens()["refresh_token"]
    assert codes == at_once(3, lambda: caller.refresh(token))
    assert caller.refresh(token).status_code == 400


# the request_log


def test_the_ledger_counts_what_happened_to_sessions(caller, clock) -> None:
    first, second = caller.tokens(), caller.tokens()
    for pause in (5, 9, 0):
        caller.login(password="no")
        clock.now += pause
    caller.refresh(first["refresh_token"])
    caller.refresh(first["refresh_token"])
    caller.refresh("x")
    caller.logout(second["refresh_token"])
    seen = caller.sandbox.request_log.snapshot()
    counted = {name: value for name, value in seen.items() if isinstance(value, int | float | dict)}
    assert {
        "logins_ok": 2,
        "logins_refused": 3,
        "refreshes_ok": 2,
        "refreshes_refused": 1,
        "logouts": 1,
        "revocations": 0,
        "faults_played": 0,
        "refresh_tokens_sent_twice": 1,
        "live_sessions": {caller.sandbox.config.login: 1},
        "max_concurrent_logins": 1,
        "max_concurrent_refreshes": 1,
        "min_gap_between_failed_logins_s": 5.0,
        "data_requests": 0,
        "unauthorized": 0,
        "max_in_flight": 0,
    } == counted


def test_every_refusal_has_its_own_name_and_text() -> None:
    assert {refusal.error for refusal in REFUSALS.values()} >= {
        "invalid_grant",
        "invalid_client",
        "access_denied",
        "not_allowed",
    }
    wordless = [name for name, refusal in REFUSALS.items() if refusal.description is None]
    assert wordless == ["realm_unknown", "session_limit"]


def test_the_real_clock_and_the_real_wire_bring_tokens_that_work() -> None:
    sandbox = Simulator(SimulatorConfig())
    with serve(sandbox) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        form = {
            "client_id": "acme-demo",
            "grant_type": "password",
            "username": sandbox.config.login,
            "password": sandbox.config.password,
        }
        content = http.post("/realms/ind-prod/protocol/openid-connect/token", data=form).json()
    assert abs(claims(content["access_token"])["iat"] - time.time()) < 5
