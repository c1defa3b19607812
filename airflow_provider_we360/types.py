"""Types that several rooms share. Clock and sleep are handed in, so that no test has to wait."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Answers the time now, in seconds since the epoch, UTC."""

Sleep: TypeAlias = Callable[[float], None]
"""Waits for so many seconds."""

Value: TypeAlias = str | int | float | dt.date | dt.datetime | None
"""One typed cell. A ``datetime`` is naive: local time of the tenant."""

Row: TypeAlias = dict[str, Value]
"""One row of a report, typed."""

Day: TypeAlias = dt.date
"""A local business day of the tenant."""

Window: TypeAlias = tuple[dt.date, dt.date]
"""First and last local day, both inclusive."""
