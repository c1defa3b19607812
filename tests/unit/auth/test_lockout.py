"""Lockout protection: whatever a login server answers, an account is never locked by us."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_we360.auth import lockout
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    We360AuthError,
)
from support.examples import examples, few
from support.login_server import PASSWORD, Answer, LoginServer, answer

HOUR = 3600.0
WRONG = {"error": "invalid_grant", "error_description": "Invalid user credentials"}


@pytest.fixture(scope="module", autouse=True)
def _each_mark_is_computed_once() -> Iterator[None]:
    """Spare thousands of tasks the slow hash that each pays once: 4 ms of a core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lockout, "mark_credentials", functools.cache(lockout.mark_credentials))
        yield


def lost(kind: type[httpx.RequestError]) -> Exception:
    return kind("no answer", request=httpx.Request("POST", "https://auth.example/"))


FORMS: dict[str, Callable[[], Answer]] = {
    "200 status false": lambda: answer(200, {"status": False, "message": "Invalid credentials"}),
    "401 Keycloak's words": lambda: answer(401, WRONG),
    "400 Keycloak's words": lambda: answer(400, WRONG),
    "200 Keycloak's words": lambda: answer(200, WRONG),
    "503 Keycloak's words": lambda: answer(503, WRONG),
    "401 other words": lambda: answer(401, {"error": "bad_password"}),
    "401 empty": lambda: answer(401, b""),
    "401 HTML": lambda: answer(401, "<html>401</html>"),
    "400 no JSON": lambda: answer(400, "bad request"),
    "403 HTML": lambda: answer(403, "<html>forbidden</html>"),
    "403 access_denied": lambda: answer(403, {"error": "access_denied"}),
    "404 HTML": lambda: answer(404, "<html>404</html>"),
    "408": lambda: answer(408, ""),
    "409": lambda: answer(409, {}),
    "423 locked": lambda: answer(423, {"error": "locked"}),
    "429": lambda: answer(429, {"error": "too_many_requests"}),
    "429 Retry-After 5": lambda: answer(429, "", **{"Retry-After": "5"}),
    "429 Retry-After 3600": lambda: answer(429, "", **{"Retry-After": "3600"}),
    "500 unknown_error": lambda: answer(500, {"error": "unknown_error"}),
    "500 HTML": lambda: answer(500, "<html>500</html>"),
    "501": lambda: answer(501, ""),
    "502 of a gateway": lambda: answer(502, "<html>502</html>"),
    "503 of a gateway": lambda: answer(503, "<html>503</html>"),
    "503 Retry-After 1": lambda: answer(503, "", **{"Retry-After": "1"}),
    "503 Retry-After nonsense": lambda: answer(503, "", **{"Retry-After": "soon"}),
    "504 of a gateway": lambda: answer(504, ""),
    "302 to a login page": lambda: answer(302, "", Location="/login?error=1"),
    "307": lambda: answer(307, "", Location="https://elsewhere.example/"),
    "200 login page": lambda: answer(200, "<html>wrong password</html>"),
    "200 empty": lambda: answer(200, b""),
    "200 cut JSON": lambda: answer(200, '{"access_token": "ey'),
    "200 list": lambda: answer(200, []),
    "200 null": lambda: answer(200, "null"),
    "200 number": lambda: answer(200, "7"),
    "200 deep JSON": lambda: answer(200, "[" * 200_000),
    "200 token null": lambda: answer(200, {"access_token": None}),
    "200 token number": lambda: answer(200, {"access_token": 7}),
    "200 token with a line break": lambda: answer(200, {"access_token": "a\nb"}),
    "200 token of another type": lambda: answer(200, {"access_token": "a", "token_type": "mac"}),
    "200 not UTF-8": lambda: answer(200, b"\xff\xfe\x00"),
    "204": lambda: answer(204, b""),
    "206": lambda: answer(206, {"status": False}),
    "answer lost": lambda: lost(httpx.RemoteProtocolError),
    "answer too late": lambda: lost(httpx.ReadTimeout),
    "form cut off": lambda: lost(httpx.WriteError),
    "compression broken": lambda: lost(httpx.DecodingError),
    "error of ours": lambda: RuntimeError("a fault in this code"),
}


def grants_of_a_day(form: Callable[[], Answer]) -> list[float]:
    """Return when tasks that come every hour, with two retries each, sent the password."""
    server = LoginServer(answers=form)
    start = server.time.now
    for hour in range(24):
        server.time.now = max(server.time.now, start + hour * HOUR)
        for _ in range(3):
            error = server.run_task()
            assert isinstance(error, We360AuthError | RuntimeError)
            server.time.now += 300
    return [sent - start for sent in server.grants if sent < start + 24 * HOUR]


