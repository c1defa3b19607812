"""The life of a token, against the sandbox's Keycloak."""

from __future__ import annotations

import threading

import httpx
import pytest

from airflow_provider_we360.auth.token import parse_token_answer
from airflow_provider_we360.errors import (
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    We360ConfigError,
)
from simulator.app import SimulatorConfig
from support.session import World

HOUR = 3600


def test_the_first_request_logs_in_and_sends_token_and_tenant():
    world = World()
    task = world.task()
    assert task.ask().status_code == 200
    assert task.ask().status_code == 200
    assert world.request_log.logins == 1
    assert {request.tenant_header for request in world.request_log.requests} == {"acme-demo"}


def test_the_next_task_finds_the_token_in_the_store():
    world = World()
    world.task().ask()
    world.task().ask()
    assert (world.request_log.logins, world.request_log.refreshes) == (1, 0)


@pytest.mark.parametrize("lifetime_s", [60, 300, 36_000])
def test_no_request_ever_carries_a_token_that_has_ended(lifetime_s):
    world = World(SimulatorConfig(access_lifetime_s=lifetime_s))
    task = world.task()
    for _ in range(60):
        assert task.ask().status_code == 200
        world.time.now += lifetime_s / 7
    assert world.request_log.unauthorized == 0
    assert world.request_log.logins == 1
    assert world.request_log.refreshes >= 7


@pytest.mark.long
@pytest.mark.parametrize("rotation", [True, False])
def test_a_month_of_hourly_tasks_costs_one_login(rotation):
    world = World(SimulatorConfig(rotation=rotation))
    for _ in range(30 * 24):
        assert world.task().ask().status_code == 200
        world.time.now += HOUR
    assert world.request_log.logins == 1
    assert world.request_log.counts["refresh_tokens_sent_twice"] == 0
    assert world.live_sessions == 1


def test_a_token_set_is_stored_before_its_first_use():
    world = World()
    world.task().ask()
    world.time.now += 10 * HOUR
    world.sandbox.faults.add("report", "reset", times=1)
    with pytest.raises(httpx.TransportError):
        world.task().ask()
    assert world.request_log.refreshes == 1
    world.task().ask()
    assert (world.request_log.logins, world.request_log.refreshes) == (1, 1)


def test_an_answer_without_a_refresh_token_keeps_the_old_one():
    world = World()
    world.task().ask()
    world.time.now += 10 * HOUR
    world.sandbox.faults.add("refresh", "no_refresh_token")
    world.task().ask()
    world.time.now += 10 * HOUR
    world.task().ask()
    assert (world.request_log.logins, world.request_log.refreshes) == (1, 2)


@pytest.mark.parametrize(
    "end", ["sessions_end", "sessions_expire", "sessions_detach", "not_before_push"]
)
def test_a_dead_refresh_token_costs_one_login(end):
    world = World()
    task = world.task()
    task.ask()
    world.time.now += 10 * HOUR
    world.sandbox.faults.add("refresh", end)
    assert task.ask().status_code == 200
    assert world.request_log.logins == 2
    assert world.live_sessions <= 1 or end == "not_before_push"


def test_a_401_costs_one_refresh_and_one_replay():
    world = World()
    task = world.task()
    task.ask()
    world.sandbox.faults.add("report", "http_401")
    assert task.ask().status_code == 200
    assert (
        world.request_log.logins,
        world.request_log.refreshes,
        len(world.request_log.requests),
    ) == (1, 1, 3)


def test_a_401_for_a_token_renewed_elsewhere_costs_no_refresh():
    world = World()
    task = world.task()
    task.ask()
    sibling = world.task()
    world.sandbox.faults.add("report", "http_401")
    sibling.ask()
    world.sandbox.faults.add("report", "http_401")
    assert task.ask().status_code == 200
    assert world.request_log.refreshes == 1


def test_a_401_for_a_new_token_is_waited_out_for_seconds():
    world = World()
    task = world.task()
    world.sandbox.faults.add("report", "http_401", times=3)
    assert task.ask().status_code == 200
    world.sandbox.faults.add("report", "http_401", times=None)
    assert task.ask().status_code == 401
    assert len(world.request_log.requests) == 8
    assert (world.request_log.logins, world.request_log.refreshes) == (1, 2)


def test_a_failing_token_endpoint_keeps_the_present_token():
    world = World()
    task = world.task()
    task.ask()
    world.time.now += 10 * HOUR - 600
    world.sandbox.faults.add("refresh", "http_503", times=None)
    for _ in range(20):
        assert task.ask().status_code == 200
    assert world.request_log.counts["refreshes_sent"] <= 3
    assert world.request_log.logins == 1


