"""Values on the wire."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.config import SimulatorConfig
from simulator.encoding import ABSENT, build_encoder, duration_as


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00"),
        (59, "0:00:59"),
        (3600, "1:00:00"),
        (25_509, "7:05:09"),
        (475_509, "132:05:09"),
    ],
)
def test_a_duration_has_unlimited_hours(seconds: int, text: str) -> None:
    assert duration_as(seconds) == text


def test_only_a_short_duration_may_have_two_parts() -> None:
    assert ("59:59", "1:00:00") == (duration_as(3599, "mm_ss"), duration_as(3600, "mm_ss"))


@given(st.integers(0, 10**9), st.sampled_from(["h_mm_ss", "mm_ss", "seconds", "seconds_text"]))
def test_every_form_of_a_duration_can_be_read_back(seconds: int, form: str) -> None:
    parts = [int(part) for part in str(duration_as(seconds, form)).split(":")]
    assert seconds == sum(part * 60**place for place, part in enumerate(reversed(parts)))


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [
        ("attendance_date", dt.date(2026, 6, 1), "2026-06-01"),
        ("punch_in", dt.datetime(2026, 6, 1, 11, 55, 39), "2026-06-01 11:55:39"),
        ("active_duration", 25_509, "7:05:09"),
        ("group_name", 'Key Accounts, "Gold"', 'Key Accounts, "Gold"'),
        ("employee_id", "000123", "000123"),
        ("c_grade", "7", 7),
    ],
)
def test_values_stand_in_the_forms_of_the_live_api(name: str, value: object, wire: object) -> None:
    assert wire == build_encoder(name, SimulatorConfig())(value, 1)


@pytest.mark.parametrize(
    "name",
    ["punch_in", "active_duration", "active_percent", "group_name", "key_presses", "c_grade"],
)
def test_no_value_is_a_dash_in_a_column_of_any_kind(name: str) -> None:
    assert build_encoder(name, SimulatorConfig())(None, 1) == "-"


@pytest.mark.parametrize(
    ("nothing", "wire"),
    [
        ("-", "-"),
        ("\u2013", "\u2013"),
        ("\u2014", "\u2014"),
        ("null", None),
        ("empty", ""),
        ("absent", ABSENT),
    ],
)
def test_no_value_has_every_form_that_was_seen(nothing: str, wire: object) -> None:
    assert build_encoder("group_name", SimulatorConfig(nothing=nothing))(None, 1) == wire


def test_mixed_forms_play_all_of_them_and_repeat_themselves() -> None:
    nothing = build_encoder("group_name", SimulatorConfig(nothing="mixed"))
    durations = build_encoder("active_duration", SimulatorConfig(durations="mixed"))
    numbers = build_encoder("key_presses", SimulatorConfig())
    assert len({nothing(None, salt) for salt in range(6)}) == 6
    assert {"1:00:00", 3600, "3600"} == {durations(3600, salt) for salt in range(4)}
    assert {7, "7"} == {numbers(7, salt) for salt in range(3)}
    assert durations(3600, 2) == durations(3600, 2)


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        ("blank", "2026-06-01 11:55:39"),
        ("t", "2026-06-01T11:55:39"),
        ("offset", "2026-06-01T11:55:39+05:30"),
    ],
)
def test_punches_come_in_three_forms(form: str, wire: str) -> None:
    assert wire == build_encoder("punch_in", SimulatorConfig(punches=form))(
        dt.datetime(2026, 6, 1, 11, 55, 39), 1
    )


def test_a_flipped_column_has_another_type() -> None:
    flips = {
        "number": 17,
        "text": "v",
        "boolean": True,
        "object": {"value": "v"},
        "list": ["v"],
        "negative": -1,
    }
    for to, wire in flips.items():
        assert wire == build_encoder("group_name", SimulatorConfig(type_flips={"group_name": to}))(
            "v", 1
        )
