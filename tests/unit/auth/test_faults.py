"""Every fault of the identity side by name, F1 to F25: each has an outcome, and none costs more than it must.

Answers of a strange kind are played in process, faults of the wire over a socket.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from airflow_provider_we360.auth.keycloak import (
    LARGEST_ANSWER_BYTES,
    KeycloakClient,
    is_unsent,
    parse_login,
)
from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
)
from airflow_provider_we360.transport.client import build_http_client, send_bounded
from simulator.app import Simulator, SimulatorConfig
from simulator.faults import FAULTS
from simulator.server import serve
from support.session import World, settings_for, shared_store

TEN_HOURS = 36_000
DEADLINE_S = 1.5

REFUSED_LOGINS = {
    "locked_for_ever": CredentialsRefused,
    "account_disabled": AccountRefused,
    "not_set_up": AccountRefused,
    "direct_grants_off": ClientRefused,
    "unknown_client": ClientRefused,
    "confidential_client": ClientRefused,
    "realm_unknown": ClientRefused,
    "realm_disabled": ClientRefused,
    "offline_not_allowed": ClientRefused,
    "consent_required": ClientRefused,
    "bad_scope": ClientRefused,
    "no_username": ClientRefused,
    "no_grant_type": ClientRefused,
    "unsupported_grant": ClientRefused,
    "duplicated_parameter": ClientRefused,
    "https_required": ClientRefused,
}
DEAD_REFRESH_TOKENS = (
    "refresh_expired",
    "refresh_garbage",
    "refresh_of_other_client",
    "unmatching_clients",
    "issuer_changed",
    "session_expired",
    "sessions_expire",
    "online_session_ended",
    "session_gone",
    "sessions_end",
    "reuse_exceeded",
    "session_detached",
    "sessions_detach",
    "client_session_inactive",
    "stale_token",
    "not_before_push",
    "before_session",
    "before_client_session",
    "consent_withdrawn",
)
PASSING = (
    "server_trouble",
    "session_limit",
    "no_access_token",
    "html_200",
    "html_500",
    "html_502",
    "html_503",
    "html_504",
    "http_502",
    "http_503",
    "http_504",
    "http_429",
    "redirect",
    "empty_200",
    "truncated_json",
    "gzip_junk",
    "gzip_cut",
    "gzip_bomb",
    "other_packing",
    "other_json",
    "committed_then_500",
)
HARMLESS = (
    "expires_in",
    "extra_fields",
    "no_expires_in",
    "no_refresh_expires_in",
    "refresh_expires_in",
    "no_refresh_token",
    "shorter_life",
    "token_type_lower",
    "big_jwt",
    "clock_off",
    "jwt_without_exp",
    "wrong_content_type",
    "delay",
)
ON_THE_WIRE = (
    "close",
    "close_after_commit",
    "cut_off",
    "reset",
    "reset_after_commit",
    "not_http",
    "drip",
)
IDENTITY = {f"F{number}" for number in range(1, 26)} | {"P/R"}
ELSEWHERE = {
    "offline_withdrawn",  # as offline_not_allowed, at a refresh
    "wrong_password",  # two grants, 90 s apart: test_fleet
    "password_changes",  # below
    "account_becomes",  # below, as user_disabled
    "user_disabled",
    "not_a_jwt",  # the sandbox's own API could not read it: test_lifecycle
    "no_refresh_token_sent",  # of the logout: below
    "revoke_unknown_token",  # we never revoke
    "no_token_sent",
    "not_utf8",  # of reports
}


def test_every_identity_fault_is_in_one_of_these_lists():
    named = {*REFUSED_LOGINS, *DEAD_REFRESH_TOKENS, *PASSING, *HARMLESS, *ON_THE_WIRE, *ELSEWHERE}
    assert {name for name, fault in FAULTS.items() if fault.number in IDENTITY} <= named


@pytest.mark.parametrize("fault", REFUSED_LOGINS)
def test_a_login_that_a_person_must_fix_is_not_retried(fault):
    world = World()
    world.sandbox.faults.add("login", fault, times=None)
    for _ in range(4):
        with pytest.raises(REFUSED_LOGINS[fault]) as caught:
            world.task().ask()
        assert type(caught.value) is REFUSED_LOGINS[fault]
    assert world.request_log.counts["logins_sent"] == (
        2 if REFUSED_LOGINS[fault] is CredentialsRefused else 1
    )
    assert world.live_sessions == 0


def test_a_password_changed_on_the_server_costs_two_logins():
    world = World()
    world.task().ask()
    world.sandbox.identity.change_account(password="changed")
    world.time.now += TEN_HOURS
    assert world.task().ask().status_code == 200
    world.sandbox.identity.sessions.end_all("ended")
    for _ in range(4):
        with pytest.raises(CredentialsRefused):
            world.task().ask()
    assert world.request_log.counts["logins_sent"] == 3


@pytest.mark.parametrize("fault", ["user_disabled", "account_becomes"])
def test_an_account_disabled_during_its_session_gets_no_login(fault):
    world = World()
    world.task().ask()
    world.time.now += TEN_HOURS
    world.sandbox.faults.add("refresh", fault)
    for _ in range(3):
        with pytest.raises(AccountRefused):
            world.task().ask()
    assert (
        world.request_log.counts["logins_sent"],
        world.request_log.counts["refreshes_sent"],
    ) == (1, 1)


@pytest.mark.parametrize("fault", DEAD_REFRESH_TOKENS)
@pytest.mark.parametrize("rotation", [False, True])
def test_a_dead_refresh_token_costs_one_login(fault, rotation):
    world = World(SimulatorConfig(rotation=rotation))
    world.task().ask()
    world.time.now += TEN_HOURS
    world.sandbox.faults.add("refresh", fault)
    for _ in range(3):
        assert world.task().ask().status_code == 200
    assert world.request_log.logins == 2
    assert world.request_log.counts["refreshes_sent"] == 1


@pytest.mark.parametrize("fault", PASSING)
def test_an_unclear_login_answer_costs_one_grant_and_a_retry(fault):
    world = World()
    world.sandbox.faults.add("login", fault)
    for _ in range(2):
        with pytest.raises(AuthUnavailable):
            world.task().ask()
    assert world.request_log.counts["logins_sent"] == 1
    world.time.now += 95
    assert world.task().ask().status_code == 200
    assert world.request_log.counts["logins_sent"] == 2


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("rotation", [False, True])
def test_a_failing_refresh_costs_at_most_one_login(fault, rotation):
    world = World(SimulatorConfig(rotation=rotation))
    world.task().ask()
    world.time.now += TEN_HOURS
    world.sandbox.faults.add("refresh", fault)
    assert world.task().ask().status_code == 200
    assert world.request_log.logins == (2 if rotation and fault != "http_429" else 1)
    assert world.live_sessions == 1


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("rotation", [False, True])
def test_a_failing_early_refresh_keeps_the_present_token(fault, rotation):
    world = World(SimulatorConfig(rotation=rotation))
    world.task().ask()
    world.time.now += TEN_HOURS - 1000
    world.sandbox.faults.add("refresh", fault, times=None)
    task = world.task(spread=lambda: 1.0)
    for _ in range(20):
        assert task.ask().status_code == 200
    assert world.request_log.logins == 1
    assert world.request_log.counts["refreshes_sent"] == (
        1 if rotation and fault != "http_429" else 2
    )


@pytest.mark.parametrize("fault", HARMLESS)
@pytest.mark.parametrize("call", ["login", "refresh"])
def test_an_answer_of_an_odd_shape_is_as_good_as_any(fault, call):
    world = World()
    if call == "refresh":
        world.task().ask()
        world.time.now += TEN_HOURS
    world.sandbox.faults.add(call, fault)
    assert world.task().ask().status_code == 200
    assert world.request_log.logins == 1


@pytest.mark.parametrize("times", [1, None])
def test_a_logout_that_the_server_does_not_understand_is_told(times):
    world = World()
    world.task().ask()
    world.sandbox.faults.add("logout", "no_refresh_token_sent", times=times)
    if times is None:
        with pytest.raises(Exception, match="logout"):
            world.task().manager.logout()
    else:
        assert world.task().manager.logout() is True
        assert world.live_sessions == 0


@contextmanager
def over_a_socket(
    config: SimulatorConfig, **changes: object
) -> Iterator[tuple[Simulator, TokenManager, list[float]]]:
    """The real client and manager, real time, but nobody sleeps: who would, moves the clock."""
    slept: list[float] = [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    def clock() -> float:
        return time.time() + slept[0]

    sandbox = Simulator(config, clock=clock, sleep=sleep)
    with serve(sandbox) as server:
        url = httpx.URL(server.url)
        settings = settings_for(
            sandbox, **({"api_url": url, "auth_url": url, "timeout_s": 1.0} | changes)
        )
        with build_http_client(settings) as http:
            manager = TokenManager(
                settings,
                shared_store(),
                lambda request: send_bounded(
                    http,
                    request,
                    deadline_s=DEADLINE_S,
                    max_bytes=LARGEST_ANSWER_BYTES,
                    clock=clock,
                ),
                clock=clock,
                sleep=sleep,
            )
            yield sandbox, manager, slept


@pytest.mark.parametrize("fault", ON_THE_WIRE)
def test_a_lost_login_answer_costs_one_grant_and_a_retry(fault):
    with over_a_socket(SimulatorConfig()) as (sandbox, manager, slept):
        sandbox.faults.add("login", fault)
        with contextlib.suppress(AuthUnavailable):
            manager.token()
        assert sandbox.request_log.counts["logins_sent"] <= 1
        slept[0] += 95
        assert manager.token().access_token


@pytest.mark.parametrize("fault", ON_THE_WIRE)
@pytest.mark.parametrize("rotation", [False, True])
def test_a_wire_that_breaks_at_a_refresh_costs_no_session(fault, rotation):
    with over_a_socket(SimulatorConfig(rotation=rotation)) as (sandbox, manager, slept):
        manager.token()
        slept[0] += TEN_HOURS
        sandbox.faults.add("refresh", fault)
        token = manager.token()
        assert sandbox.identity.account_of(token.access_token) is not None
        assert sum(sandbox.request_log.live_sessions().values()) == 1
        assert sandbox.request_log.counts["refresh_tokens_sent_twice"] == 0 or not rotation


def test_an_unreachable_login_server_is_named_with_its_host():
    with over_a_socket(SimulatorConfig(), auth_url=httpx.URL("http://127.0.0.1:9")) as (
        sandbox,
        manager,
        _,
    ):
        with pytest.raises(Exception, match=r"http://127\.0\.0\.1:9: cannot connect; .*firewall"):
            manager.token()
        assert sandbox.request_log.counts["logins_sent"] == 0


@pytest.mark.parametrize(("answer", "tries"), [("407 Auth", 1), ("403 No", 1), ("502 Bad", 3)])
def test_a_proxys_refusal_is_free_and_not_repeated(answer, tries):
    sent = []

    def send(request):
        sent.append(request)
        raise httpx.ProxyError(answer, request=request)

    settings = settings_for(Simulator(SimulatorConfig()))
    login = KeycloakClient(settings, send, clock=time.time, sleep=lambda _: None).login
    with pytest.raises(AuthUnavailable) as caught:
        login(lambda _: None)
    assert (len(sent), is_unsent(caught.value)) == (tries, True)


def test_a_gateways_page_in_place_of_a_token_is_named():
    page = httpx.Response(403, html="<title>Blocked by Acme</title>")
    page.request = httpx.Request("POST", "https://auth.test")
    with pytest.raises(AuthUnavailable, match=r"HTTP 403: a web page .*\('Blocked by Acme'\)"):
        parse_login(page, sent_at=0.0)
