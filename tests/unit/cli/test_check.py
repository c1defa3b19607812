"""The steps of check: whatever happens in one is its result."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from airflow_provider_we360.cli.check import STEPS, Outcome, has_passed, run_steps
from airflow_provider_we360.errors import RetryableApiError
from airflow_provider_we360.hooks.connection_test import ReachedHost

CONNECTION = SimpleNamespace(
    conn_id="c",
    host=None,
    port=None,
    schema=None,
    login="ops@acme.example",
    password="correct horse",
    extra='{"customer_id": "acme"}',
)
ADDRESS = [(2, 1, 6, "", ("203.0.113.7", 443))]


class FakeTest:
    """A test of which one method fails."""

    def __init__(self, settings, failing, error):
        self.settings = settings
        self.is_closed = False
        self.failing = failing
        self.error = error

    def _do(self, name, result):
        if name == self.failing:
            raise self.error
        return result

    yesterday = "2026-04-01"

    def reach(self, url):
        return self._do(f"reach {url.host.partition('.')[0]}", ReachedHost(404))

    def login(self):
        token = SimpleNamespace(refresh_token="r", rotates=None, lifetime_s=36_000)
        return self._do("login", token)

    def fetch_one_row(self):
        return self._do("report", SimpleNamespace(rows=SimpleNamespace(num_rows=1)))

    def logout(self):
        return self._do("logout", True)

    def close(self):
        self.is_closed = True
        self._do("close", None)


def run(failing=None, error=None, **changes):
    tests = []

    def open_test(settings):
        tests.append(FakeTest(settings, failing, error))
        return tests[0]

    arguments = {
        "find": lambda: CONNECTION,
        "open_test": open_test,
        "clock": itertools.count(1e9).__next__,
        "resolve": lambda *_, **__: ADDRESS,
    } | changes
    steps = list(run_steps(**arguments))
    assert [step.name for step in steps] == list(STEPS)
    assert all(test.is_closed for test in tests)
    return {step.name: step for step in steps}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_good_connection_passes_every_step():
    steps = run()
    assert has_passed(list(steps.values()))
    assert "api.in.we360.ai is 203.0.113.7" in steps["names"].message
    assert "valid for 36,000 s; refresh token: may be reusable" in steps["login"].message


@pytest.mark.parametrize("error", [RetryableApiError("slow"), RuntimeError("correct horse broke")])
@pytest.mark.parametrize(
    ("failing", "step"),
    [
        ("reach api", "API host"),
        ("reach auth", "login server"),
        ("login", "login"),
        ("report", "report"),
        ("logout", "logout"),
    ],
)
def test_any_exception_fails_its_step_and_skips_the_next(failing, step, error):
    steps = run(failing, error)
    assert steps[step].outcome is Outcome.FAILED
    assert "correct horse" not in steps[step].message
    later = STEPS[STEPS.index(step) + 1 :]
    had_session = step in ("report", "logout")
    expected = dict.fromkeys(later, Outcome.OK if had_session else Outcome.SKIPPED)
    assert {name: steps[name].outcome for name in later} == expected


@pytest.mark.parametrize("error", [OSError("disk"), RuntimeError("odd"), KeyError("x")])
def test_a_connection_that_cannot_be_found_fails_the_first_step(error):
    def find():
        raise error

    steps = run(find=find)
    assert steps["connection"].outcome is Outcome.FAILED
    assert {step.outcome for step in steps.values()} == {Outcome.FAILED, Outcome.SKIPPED}
    assert f"Unexpected {type(error).__name__}" in steps["connection"].message


def test_a_session_that_cannot_be_closed_raises_nothing():
    run("close", RuntimeError("odd"))


def test_names_are_left_to_a_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass@p.test:3128")
    monkeypatch.setenv("NO_PROXY", "auth.in.we360.ai")
    message = run()["names"].message
    proxy = "the proxy p.test:3128 (environment variable HTTPS_PROXY)"
    assert message == f"api.in.we360.ai is left to {proxy}; auth.in.we360.ai is 203.0.113.7"


def test_a_step_in_json_has_the_documented_fields():
    facts = run()["names"].facts()
    assert set(facts) == {"name", "outcome", "message", "seconds"}
    assert facts["outcome"] == "ok"