def test_a_refresh_with_a_lost_answer_still_ends_in_a_session():
    world = World(SimulatorConfig(rotation=True))
    task = world.task()
    task.ask()
    world.time.now += 10 * HOUR
    world.sandbox.faults.add("refresh", "committed_then_500")
    assert task.ask().status_code == 200
    assert world.live_sessions == 1


@pytest.mark.parametrize(
    "fault",
    [
        "http_503",
        "html_502",
        "http_429",
        "html_200",
        "empty_200",
        "truncated_json",
        "reset",
        "no_access_token",
    ],
)
def test_an_unclear_login_answer_is_retried_after_90_seconds(fault):
    world = World()
    world.sandbox.faults.add("login", fault)
    task = world.task()
    for _ in range(3):
        with pytest.raises(AuthUnavailable):
            task.ask()
    assert world.request_log.counts["logins_sent"] == 1
    world.time.now += 91
    assert world.task().ask().status_code == 200
    assert world.request_log.counts["logins_sent"] == 2


@pytest.mark.parametrize("fault", ["http_400", "http_403", "http_404"])
def test_a_refusal_in_unknown_words_is_not_retried_at_once(fault):
    world = World()
    world.sandbox.faults.add("login", fault, times=None)
    task = world.task()
    for _ in range(3):
        with pytest.raises(AuthUnavailable):
            task.ask()
    assert world.request_log.counts["logins_sent"] == 1
    world.sandbox.faults.clear()
    world.time.now += 91
    assert task.ask().status_code == 200


def test_a_login_server_down_for_days_gets_six_grants_a_day():
    world = World()
    began = world.time.now
    world.sandbox.faults.add("login", "http_503", times=None)
    for half_hour in range(2 * 24):
        world.time.now = max(world.time.now, began + half_hour * 1800)
        with pytest.raises(AuthUnavailable):
            world.task().ask()
    assert world.request_log.counts["logins_sent"] == 6


@pytest.mark.parametrize("hours", [1, 5])
def test_a_login_server_that_returns_is_used_within_the_hour(hours):
    world = World()
    began = world.time.now
    world.sandbox.faults.add("login", "http_503", times=None)
    while world.time.now < began + hours * HOUR:
        with pytest.raises(AuthUnavailable):
            world.task().ask()
        world.time.now += 600
    world.sandbox.faults.clear()
    world.time.now = began + hours * HOUR + (900 if hours == 1 else HOUR) + 60
    assert world.task().ask().status_code == 200


@pytest.mark.parametrize(
    ("config", "error", "advice"),
    [
        ({"password": "other"}, CredentialsRefused, "E-mail"),
        ({"direct_grants": False}, ClientRefused, "customer_id"),
        ({"confidential_client": True}, ClientRefused, "customer_id"),
        ({"consent_required": True}, ClientRefused, "customer_id"),
        ({"offline_allowed": False}, ClientRefused, "offline"),
        ({"realm_enabled": False}, ClientRefused, "realm"),
        ({"customer_id": "globex"}, ClientRefused, "customer_id"),
        ({"realm": "other"}, ClientRefused, "realm"),
    ],
)
@pytest.mark.parametrize("kc_version", ["18.0", "26.5", "26.6"])
def test_a_refusal_is_not_asked_again_and_says_what_to_fix(config, error, advice, kc_version):
    world = World(SimulatorConfig(**{"kc_version": kc_version, **config}))
    task = world.task(customer_id="acme-demo", password="canary-Passw0rd-7f3a91")
    for _ in range(4):
        with pytest.raises(error, match=advice) as caught:
            task.ask()
        assert not any(secret in str(caught.value) for secret in ("canary", "@"))
    assert world.request_log.counts["logins_sent"] == (2 if error is CredentialsRefused else 1)


@pytest.mark.parametrize(
    ("refused", "advice"),
    [
        ("disabled", "disabled"),
        ("not_set_up", "log in once in a browser"),
        ("otp", "second factor"),
    ],
)
def test_an_account_in_trouble_is_named(refused, advice):
    world = World()
    world.sandbox.identity.change_account(refused=refused)
    with pytest.raises(CredentialsRefused, match=advice):
        world.task().ask()


