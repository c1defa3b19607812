"""Whatever workers, clocks, Variables and Keycloak do to each other: no row of these laws is ever broken.

A Hypothesis state machine plays a deployment. Each rule sets something right or wrong, or lets tasks run; after each the
laws are looked at.
"""

from __future__ import annotations

import itertools
import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_we360.errors import AuthUnavailable, ClientRefused, CredentialsRefused
from simulator.app import BruteForce, SimulatorConfig
from support.examples import examples
from support.fleet import KEY, Fleet, Trouble

TURNED_AWAY = ("http_503", "html_502", "http_429", "reset")
LOST = (
    "committed_then_500",
    "reset_after_commit",
    "html_200",
    "empty_200",
    "truncated_json",
    "no_access_token",
)
ODD = (
    "no_expires_in",
    "no_refresh_expires_in",
    "extra_fields",
    "token_type_lower",
    "big_jwt",
    "no_refresh_token",
)
ENDS = ("sessions_end", "sessions_expire", "sessions_detach")
"""Faults of the sandbox's catalogue: F1 to F26 as a fleet meets them."""


class Deployment(RuleBasedStateMachine):
    """A company's Airflow through some strange weeks."""

    @initialize(
        rotation=st.booleans(),
        guard=st.booleans(),
        lifetime_s=st.sampled_from([60, 300, 3600, 36_000]),
        may_kill=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def begin(self, rotation, guard, lifetime_s, may_kill, seed):
        config = SimulatorConfig(
            rotation=rotation,
            brute_force=BruteForce() if guard else None,
            access_lifetime_s=lifetime_s,
            login_takes_s=0.4,
            refresh_takes_s=0.2,
        )
        self.fleet = Fleet(config, seed=seed)
        self.rotation = rotation
        self.password = config.password
        self.may_kill = may_kill
        self.killed = 0
        self.login_answers_were_lost = False
        self.writes_failed = False
        self.since = 0
        """How many grants had been refused when the matter last changed: the rhythm begins anew."""

    # what happens

    @rule(count=st.integers(1, 8), skew_s=st.sampled_from([0, 0, 600, -600]))
    def tasks_run(self, count, skew_s):
        self.start(count, skew_s)
        self.run()

    @precondition(lambda self: self.may_kill)
    @rule(count=st.integers(1, 4), after_s=st.floats(0.1, 4))
    def tasks_run_and_one_is_killed(self, count, after_s):
        first, *_ = self.start(count, 0)
        self.killed += 1
        self.fleet.time.spawn(self.fleet.time.now + after_s, lambda: self.fleet.time.kill(first))
        self.run()

    def start(self, count, skew_s):
        starts = [self.fleet.time.now + self.fleet.dice.expovariate(2) for _ in range(count)]
        return [
            self.fleet.start(at, skew_s=skew_s * (number % 2), password=self.password)
            for number, at in enumerate(starts)
        ]

    def run(self):
        granted = self.fleet.request_log.counts["logins_ok"]
        self.fleet.time.run()
        if self.fleet.request_log.counts["logins_ok"] > granted:
            self.rhythm_begins_anew()

    def rhythm_begins_anew(self):
        self.since = len(self.fleet.request_log.failed_logins_at)

    @rule(hours=st.sampled_from([0.01, 0.2, 1, 9.8, 10.5, 30]))
    def time_passes(self, hours):
        self.fleet.time.now += hours * 3600

    @rule(
        fault=st.sampled_from(TURNED_AWAY),
        call=st.sampled_from(["login", "refresh"]),
        times=st.integers(1, 3),
    )
    def the_login_server_turns_us_away(self, fault, call, times):
        self.fleet.sandbox.faults.add(call, fault, times=times)

    @rule(fault=st.sampled_from(LOST), call=st.sampled_from(["login", "refresh", "refresh"]))
    def an_answer_gets_lost(self, fault, call):
        self.login_answers_were_lost |= call == "login"
        self.fleet.sandbox.faults.add(call, fault, times=1)

    @rule(fault=st.sampled_from(ODD), call=st.sampled_from(["login", "refresh"]))
    def an_answer_looks_odd(self, fault, call):
        self.login_answers_were_lost |= (call, fault) == ("login", "no_refresh_token")
        self.fleet.sandbox.faults.add(call, fault, times=1)

    @rule(fault=st.sampled_from(ENDS))
    def the_session_ends_on_the_server(self, fault):
        self.fleet.sandbox.faults.add("refresh", fault, times=1)

    @rule(
        trouble=st.sampled_from(
            [Trouble(), Trouble(), Trouble(colliding=0.3), Trouble(failing_share=0.1)]
        )
    )
    def the_database_is_as_it_is(self, trouble):
        self.fleet.trouble.colliding, self.fleet.trouble.failing_share = (
            trouble.colliding,
            trouble.failing_share,
        )
        self.writes_failed |= trouble.failing_share > 0

    @rule(account=st.sampled_from(["disabled", "not_set_up", None, None]))
    def an_administrator_changes_the_account(self, account):
        self.fleet.sandbox.identity.change_account(refused=account)
        self.rhythm_begins_anew()

    @rule(right=st.booleans())
    def somebody_edits_the_connection(self, right):
        self.password = self.fleet.config.password if right else f"wrong-{self.fleet.time.now}"
        self.rhythm_begins_anew()

    @rule()
    @precondition(lambda self: any("block" in name for name in self.fleet.variables.values))
    def somebody_deletes_the_block(self):
        for name in [name for name in self.fleet.variables.values if "block" in name]:
            del self.fleet.variables.values[name]
        self.rhythm_begins_anew()

    # the laws

    @invariant()
    def every_failure_says_what_to_do(self):
        if hasattr(self, "fleet"):
            for failure in self.fleet.failures:
                assert isinstance(failure, CredentialsRefused | ClientRefused | AuthUnavailable), (
                    repr(failure)
                )
                assert not any(secret in str(failure) for secret in ("canary", "eyJ", "wrong-"))

    @invariant()
    def no_refresh_token_that_was_used_is_sent_again(self):
        if hasattr(self, "fleet") and not self.killed and not self.writes_failed:
            assert self.fleet.reuses == 0

    @invariant()
    def a_refused_login_is_asked_again_in_the_rhythm_that_locks_nobody_out(self):
        if hasattr(self, "fleet") and not self.killed and not self.login_answers_were_lost:
            times = self.fleet.request_log.failed_logins_at[self.since :]
            for (sooner, later), least_s in zip(
                itertools.pairwise(times), (90, 3600, 43_200, 43_200), strict=False
            ):
                assert later - sooner >= least_s - 1

    @invariant()
    def one_session_lives_at_most(self):
        if hasattr(self, "fleet") and not self.login_answers_were_lost:
            assert self.fleet.live_sessions <= 1 + self.killed

    def teardown(self):
        """All is well again: so are the tasks, and a session that nobody wants any more has ended."""
        if not hasattr(self, "fleet"):
            return
        self.fleet.sandbox.faults.clear()
        self.fleet.sandbox.identity.change_account(refused=None)
        self.password = self.fleet.config.password
        for name in [name for name in self.fleet.variables.values if "block" in name]:
            del self.fleet.variables.values[name]
        self.fleet.time.now += 1800
        self.fleet.failures.clear()
        self.start(3, 0)
        self.run()
        assert self.fleet.failures == []

    @invariant()
    def the_login_server_sees_one_of_us_at_a_time(self):
        if hasattr(self, "fleet") and not self.killed:
            assert self.fleet.request_log.max_concurrent_logins <= 1
            assert self.fleet.request_log.max_concurrent_refreshes <= 1

    @invariant()
    def no_lease_stays_behind(self):
        if hasattr(self, "fleet") and not self.killed:
            assert not any("lease" in name for name in self.fleet.variables.values)

    @invariant()
    def nothing_secret_is_readable_in_a_variable(self):
        if hasattr(self, "fleet"):
            for name, text in self.fleet.variables.values.items():
                readable = json.loads(text)
                if name.startswith("we360_token__"):
                    KEY.decrypt(readable.pop("sealed"))
                    assert readable.keys() == {"v", "expires_at"}
                else:  # ciphertext holds any three letters now and then
                    assert not any(secret in text for secret in ("canary", "eyJ", "wrong-"))


Deployment.TestCase.settings = settings(
    max_examples=examples(60),
    stateful_step_count=20,
    print_blob=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_the_laws_of_a_fleet = Deployment.TestCase
