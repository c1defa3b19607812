"""What logins, refreshes and failures leave behind on the server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import httpx

from keycloak.cases import BAD, DETACHED, REUSED
from keycloak.server import WRONG, Server


def at_once(n: int, call: Callable[[], httpx.Response]) -> list[tuple[int, str | None]]:
    """Return status and description of n calls that begin together, sorted by status."""
    barrier = Barrier(n)

    def one(_: int) -> httpx.Response:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(n) as pool:
        answers = list(pool.map(one, range(n)))
    return sorted(
        (answer.status_code, answer.json().get("error_description")) for answer in answers
    )


# sessions


def test_each_login_opens_one_session_and_no_refresh_does(server: Server) -> None:
    tokens = [server.tokens()["refresh_token"] for _ in range(3)]
    for token in tokens:
        server.refreshed(token)
    assert 3 == server.sessions()
    server.logout(tokens[1])
    assert [200, 400, 200] == [server.refresh(token).status_code for token in tokens]
    assert 2 == server.sessions()


def test_a_refused_login_opens_none(server: Server) -> None:
    server.login(password=WRONG)
    server.set_offline_allowed(False)
    server.login()
    assert 0 == server.sessions()


def test_each_refresh_starts_the_idle_time_anew(server: Server) -> None:
    server.set_lifespans(idle_s=4)
    token = server.tokens()["refresh_token"]
    for _ in range(3):
        server.pass_time(1.6)
        token = server.refreshed(token)["refresh_token"]
    assert 1 == server.sessions()


def test_a_reused_refresh_token_costs_the_session(server: Server) -> None:
    server.set_rotation()
    token = server.tokens()["refresh_token"]
    server.refreshed(token)
    assert 1 == server.sessions()
    server.refresh(token)
    assert 0 == server.sessions()


def test_logout_with_a_used_refresh_token_ends_the_session(
    server: Server,
) -> None:
    server.set_rotation()
    used = server.tokens()["refresh_token"]
    server.pass_time(1.1)
    newest = server.refreshed(used)["refresh_token"]
    server.pass_time(1.1)
    newest = server.refreshed(newest)["refresh_token"]
    assert 204 == server.logout(used).status_code
    assert (400, 0) == (server.refresh(newest).status_code, server.sessions())


# brute force


def test_attempts_during_a_lockout_do_not_lengthen_it(server: Server) -> None:
    server.set_brute_force(failure_factor=2, wait_s=3)
    server.fail_login()
    server.fail_login()
    for _ in range(5):
        assert 400 == server.login(password=WRONG).status_code
    assert 400 == server.login().status_code, "locked"
    server.pass_time(4.1)
    assert 200 == server.login().status_code


def test_two_failures_within_a_second_lock(server: Server) -> None:
    server.set_brute_force(quick_ms=1000)
    server.fail_login()
    server.fail_login()
    assert BAD == server.login().json()["error_description"]


def test_a_success_forgets_failures(server: Server) -> None:
    server.set_brute_force(failure_factor=2)
    for _ in range(3):
        server.fail_login()
        assert 200 == server.login().status_code


def test_without_brute_force_detection_no_one_is_locked(server: Server) -> None:
    for _ in range(35):
        server.login(password=WRONG)
    assert 200 == server.login().status_code


# at the same time


def test_brute_force_detection_refuses_a_parallel_login(
    server: Server,
) -> None:
    server.set_brute_force()
    server.slow_logins()
    assert [(200, None), (400, BAD), (400, BAD)] == at_once(3, server.login)
    assert 1 == server.sessions()


def test_without_brute_force_detection_parallel_logins_succeed(server: Server) -> None:
    server.slow_logins()
    assert [(200, None)] * 3 == at_once(3, server.login)
    assert 3 == server.sessions()


def test_refused_for_being_second_is_not_counted_as_a_failure(server: Server) -> None:
    server.set_brute_force(failure_factor=2)
    server.slow_logins()
    assert [(400, BAD)] * 3 == at_once(3, lambda: server.login(password=WRONG))
    server.pass_time(1)
    assert 200 == server.login().status_code, "three failures would have locked"


def test_a_refresh_and_a_logout_pass_while_a_login_is_in_flight(server: Server) -> None:
    server.set_brute_force()
    first, second = server.tokens()["refresh_token"], server.tokens()["refresh_token"]
    server.slow_logins()
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(server.login)
        assert 200 == server.refresh(first).status_code
        assert 204 == server.logout(second).status_code
        assert 200 == login.result().status_code


def test_two_parallel_refreshes_under_rotation_end_the_session(
    server: Server,
) -> None:
    for _ in range(3):
        server.clear()
        server.set_rotation()
        token = server.tokens()["refresh_token"]
        assert [(200, None), (400, REUSED)] == at_once(2, partial(server.refresh, token))
        assert DETACHED == server.refresh(token).json()["error_description"]
        assert 0 == server.sessions()


def test_without_rotation_refreshes_at_once_all_succeed(server: Server) -> None:
    token = server.tokens()["refresh_token"]
    assert [(200, None)] * 4 == at_once(4, lambda: server.refresh(token))
    assert 1 == server.sessions()
