"""The exceptions: each says what to do next, and Airflow acts on its class."""

from __future__ import annotations

import inspect
import pickle

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from airflow_provider_we360 import errors

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.We360Error)
]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_remedy_and_a_docstring_of_its_own(kind):
    assert vars(kind)["remedy"]
    assert vars(kind)["__doc__"]
    assert issubclass(kind, AirflowException)


def test_docstring_draws_every_error_and_whether_it_is_retried():
    drawn = {
        line.strip("│├└─ ").split(" ")[0]: line.rstrip().endswith("never retried")
        for line in inspect.getdoc(errors).splitlines()
        if "──" in line or line.startswith("    We360Error")
    }
    assert drawn == {kind.__name__: issubclass(kind, AirflowFailException) for kind in ALL}


def test_only_a_run_without_a_day_is_skipped():
    skipped = [kind.__name__ for kind in ALL if issubclass(kind, AirflowSkipException)]
    assert skipped == ["NoDayInInterval"]


@pytest.mark.parametrize(
    "error",
    [
        errors.AccountRefused("the account is disabled"),
        errors.AuthUnavailable("down", retry_after_s=3.0, may_have_acted=False, status=503),
        errors.RetryableApiError(
            "slow", report="r", days="2026-04-01", status=429, request_id="7", retry_after_s=9.0
        ),
        errors.WindowOverlaps("a sum"),
        errors.NoDayInInterval("nothing to load"),
    ],
)
def test_an_error_survives_pickling_with_its_attributes(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