@pytest.mark.parametrize("form", few(FORMS))
def test_a_refusal_in_any_form_costs_six_grants_a_day_at_most(form):
    grants = grants_of_a_day(FORMS[form])
    assert 1 <= len(grants) <= (4 if "Keycloak" in form else 6)
    if form != "error of ours":
        assert all(later - sooner >= 90 for sooner, later in itertools.pairwise(grants))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(FORMS)),
            st.sampled_from([1.0, 60, 90, 600, HOUR, 6 * HOUR, 12 * HOUR]),
            st.sampled_from(["wrong-1", "wrong-2", "wrong-3"]),
            st.sampled_from(["acme", "globex"]),
        ),
        min_size=5,
        max_size=40,
    )
)
@settings(max_examples=examples(200), deadline=None)
def test_any_credentials_cost_at_most_six_grants_in_12_hours(steps):
    server = LoginServer()
    for form, pause_s, password, customer_id in steps:
        server.answers = FORMS[form]
        server.run_task(password=password, customer_id=customer_id)
        server.time.now += pause_s
    for sent in server.grants:
        assert sum(sent <= other < sent + 12 * HOUR for other in server.grants) <= 6


def test_a_request_that_was_never_sent_is_free():
    server = LoginServer(answers=lambda: lost(httpx.ConnectError))
    for _ in range(20):
        assert isinstance(server.run_task(), AuthUnavailable)
    server.answers = lambda: None
    assert isinstance(server.run_task(), TokenSet)
    assert not any("block" in name for name in server.variables.values)


@pytest.mark.parametrize("minutes", [60, 300])
def test_a_load_soon_after_a_maintenance_succeeds(minutes):
    server = LoginServer(answers=FORMS["503 of a gateway"])
    start = server.time.now
    while server.time.now < start + minutes * 60:
        assert isinstance(server.run_task(), AuthUnavailable)
        server.time.now += 300
    server.answers = lambda: None
    server.time.now = start + minutes * 60 + (900 if minutes == 60 else HOUR)
    assert isinstance(server.run_task(), TokenSet)


def test_retry_after_suspends_the_logins_of_all_tasks():
    server = LoginServer(answers=FORMS["429 Retry-After 3600"])
    second = [server.run_task() for _ in range(2)][1]
    assert isinstance(second, AuthUnavailable)
    assert 3500 < second.retry_after_s <= 3600
    server.answers = lambda: None
    server.time.now += 3500
    assert isinstance(server.run_task(), AuthUnavailable)
    server.time.now += 101
    assert isinstance(server.run_task(), TokenSet)


# state that cannot be read


def block_of(server):
    return f"we360_token_block__{server.settings().login_fingerprint}"


@pytest.mark.parametrize("text", ["junk", '{"v": 3}', '{"v": 2, "state": {}}', "{}", "[]"])
def test_an_unreadable_lockout_forbids_grants_for_a_day(text):
    server = LoginServer()
    server.variables.values[block_of(server)] = text
    for _ in range(6):
        error = server.run_task()
        assert isinstance(error, AuthUnavailable)
        assert block_of(server) in str(error)
        server.time.now += HOUR
    assert server.grants == []
    server.time.now += 18 * HOUR
    assert isinstance(server.run_task(), TokenSet)


def test_deleting_an_unreadable_lockout_allows_the_next_login():
    server = LoginServer()
    server.variables.values[block_of(server)] = "junk"
    server.run_task()
    del server.variables.values[block_of(server)]
    assert isinstance(server.run_task(), TokenSet)


def test_failing_variables_cost_no_grant_and_recover():
    server = LoginServer()
    server.run_task(password="wrong")
    sent = len(server.grants)
    server.variables.broken = frozenset({"get", "set", "delete"})
    for _ in range(10):
        assert isinstance(server.run_task(password="wrong"), AuthUnavailable)
        server.time.now += 60
    assert len(server.grants) == sent
    server.variables.broken = frozenset()
    assert isinstance(server.run_task(), TokenSet)


def test_machines_with_different_keys_share_the_lockout():
    server = LoginServer()
    keys = [Fernet(Fernet.generate_key()) for _ in range(3)]
    for number in range(12):
        server.run_task(password="wrong", key=keys[number % 3])
        server.time.now += 120
    assert len(server.grants) == 2


def test_machines_with_different_keys_keep_their_own_tokens():
    server = LoginServer()
    keys = [Fernet(Fernet.generate_key()) for _ in range(2)]
    for number in range(10):
        assert isinstance(server.run_task(key=keys[number % 2]), TokenSet)
        server.time.now += 60
    assert len(server.sessions) == 1
    assert len(server.grants) == 1 + 5


def test_a_process_without_a_shared_store_sends_one_grant():
    server = LoginServer()
    store = TokenStore()
    for _ in range(5):
        assert isinstance(server.run_task(password="wrong", store=store), CredentialsRefused)
        server.time.now += 60
    assert len(server.grants) == 1


# the bound of an account


def test_spellings_of_one_account_share_one_bound():
    server = LoginServer()
    for customer_id in ("acme", "globex", "initech"):
        for host in ("https://auth.example/", "https://auth.example./"):
            for login in ("etl@acme.example", "ETL@acme.example"):
                server.run_task(
                    password="wrong",
                    customer_id=customer_id,
                    auth_url=httpx.URL(host),
                    login=login,
                )
                server.time.now += 60
    assert len(server.grants) <= 6


