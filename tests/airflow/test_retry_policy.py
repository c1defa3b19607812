"""We360RetryPolicy waits as long as the failure says: rescheduled on 3.4, retried on 3.3."""

from __future__ import annotations

import datetime as dt
import importlib

import pytest

from airflow_provider_we360.errors import AuthUnavailable, RetryableApiError, SinkBusy
from support.airflow_line import AIRFLOW, before, since

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def module():
    return importlib.import_module("airflow_provider_we360.retry_policy")


def decide(module, error, **arguments):
    return module.We360RetryPolicy(**arguments).evaluate(error, try_number=1, max_tries=3)


@before((3, 3), "policies exist from 3.3 on")
def test_import_names_the_version_and_the_way_out() -> None:
    with pytest.raises(ImportError, match=r"Airflow 3\.3 or later; .* set retries"):
        importlib.import_module("airflow_provider_we360.retry_policy")


@since((3, 3), "retry policies")
@pytest.mark.parametrize(
    "error",
    [
        RetryableApiError("429", retry_after_s=90.2),
        AuthUnavailable("503", retry_after_s=90.2),
    ],
    ids=["api", "login-server"],
)
def test_a_known_delay_is_used(module, error) -> None:
    decision = decide(module, error)
    assert decision.retry_delay == dt.timedelta(seconds=91)
    assert type(error).__name__ in decision.reason
    if AIRFLOW >= (3, 4):
        assert decision.action is module.RetryAction.RESCHEDULE
        assert decision.reschedule_timeout == module.MAX_WAIT
    else:
        assert decision.action is module.RetryAction.RETRY


@since((3, 3), "retry policies")
@pytest.mark.parametrize(
    "error",
    [
        RetryableApiError("500"),
        SinkBusy("busy"),
        KeyError("x"),
        AuthUnavailable("503", retry_after_s=0),
        RetryableApiError("429", retry_after_s=3601),
    ],
    ids=["no-delay", "sink", "foreign", "zero", "too-long"],
)
def test_other_failures_follow_the_task_settings(module, error) -> None:
    decision = decide(module, error, max_wait=dt.timedelta(hours=1))
    assert decision.action is module.RetryAction.DEFAULT


@since((3, 3), "retry policies")
def test_the_policy_survives_serialization(module) -> None:
    policy = module.We360RetryPolicy(max_wait=dt.timedelta(minutes=5))
    assert module.We360RetryPolicy.deserialize(policy.serialize()).max_wait == policy.max_wait


@since((3, 3), "retry policies")
def test_a_max_wait_below_zero_is_refused(module) -> None:
    with pytest.raises(ValueError, match="max_wait: must be a positive timedelta"):
        module.We360RetryPolicy(max_wait=dt.timedelta(0))
