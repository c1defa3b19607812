"""Eight tasks an hour share one token: the real manager over slow, shared Variables, under a simulated clock."""

from __future__ import annotations

import itertools

import pytest

from airflow_provider_we360.auth.keycloak import login_request, longest_call_s
from airflow_provider_we360.errors import AuthUnavailable, ClientRefused, CredentialsRefused
from simulator.app import BruteForce, SimulatorConfig
from support.examples import few
from support.fleet import Fleet, Trouble, month
from support.session import settings_for

HOUR = 3600.0
MIXES = list(itertools.product((False, True), (False, True)))


def begin(fleet, count=8, at=10.0, **how):
    """Tasks that start together, as the scheduler starts them."""
    return [
        fleet.start(fleet.time.now + at + fleet.dice.expovariate(1 / 0.6), **how)
        for _ in range(count)
    ]


@pytest.mark.long
@pytest.mark.parametrize(("rotation", "guard"), MIXES)
def test_a_month_of_eight_tasks_an_hour_costs_one_login(rotation, guard):
    fleet = month(days=30, rotation=rotation, login_guard=guard)
    assert fleet.failures == []
    assert fleet.done == 30 * 24 * 8
    assert (fleet.request_log.logins, fleet.live_sessions) == (1, 1)
    assert fleet.request_log.counts["refresh_tokens_sent_twice"] == 0
    assert fleet.request_log.refreshes < 100
    assert len(fleet.variables.values) == 1


@pytest.mark.parametrize("seed", few(range(5)))
@pytest.mark.parametrize("skews", [(0, 600), (0, -600), (600, 0, -600)])
def test_workers_with_clocks_ten_minutes_off_share_the_token(skews, seed):
    fleet = month(days=4, skews=skews, seed=seed)  # ten lives of a token
    assert fleet.failures == []
    assert (fleet.request_log.logins, fleet.live_sessions) == (1, 1)
    assert fleet.request_log.counts["refresh_tokens_sent_twice"] == 0


@pytest.mark.parametrize("clock_skew_s", [600, -600])
@pytest.mark.parametrize(
    ("lifetime_s", "every_s"), [(60, 20), (60, 600), (300, 60), (36_000, 3600)]
)
def test_short_and_long_lives_and_a_server_whose_clock_is_off(lifetime_s, every_s, clock_skew_s):
    fleet = month(
        days=every_s * 60 / 86_400,
        every_s=every_s,
        access_lifetime_s=lifetime_s,
        clock_skew_s=clock_skew_s,
    )
    assert fleet.failures == []
    assert (fleet.request_log.logins, fleet.live_sessions) == (1, 1)
    assert fleet.request_log.counts["refresh_tokens_sent_twice"] == 0


def test_eight_tasks_that_renew_early_do_not_renew_as_one():
    fleet = month(days=5)
    assert fleet.request_log.max_concurrent_refreshes == 1


@pytest.mark.parametrize("seed", few(range(6), 3))
@pytest.mark.parametrize(
    "trouble",
    [Trouble(slow_share=0.2), Trouble(stale_s=0.5), Trouble(colliding=0.3)],
    ids=["slow", "stale", "colliding"],
)
def test_variables_in_trouble_never_cost_a_session(trouble, seed):
    fleet = month(days=2, trouble=trouble, seed=seed)
    assert fleet.failures == []
    assert fleet.request_log.logins <= 2
    assert fleet.live_sessions == 1


@pytest.mark.parametrize("broken", ["set", "delete"])
def test_variables_that_refuse_writes_leave_no_session_behind(broken):
    fleet = Fleet(SimulatorConfig(rotation=True, login_takes_s=0.4))
    fleet.variables.broken = frozenset({broken})
    begin(fleet)
    fleet.time.run()
    assert fleet.failures == []
    assert fleet.request_log.logins == (1 if broken == "delete" else 8)
    assert fleet.live_sessions == (1 if broken == "delete" else 0)


def test_no_password_is_sent_while_variables_cannot_be_read():
    fleet = Fleet()
    fleet.variables.broken = frozenset({"get"})
    begin(fleet)
    fleet.time.run()
    assert {type(failure) for failure in fleet.failures} == {AuthUnavailable}
    assert all("we360_token_block__" in str(failure) for failure in fleet.failures)
    assert fleet.request_log.counts["logins_sent"] == 0
    fleet.variables.broken = frozenset()
    begin(fleet)
    fleet.time.run()
    assert (fleet.done, fleet.request_log.logins) == (8, 1)