def test_hourly_new_wrong_passwords_cost_six_grants_in_12_hours():
    server = LoginServer()
    start = server.time.now
    for hour in range(24):
        server.time.now = max(server.time.now, start + hour * HOUR)
        server.run_task(password=f"wrong-{hour}")
    assert sum(sent < start + 12 * HOUR for sent in server.grants) == 6
    assert len(server.grants) <= 12


def test_the_right_password_works_after_three_mistyped_ones():
    server = LoginServer()
    for number in range(3):
        assert isinstance(server.run_task(password=f"mistyped-{number}"), CredentialsRefused)
        server.time.now += 60
    assert isinstance(server.run_task(), TokenSet)
    assert len(server.grants) == 5
    assert not any("block" in name for name in server.variables.values)


def test_the_named_variable_lifts_the_bound_of_an_account():
    server = LoginServer()
    for number in range(7):
        server.run_task(password=f"mistyped-{number}")
        server.time.now += 60
    error = server.run_task()
    assert isinstance(error, CredentialsRefused)
    assert f"Deleting the Airflow Variable {block_of(server)}" in str(error)
    del server.variables.values[block_of(server)]
    assert isinstance(server.run_task(), TokenSet)


# hosts, slow servers, frozen and killed tasks


def test_connections_with_two_hosts_share_one_session():
    server = LoginServer()
    for number in range(20):
        host = ("https://api.example/", "https://api2.example/")[number % 2]
        assert isinstance(server.run_task(api_url=httpx.URL(host)), TokenSet)
        server.time.now += 600
    assert (len(server.grants), len(server.sessions)) == (1, 1)


@pytest.mark.parametrize("takes_s", [9, 11, 55])
def test_a_slow_login_server_is_waited_for(takes_s):
    server = LoginServer(takes_s=takes_s)
    for _ in range(12):
        assert isinstance(server.run_task(), TokenSet)
        server.time.now += 600
    assert (len(server.grants), len(server.sessions)) == (1, 1)


def test_a_task_frozen_before_saving_its_login_ends_its_session():
    server = LoginServer()
    slow = server.manager()
    frozen = []

    def freeze():
        if not frozen:
            frozen.append(1)
            server.time.now += 600
            assert isinstance(server.run_task(), TokenSet)

    server.answers = freeze
    token = slow.token()
    assert len(server.sessions) == 1
    assert token.session in server.sessions


def test_a_task_killed_while_it_logs_in_is_counted():
    class Killed(BaseException):
        pass

    server = LoginServer()

    def kill():
        raise Killed

    server.answers = kill
    for _ in range(5):
        with pytest.raises(Killed) if len(server.grants) < 2 else pytest.raises(AuthUnavailable):
            server.manager().token()
        server.time.now += 120
    assert len(server.grants) == 2
    server.answers = lambda: None
    server.time.now += HOUR
    assert isinstance(server.run_task(), TokenSet)


# a password that changes while a task runs


def test_the_old_password_is_not_sent_after_a_change():
    server = LoginServer()
    old, new = server.settings(password="old"), server.settings()
    current: list[tuple[We360Settings, TokenStore] | None] = [None]
    manager = TokenManager(
        old,
        server.store(old),
        server.send,
        clock=server.time.clock,
        sleep=server.time.sleep,
        reload=lambda: current[0],
    )
    current[0] = (new, server.store(new))
    assert isinstance(server.run_task(), TokenSet)
    assert manager.token().access_token
    assert len(server.grants) == 1


@pytest.mark.parametrize(
    ("error", "body", "kind"),
    [
        ("invalid_client", "Invalid client", ClientRefused),
        ("invalid_grant", "Account disabled", AccountRefused),
    ],
)
def test_account_and_configuration_errors_cost_one_grant_an_hour(error, body, kind):
    server = LoginServer()
    server.answers = lambda: answer(400, {"error": error, "error_description": body})
    for _ in range(10):
        refusal = server.run_task()
        assert type(refusal) is kind
        server.time.now += 300
    assert len(server.grants) == 1


def test_the_lockout_variable_holds_no_secret():
    server = LoginServer()
    server.run_task(password="wrong-canary")
    text = server.variables.values[block_of(server)]
    facts = json.loads(text)
    assert facts["not_before"] > server.time.now
    assert not any(secret in text for secret in ("canary", "etl@acme.example", PASSWORD))


def test_a_suspension_survives_a_changed_salt():
    server = LoginServer()
    server.run_task(password="wrong")
    entry = server.store(server.settings()).lockout
    state = entry.read(strict=True)
    entry.write(replace(state, salt="ab" * 16, grants=(server.time.now,) * 6))
    assert isinstance(server.run_task(), CredentialsRefused)
    assert len(server.grants) == 2
