"""Whoever needs the time or a pause is given a clock or a sleep: no test has to wait, none has to patch."""

from __future__ import annotations

import ast
from pathlib import Path

CLOCKS = {
    "time": {"time", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "pendulum": {"now", "today", "yesterday", "tomorrow"},
}
"""Calls that read a clock or wait. As a default (``clock: Clock = time.time``) they may be named, not called."""

MAY_TELL_TIME = {"sandbox"}
"""A room that stands for the outer world has its own clock."""


def test_only_a_clock_that_was_handed_in_tells_the_time(package: Path) -> None:
    found = {
        f"{file.relative_to(package)}:{call.lineno}: {ast.unparse(call.func)}()"
        for file in package.rglob("*.py")
        if file.relative_to(package).parts[0] not in MAY_TELL_TIME
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and _tells_time(call.func)
    }
    assert found == set()


def test_calls_are_told_from_names() -> None:
    told = [
        _tells_time(ast.parse(text, mode="eval").body)
        for text in (
            "time.time",
            "dt.datetime.now",
            "datetime.now",
            "dt.date.today",
            "self.clock",
            "timer.time",
            "now",
        )
    ]
    assert told == [True, True, True, True, False, False, False]


def _tells_time(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    owner = ast.unparse(function.value).split(".")[-1]
    return function.attr in CLOCKS.get(owner, set())
