"""Empty and shrunken days: what a load would take away without giving enough back (docs/adr/0010)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.sinks.base import OnEmpty

SHRINK_FROM = 20
"""A day of fewer rows is only guarded against losing all of them."""
NAMED_DAYS = 5


def is_suspect(held: int, coming: int) -> bool:
    """Whether a day would lose all its rows, or more than half of at least 20."""
    return held > 0 and (coming == 0 or (held >= SHRINK_FROM and 2 * coming < held))


def days_to_keep(
    held: Mapping[dt.date, int], coming: Mapping[dt.date, int], on_empty: OnEmpty
) -> tuple[dt.date, ...]:
    """Days whose rows stay as they are.

    :param held: rows that the target holds in the scope of the load, by day.
    :param coming: rows that the load brings, by day.
    :raises EmptyDayRefused: where a day is suspect and ``on_empty`` is ``fail``.
    """
    suspect = sorted(day for day, count in held.items() if is_suspect(count, coming.get(day, 0)))
    if on_empty is OnEmpty.REPLACE or not suspect:
        return ()
    if on_empty is OnEmpty.KEEP:
        return tuple(suspect)
    told = [
        f"{day}: the target holds {held[day]} row(s), We360 sent {coming.get(day, 0)}"
        for day in suspect[:NAMED_DAYS]
    ]
    if len(suspect) > NAMED_DAYS:
        told.append(f"and {len(suspect) - NAMED_DAYS} more day(s)")
    raise EmptyDayRefused(
        f"{'; '.join(told)}. Nothing was changed. Look at the role of the account in We360 and at the filters (user_ids); "
        "if the rows are gone for good, run once with on_empty='replace'; on_empty='keep' leaves such days as they are"
    )
