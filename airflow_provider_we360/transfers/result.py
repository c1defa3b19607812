"""The result of a run: counts for XCom, and the facts that downstream Dags need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_we360.client.extract import Extract
    from airflow_provider_we360.client.stats import ReadStats
    from airflow_provider_we360.sinks.base import LoadResult
    from airflow_provider_we360.transfers.catch_up import MissedDays
    from airflow_provider_we360.transfers.load_logging import LoadProgress


@dataclass(frozen=True, slots=True)
class WindowLoad:
    """One window that a run has loaded: its own, or days that it caught up."""

    extract: Extract
    progress: LoadProgress
    result: LoadResult


def build_facts(loads: Sequence[WindowLoad], missed: MissedDays | None) -> dict[str, Any]:
    """Return the extra of the outlets' asset events: what was loaded.

    :param loads: the run's own window, then the days that it caught up.
    :param missed: None if the run was not asked to catch up.
    """
    extract = loads[0].extract
    # Text and not dates: XCom and asset events are stored as JSON.
    facts: dict[str, Any] = {
        "report": extract.report.name,
        "window": [day.isoformat() for day in extract.window],
        "rows": sum(load.result.rows for load in loads),
    }
    if missed is not None:
        facts["caught_up"] = [[day.isoformat() for day in window] for window in missed.windows]
        facts["catch_up_left"] = missed.left
    return facts


def build_result(
    loads: Sequence[WindowLoad], missed: MissedDays | None, target: dict[str, str]
) -> dict[str, Any]:
    """Return the result of the task, never rows.

    :param target: name and value of the argument that names the target.
    """
    days = sum(load.extract.days for load in loads)
    progress = [load.progress for load in loads]
    return {
        **build_facts(loads, missed),
        "days": days,
        "slices": days,  # the name of days before 0.2; remove in 0.3
        "requests": sum(one.stats.requests for one in progress),
        **target,
        **_describe_proof([one.stats for one in progress]),
        "seconds": round(sum(one.seconds for one in progress), 3),
    }


def _describe_proof(stats: Sequence[ReadStats]) -> dict[str, list[str]]:
    """Return the days that deserve a second look, if there are any; most results have none."""
    found = {
        "assumed_empty_days": [day for one in stats for day in one.assumed_empty_days],
        "unsettled_days": [day for one in stats for day in one.unsettled_days],
    }
    return {name: [str(day) for day in sorted(days)] for name, days in found.items() if days}
