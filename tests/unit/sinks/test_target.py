from __future__ import annotations

import re

import pytest

from airflow_provider_we360.errors import SinkBusy
from airflow_provider_we360.sinks.target import LONGEST_PAUSE_S, TableName, Target


class Time:
    """A clock that moves only when someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def target(time: Time) -> Target:
    return Target(
        hook=None,
        table=TableName("t"),
        conn_id="c",
        sleep=time.sleep,
        clock=lambda: time.now,
        now=lambda: time.now,
    )


def test_a_free_target_is_not_waited_for(target: Target, time: Time) -> None:
    assert target.wait_for(lambda: 0, what="it") == 0
    assert time.pauses == []


def test_a_held_target_is_retried_with_growing_pauses(target: Target, time: Time) -> None:
    answers = iter([None] * 30)
    assert target.wait_for(lambda: next(answers, "free"), what="it") == "free"
    assert len(time.pauses) == 30
    assert time.pauses[0] < 0.05
    assert max(time.pauses) <= LONGEST_PAUSE_S


def test_the_wait_ends_and_names_the_resource(target: Target, time: Time) -> None:
    with pytest.raises(
        SinkBusy, match=r"it was held by other sessions for 600 s; nothing was changed"
    ):
        target.wait_for(lambda: None, what="it")
    assert 600 <= time.now < 602


def test_the_wait_is_logged_every_15_seconds(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"), pytest.raises(SinkBusy):
        target.wait_for(lambda: None, what="it")
    assert 36 <= len(caplog.messages) <= 40
    assert re.match(r"Waiting for it, held by another session, for 1[56] s", caplog.messages[0])


def test_an_error_ends_the_wait(target: Target) -> None:
    def broken() -> None:
        raise OSError

    with pytest.raises(OSError):
        target.wait_for(broken, what="it")
