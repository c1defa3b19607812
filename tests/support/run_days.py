"""When a Dag of an example runs, and which days it then loads."""

from __future__ import annotations

import datetime as dt
import inspect
import zoneinfo
from typing import Any

INDIA = zoneinfo.ZoneInfo("Asia/Kolkata")
DAY = dt.timedelta(days=1)


def days_of(run: Any, lookback_days: int = 0) -> tuple[dt.date, dt.date]:
    """First and last: yesterday, or in Airflow 2.11, where a manual run has an interval of a width, the days that end in it."""
    first = last = dt.datetime.now(INDIA).date() - DAY
    if run.data_interval_start != run.data_interval_end:
        first, end = (
            edge.astimezone(INDIA).date()
            for edge in (run.data_interval_start, run.data_interval_end)
        )
        last = end - DAY
    return first - lookback_days * DAY, last


def run_as_of(dag: Any, moment: dt.datetime) -> Any:
    """The run of that logical date, which Airflow 2.11 calls otherwise."""
    names = inspect.signature(dag.test).parameters
    return dag.test(**{"logical_date" if "logical_date" in names else "execution_date": moment})