def test_a_user_disabled_during_a_session_gets_no_new_login():
    world = World()
    task = world.task()
    task.ask()
    world.time.now += 10 * HOUR
    world.sandbox.faults.add("refresh", "account_becomes")
    with pytest.raises(CredentialsRefused, match="disabled"):
        task.ask()
    assert world.request_log.logins == 1


@pytest.mark.parametrize(
    ("fault", "args"),
    [
        ("no_expires_in", {}),
        ("expires_in", {"value": 0}),
        ("expires_in", {"value": -1}),
        ("expires_in", {"value": "36000"}),
        ("expires_in", {"value": 36000.0}),
        ("expires_in", {"value": None}),
        ("no_refresh_expires_in", {}),
        ("extra_fields", {}),
        ("token_type_lower", {}),
        ("big_jwt", {}),
        ("clock_off", {"seconds": 600}),
        ("clock_off", {"seconds": -600}),
    ],
)
def test_the_lifetime_is_learnt_whatever_the_answer_looks_like(fault, args):
    world = World()
    world.sandbox.faults.add("login", fault, **args)
    token = world.task().manager.token()
    assert token.lifetime_s == 36_000
    assert token.expires_at == world.time.now + 36_000


def test_an_unknown_lifetime_counts_as_five_minutes(caplog):
    token = parse_token_answer({"access_token": "opaque"}, sent_at=1000.0)
    assert token.lifetime_s == 300
    assert "did not say how long" in caplog.text


def test_eight_threads_of_a_task_share_one_login():
    world = World()
    task = world.task()
    threads = [threading.Thread(target=task.ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.request_log.logins == 1
    assert len(world.request_log.requests) == 8


def test_logout_ends_the_session_and_empties_the_store():
    world = World()
    task = world.task()
    task.ask()
    assert task.manager.logout() is True
    assert world.live_sessions == 0
    assert world.store.token.read() is None
    assert task.manager.logout() is False


def test_a_failed_logout_keeps_the_token_for_a_retry():
    world = World()
    task = world.task()
    task.ask()
    world.sandbox.faults.add("logout", "http_503", times=None)
    with pytest.raises(AuthUnavailable):
        task.manager.logout()
    world.sandbox.faults.clear()
    assert world.task().manager.logout() is True
    assert world.live_sessions == 0
    assert world.store.token.read() is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://localhost/x",
        "https://127.0.0.1/x",
        "http://127.0.0.1:81/x",
    ],
)
def test_another_host_raises_before_a_byte_is_sent(url):
    world = World()
    task = world.task()
    with pytest.raises(We360ConfigError, match="url"):
        task.http.get(url)
    with pytest.raises(We360ConfigError, match="url"):
        task.http.get(url, auth=None)
    assert world.request_log.counts["logins_sent"] == 0


def test_a_redirect_is_never_followed():
    world = World()
    world.sandbox.faults.add("report", "redirect")
    assert world.task().ask().status_code == 302


def test_both_tokens_are_masked_before_anything_else_sees_them():
    world = World()
    token = world.task().manager.token()
    assert world.masked == [token.access_token, token.refresh_token]


def test_no_token_is_shown_by_its_own_value():
    token = World().task().manager.token()
    assert token.access_token not in repr(token)
    assert token.refresh_token not in repr(token)


def test_an_answer_with_broken_compression_counts_as_a_grant():
    world = World()
    world.sandbox.faults.add("login", "gzip_junk", times=None)
    for _ in range(3):
        with pytest.raises(AuthUnavailable):
            world.task().ask()
    assert world.request_log.counts["logins_sent"] == 1


def test_a_long_retry_after_sends_no_password_instead():
    world = World()
    task = world.task()
    task.ask()
    world.time.now += 11 * HOUR
    world.sandbox.faults.add("refresh", "http_503", times=None, retry_after="3600")
    with pytest.raises(AuthUnavailable):
        task.ask()
    assert world.request_log.counts["logins_sent"] == 1


def test_a_rejected_token_is_not_replaced_by_an_older_one():
    world = World()
    task = world.task()
    task.ask()
    old = world.store.token.read()
    world.time.now += 10 * HOUR
    task.ask()
    world.store.token.write(old)
    world.sandbox.faults.add("report", "http_401")
    assert task.ask().status_code == 200
    assert (world.request_log.logins, world.request_log.refreshes) == (1, 2)


def test_a_session_that_is_over_already_is_a_good_logout():
    world = World()
    task = world.task()
    task.ask()
    world.sandbox.faults.add("logout", "http_400", form="oauth", message="invalid_grant")
    assert task.manager.logout() is True