def test_variables_that_forget_writes_leave_no_session_behind():
    fleet = Fleet(SimulatorConfig(rotation=True))
    fleet.variables.deaf = True
    begin(fleet)
    fleet.time.run()
    assert (fleet.failures, fleet.request_log.logins, fleet.live_sessions) == ([], 8, 0)


def test_a_shadowing_secrets_backend_leaks_no_session():
    fleet = Fleet(SimulatorConfig(rotation=True))
    begin(fleet, 1)
    fleet.time.run()
    fleet.variables.shadow.update(fleet.variables.values)
    fleet.time.now += 11 * HOUR
    begin(fleet, 4)
    fleet.time.run()
    assert fleet.failures == []
    assert fleet.live_sessions <= 1


# a wrong password


@pytest.mark.parametrize("guard", [False, True])
def test_a_wrong_password_costs_two_logins_in_any_fleet(guard):
    fleet = Fleet(SimulatorConfig(brute_force=BruteForce() if guard else None, login_takes_s=0.4))
    for retry in range(4):
        begin(fleet, at=10 + 300 * retry, password="wrong")
    fleet.time.run()
    assert len(fleet.failures) == 32
    assert {type(failure) for failure in fleet.failures} == {CredentialsRefused}
    assert fleet.request_log.counts["logins_sent"] == 2
    assert fleet.request_log.min_gap_between_failed_logins_s >= 90
    assert all("we360_token_block__" in str(failure) for failure in fleet.failures)


def test_one_task_probes_after_an_hour_then_every_twelve_hours():
    fleet = Fleet(SimulatorConfig(login_takes_s=0.4))
    for hour in range(48):
        begin(fleet, 4, at=10 + hour * 1800, password="wrong")
    fleet.time.run()
    times = fleet.request_log.failed_logins_at
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert fleet.request_log.max_concurrent_logins == 1
    assert [round(gap / HOUR) for gap in gaps] == [0, 1, 12]
    assert len(fleet.failures) == 48 * 4


def test_a_password_corrected_in_the_connection_is_tried_at_once():
    fleet = Fleet()
    begin(fleet, password="wrong")
    fleet.time.run()
    begin(fleet)
    fleet.time.run()
    assert len(fleet.failures) == 8
    assert (fleet.done, fleet.live_sessions) == (8, 1)
    assert fleet.request_log.counts["logins_sent"] == 3
    assert not any("block" in name for name in fleet.variables.values)


def test_two_wrong_passwords_never_lift_each_others_lockout():
    fleet = Fleet(SimulatorConfig(brute_force=BruteForce()))
    for hour in range(12):
        begin(fleet, 2, at=10 + 3600 * hour, password="old-1")
        begin(fleet, 2, at=10 + 3600 * hour, password="old-2")
    fleet.time.run()
    assert fleet.request_log.counts["logins_sent"] <= 6


def test_logins_that_differ_in_case_share_a_session():
    fleet = Fleet(SimulatorConfig(rotation=True))
    for hour in range(12):
        begin(fleet, 2, at=10 + 3600 * hour, login="canary.etl@acme-demo.example.com")
        begin(fleet, 2, at=10 + 3600 * hour, login="Canary.ETL@acme-demo.example.com")
    fleet.time.run()
    assert (fleet.failures, fleet.request_log.logins, fleet.live_sessions) == ([], 1, 1)


def test_a_deleted_block_is_tried_at_once_and_a_success_lifts_it():
    fleet = Fleet()
    fleet.sandbox.identity.change_account(refused="disabled")
    begin(fleet)
    fleet.time.run()
    assert fleet.request_log.counts["logins_sent"] == 1
    fleet.sandbox.identity.change_account(refused=None)
    begin(fleet)
    fleet.time.run()
    assert fleet.request_log.counts["logins_sent"] == 1, "blocked for an hour"
    (block,) = (name for name in fleet.variables.values if "block" in name)
    del fleet.variables.values[block]
    begin(fleet)
    fleet.time.run()
    assert fleet.done == 8
    assert not any("block" in name for name in fleet.variables.values)


