"""Shrink guard: find days that would lose their rows, or most of them (docs/adr/0010)."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.sinks.base import OnEmpty
from airflow_provider_we360.sinks.error_messages import count_rows
from airflow_provider_we360.types import Day

SHRINK_FROM = 20
"""Smaller days are only guarded against losing all rows."""
NAMED_DAYS = 5


def is_suspect(held: int, coming: int) -> bool:
    """Return True if a day would lose all its rows, or more than half of at least 20."""
    # Half, because resignations and days off never halve a company, but a lost permission or filter
    # does.
    return held > 0 and (coming == 0 or (held >= SHRINK_FROM and 2 * coming < held))


def find_days_to_keep(
    held: Mapping[Day, int], coming: Mapping[Day, int], on_empty: OnEmpty
) -> tuple[Day, ...]:
    """Return the days whose rows stay as they are.

    :param held: rows in the target within the load's scope, by day.
    :param coming: rows of the load, by day.
    :raises EmptyDayRefused: if a day is suspect and ``on_empty`` is ``fail``.
    """
    suspect = sorted(day for day, count in held.items() if is_suspect(count, coming.get(day, 0)))
    if on_empty is OnEmpty.REPLACE or not suspect:
        return ()
    if on_empty is OnEmpty.KEEP:
        return tuple(suspect)
    named = [
        f"{day}: the target holds {count_rows(held[day])}, We360 returned {coming.get(day, 0):,}"
        for day in suspect[:NAMED_DAYS]
    ]
    if len(suspect) > NAMED_DAYS:
        named.append(f"and {len(suspect) - NAMED_DAYS:,} more days")
    raise EmptyDayRefused(
        f"{'; '.join(named)}. Nothing was changed. Check the role of the account in We360 and the "
        "filters (user_ids). If the rows are gone for good, run once with on_empty='replace'; "
        "on_empty='keep' leaves such days as they are"
    )
