"""How many examples a law is tried with."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest


def examples(full: int) -> int:
    """Return `full` under make test-all, a tenth of it (20 at least) otherwise."""
    return full if os.environ.get("WE360_EXAMPLES") == "ci" else min(full, max(20, full // 10))


def few(values: Iterable[object], number: int = 1) -> list[object]:
    """Return parameters of which make test plays the first, and make test-all the others."""
    known = list(values)
    others = (pytest.param(one, marks=pytest.mark.long) for one in known[number:])
    return [*known[:number], *others]