def test_a_lockout_that_ends_heals_by_itself_within_the_hour():
    fleet = Fleet()
    fleet.sandbox.identity.change_account(refused="otp")
    begin(fleet, 2)
    fleet.time.run()
    fleet.sandbox.identity.change_account(refused=None)
    begin(fleet, 2, at=HOUR)
    fleet.time.run()
    assert (len(fleet.failures), fleet.done, fleet.live_sessions) == (2, 2, 1)
    assert not any("block" in name for name in fleet.variables.values)


def test_a_parallel_portal_login_is_no_wrong_password():
    fleet = Fleet(SimulatorConfig(login_guard=True, login_takes_s=5))
    person = fleet.worker()
    for second in range(0, 20, 4):
        fleet.time.spawn(
            fleet.time.now + second, lambda: person.send(login_request(settings_for(fleet.sandbox)))
        )
    begin(fleet)
    fleet.time.run()
    assert fleet.failures == []
    assert fleet.done == 8
    assert fleet.request_log.counts["logins_refused"] >= 1
    assert sum(name.startswith("we360_token__") for name in fleet.variables.values) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"direct_grants": False},
        {"confidential_client": True},
        {"realm_enabled": False},
        {"offline_allowed": False},
    ],
)
def test_a_refused_configuration_costs_one_grant(config):
    fleet = Fleet(SimulatorConfig(**config))
    for retry in range(3):
        begin(fleet, at=10 + 300 * retry)
    fleet.time.run()
    assert {type(failure) for failure in fleet.failures} == {ClientRefused}
    assert fleet.request_log.counts["logins_sent"] == 1


# a killed worker


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8, 1.2, 1.6, 2.0, 2.5])
def test_a_worker_killed_while_logging_in_delays_the_others(seconds):
    fleet = Fleet(SimulatorConfig(login_takes_s=0.4))
    (leader,) = begin(fleet, 1, at=0)
    fleet.time.spawn(fleet.time.now + 0.6 + seconds, lambda: fleet.time.kill(leader))
    began = fleet.time.now
    others = begin(fleet, 7, at=3)
    fleet.time.run()
    assert fleet.failures == []
    assert fleet.done >= len(others)
    assert fleet.time.now - began < 2 * longest_call_s(settings_for(fleet.sandbox))
    assert fleet.request_log.logins <= 2


def test_a_worker_killed_between_two_logins_leaves_the_second():
    fleet = Fleet()
    leader = fleet.start(fleet.time.now + 1, password="wrong")
    fleet.time.spawn(fleet.time.now + 40, lambda: fleet.time.kill(leader))
    begin(fleet, 7, password="wrong")
    fleet.time.run()
    assert len(fleet.failures) == 7
    assert fleet.request_log.counts["logins_sent"] == 2
    assert fleet.request_log.min_gap_between_failed_logins_s >= 90


# one session


def test_two_logins_at_once_end_with_one_session():
    fleet = Fleet(
        trouble=Trouble(slow_share=1.0), config=SimulatorConfig(rotation=True, login_takes_s=1)
    )
    begin(fleet, 30)
    fleet.time.run()
    assert fleet.failures == []
    assert fleet.live_sessions == 1


@pytest.mark.parametrize("fault", ["http_503", "html_502", "reset", "committed_then_500"])
@pytest.mark.parametrize("rotation", [False, True])
def test_a_broken_early_refresh_fails_no_task(fault, rotation):
    fleet = Fleet(SimulatorConfig(rotation=rotation))
    begin(fleet, 1)
    fleet.time.run()
    fleet.sandbox.faults.add("refresh", fault, times=3)
    for minutes in range(0, 700, 20):
        begin(fleet, 2, at=60 * minutes)
    fleet.time.run()
    assert fleet.failures == []
    assert fleet.request_log.counts["refresh_tokens_sent_twice"] == 0 or not rotation
    assert fleet.live_sessions == 1


def test_an_unreachable_login_server_gets_no_password():
    fleet = Fleet()
    begin(fleet, 1)
    fleet.time.run()
    fleet.time.now += 11 * HOUR
    fleet.sandbox.faults.add("refresh", "http_429", times=None, retry_after="3600")
    begin(fleet)
    fleet.time.run()
    assert {type(failure) for failure in fleet.failures} == {AuthUnavailable}
    assert fleet.request_log.counts["logins_sent"] == 1
