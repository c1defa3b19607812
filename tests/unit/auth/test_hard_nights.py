"""Worlds that an outside review built: each once cost a grant, a session or a task too many."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace

import httpx
import pytest

from airflow_provider_we360.auth import keycloak
from airflow_provider_we360.auth.lease import Lease
from airflow_provider_we360.auth.lockout import LockoutState, Refusal, mark_credentials
from airflow_provider_we360.auth.token import TokenSet, parse_token_answer
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    CredentialsRefused,
    RefreshRejected,
)
from airflow_provider_we360.hooks.encrypted_variable import variable_store
from airflow_provider_we360.hooks.encryption import TokenCipher
from simulator.app import BruteForce, SimulatorConfig
from support.fleet import KEY, Fleet, Trouble
from support.login_server import LoginServer
from support.session import World, settings_for

HOUR = 3600.0


def store_of(fleet, **changes):
    """What a worker writes, at once and unharmed."""
    settings = fleet.worker(**changes).settings
    cipher = TokenCipher(settings, KEY)
    return variable_store(settings, fleet.variables, cipher, clock=fleet.time.clock)


def refuse(fleet, kind="credentials", count=1, until=0.0, **changes):
    """Write what a worker writes after refused grants."""
    settings = fleet.worker(**changes).settings
    state = LockoutState()
    refusal = Refusal(kind, count, fleet.time.now - 70, until, "wrong")
    mark = mark_credentials(settings, state.salt)
    state = replace(state, refusals={mark: refusal}, grants=(fleet.time.now - 70,) * count)
    store_of(fleet, **changes).lockout.write(state)


def run(fleet, count=8, at=1.0, **how):
    for _ in range(count):
        fleet.start(fleet.time.now + at + fleet.dice.expovariate(2), **how)
    fleet.time.run()


@pytest.mark.parametrize("broken", [frozenset({"set"}), frozenset()])
def test_a_read_only_first_refusal_costs_one_login_per_process(broken):
    fleet = Fleet()
    refuse(fleet, count=1, until=fleet.time.now + 20, password="wrong")
    fleet.variables.broken, fleet.variables.deaf = broken, not broken
    run(fleet, 1, password="wrong")
    assert [type(failure) for failure in fleet.failures] == [CredentialsRefused]
    assert fleet.request_log.counts["logins_sent"] <= 2


def test_a_lockout_that_cannot_be_renewed_holds_in_the_process():
    fleet = Fleet()
    refuse(fleet, count=2, until=fleet.time.now - 5, password="wrong")
    fleet.variables.broken = frozenset({"set"})

    def ask_ten_times(worker):
        for _ in range(10):
            with pytest.raises(CredentialsRefused):
                worker.ask()

    run(fleet, 1, password="wrong", work=ask_ten_times)
    assert fleet.failures == []
    assert fleet.request_log.counts["logins_sent"] == 1


def test_a_token_stuck_in_a_secrets_backend_is_not_a_success():
    fleet = Fleet(SimulatorConfig(rotation=True))
    run(fleet, 1)
    fleet.variables.shadow.update(fleet.variables.values)
    fleet.time.now += 11 * HOUR
    fleet.sandbox.identity.sessions.end_all("ended")
    fleet.sandbox.identity.change_account(password="changed")
    run(fleet)
    assert {type(failure) for failure in fleet.failures} == {CredentialsRefused}
    assert fleet.request_log.counts["logins_sent"] == 3
    assert fleet.reuses == 0


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(8))
def test_writes_that_fail_now_and_then_cost_no_grant_and_no_task(share, seed):
    wrong = Fleet(
        SimulatorConfig(brute_force=BruteForce(), login_takes_s=0.4),
        seed=seed,
        trouble=Trouble(failing_share=share),
    )
    run(wrong, password="wrong")
    assert wrong.request_log.counts["logins_sent"] <= 2
    right = Fleet(
        SimulatorConfig(rotation=True, login_guard=True, login_takes_s=0.4),
        seed=seed,
        trouble=Trouble(failing_share=share),
    )
    run(right)
    assert right.failures == []
    assert right.live_sessions == 1


@pytest.mark.parametrize("frozen_s", [40, 60, 600])
def test_a_frozen_holder_sends_no_login_after_the_second(frozen_s):
    fleet = Fleet()
    first = fleet.start(fleet.time.now + 1, password="wrong")
    fleet.time.spawn(fleet.time.now + 17, lambda: fleet.time.freeze(first, frozen_s))
    run(fleet, 2, at=5, password="wrong")
    assert fleet.request_log.counts["logins_sent"] == 2
    assert len(fleet.failures) == 3


@pytest.mark.parametrize("age_s", [5, 3600])
@pytest.mark.parametrize("broken", [frozenset({"set"}), frozenset()])
def test_a_stale_lease_without_write_access_costs_half_a_minute(age_s, broken):
    fleet = Fleet()
    store_of(fleet).lease.write(Lease("left behind", fleet.time.now - age_s))
    fleet.variables.broken, fleet.variables.deaf = broken, not broken
    began = fleet.time.now
    run(fleet, 1)
    assert fleet.failures == []
    assert fleet.time.now - began < 60


@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
def test_a_refusal_is_one_whatever_status_wraps_it(status):
    world = World()
    body = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
    answer = httpx.Response(status, json=body)
    with pytest.raises(CredentialsRefused):
        keycloak.parse_login(answer, sent_at=0.0)
    assert world.request_log.logins == 0


def test_logins_with_lost_answers_are_not_sent_by_every_task():
    fleet = Fleet()
    fleet.sandbox.faults.add("login", "html_500", times=None)
    for retry in range(4):
        run(fleet, at=300.0 * (retry > 0))
    assert {type(failure) for failure in fleet.failures} == {AuthUnavailable}
    assert fleet.request_log.counts["logins_sent"] <= 12
    fleet.sandbox.faults.clear()
    run(fleet, at=HOUR)
    assert fleet.done == 8


def test_a_firewalls_answers_stop_a_fleet_for_minutes_only():
    fleet = Fleet()
    fleet.sandbox.faults.add("login", "http_403", times=1)
    run(fleet)
    assert fleet.request_log.counts["logins_sent"] == 1
    run(fleet, at=120)
    assert fleet.done == 8


def test_an_account_disabled_early_fails_tasks_only_later():
    fleet = Fleet()
    run(fleet, 1)
    fleet.time.now += 9.9 * HOUR
    fleet.sandbox.faults.add("refresh", "user_disabled", times=None)
    run(fleet, 4)
    assert fleet.failures == []
    fleet.time.now += HOUR
    run(fleet, 4, at=HOUR)
    assert {type(failure) for failure in fleet.failures} == {AccountRefused}


def test_a_task_killed_while_it_refreshes_leaves_a_doubt():
    class Timeout(BaseException):
        pass

    world = World(SimulatorConfig(rotation=True))
    world.task().ask()
    world.time.now += 36_000
    task = world.task()
    send = task.manager._keycloak._send

    def timed_out(request):
        send(request)
        raise Timeout

    task.manager._keycloak._send = timed_out
    with pytest.raises(Timeout):
        task.ask()
    assert world.task().ask().status_code == 200
    assert world.request_log.counts["refresh_tokens_sent_twice"] == 0
    assert world.live_sessions == 1


def test_sessions_without_an_id_are_told_apart():
    body = {"access_token": "opaque", "refresh_token": "opaque-too", "expires_in": 60}
    one = parse_token_answer(body, sent_at=0.0)
    other = parse_token_answer(body, sent_at=0.0)
    renewed = parse_token_answer(body, sent_at=50.0, previous=one)
    assert one.is_of_other_session(other)
    assert not one.is_of_other_session(renewed)


def test_a_logout_ends_the_session_of_the_password_before():
    fleet = Fleet()
    run(fleet, 1)
    fleet.sandbox.identity.change_account(password="changed")
    fleet.start(fleet.time.now, work=lambda worker: worker.manager.logout(), password="changed")
    fleet.time.run()
    assert (fleet.failures, fleet.live_sessions, fleet.variables.values) == ([], 0, {})


def test_a_login_with_a_new_password_ends_the_old_session():
    fleet = Fleet()
    run(fleet, 1)
    fleet.sandbox.identity.change_account(password="changed")
    run(fleet, 4, password="changed")
    assert (fleet.failures, fleet.request_log.logins, fleet.live_sessions) == ([], 2, 1)


def test_a_renewed_token_is_kept_if_the_lease_seems_lost(monkeypatch):
    """A store that lags can show the lease of another task, which has saved nothing yet."""
    server = LoginServer(lifetime_s=600)
    assert isinstance(server.run_task(), TokenSet)
    server.time.now += 700
    refresh = server._refresh

    def take_the_lease(token):
        (name,) = (name for name in server.variables.values if "lease" in name)
        taken = json.loads(server.variables.values[name]) | {"owner": "another"}
        server.variables.values[name] = json.dumps(taken)
        return refresh(token)

    monkeypatch.setattr(server, "_refresh", take_the_lease)
    token = server.manager().token()
    assert (server.refreshes, len(server.grants)) == (1, 1)
    assert server.manager().token().access_token == token.access_token


def test_what_a_server_echoes_is_not_repeated():
    for words in ("opaque-refresh-token who%40example.org", "s3cret"):
        with pytest.raises(RefreshRejected) as caught:
            answer = httpx.Response(
                400, json={"error": "invalid_grant", "error_description": words}
            )
            keycloak.parse_refresh(
                answer, sent_at=0.0, previous=parse_token_answer({"access_token": "a"}, sent_at=0.0)
            )
        assert words not in str(caught.value)
        with pytest.raises(Exception) as refused:
            keycloak.parse_login(httpx.Response(400, json={"error": words}), sent_at=0.0)
        assert words not in str(refused.value)


@pytest.mark.parametrize("password", ["correct_horse_battery", "ab_cd"])
def test_a_password_that_looks_like_a_code_is_hidden(password):
    settings_for(World().sandbox, password=password)
    with pytest.raises(AuthUnavailable) as refused:
        keycloak.parse_login(httpx.Response(400, json={"error": password}), sent_at=0.0)
    assert password not in str(refused.value)
    with pytest.raises(AuthUnavailable, match="slow_down"):
        keycloak.parse_login(httpx.Response(400, json={"error": "slow_down"}), sent_at=0.0)


def test_an_error_of_the_wire_hangs_on_to_no_form():
    world = World()
    world.sandbox.faults.add("login", "reset", times=None)
    with pytest.raises(AuthUnavailable) as caught:
        world.task().ask()
    error: BaseException | None = caught.value
    seen = []
    while error is not None:
        seen.append(error)
        error = error.__cause__ or error.__context__
    assert not any(isinstance(one, httpx.HTTPError) for one in seen)


def test_forked_children_have_their_own_identity():
    world = World()
    election = world.task().manager._election

    def tell(pipe):
        pipe.send(election.owner)

    owners = [election.owner]
    for _ in range(2):
        mine, theirs = multiprocessing.get_context("fork").Pipe()
        child = multiprocessing.get_context("fork").Process(target=tell, args=(theirs,))
        child.start()
        owners.append(mine.recv())
        child.join()
    assert len(set(owners)) == 3


def test_a_lockout_from_a_fast_clock_lasts_twelve_hours_at_most():
    fleet = Fleet()
    refuse(fleet, count=3, until=fleet.time.now + 400 * 24 * HOUR, password="wrong")
    run(fleet, 2, password="wrong")
    assert fleet.request_log.counts["logins_sent"] == 0
    run(fleet, 2, at=12.1 * HOUR, password="wrong")
    assert fleet.request_log.counts["logins_sent"] == 1


def test_only_the_password_voids_a_token():
    fleet = Fleet()
    run(fleet, 1)
    store = store_of(fleet, password="changed")
    assert store.token.read() is None
    assert store.token.voided is not None
    elsewhere = store_of(fleet, api_url=httpx.URL("https://api.eu.we360.example/"))
    assert elsewhere.token.read() is not None
    ((_, text),) = fleet.variables.values.items()
    assert json.loads(text).keys() == {"v", "expires_at", "sealed"}
