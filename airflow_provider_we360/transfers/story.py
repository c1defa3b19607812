"""The log of a load, as a short report: what was asked and why, what came, what changed, and where it went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.transfers.progress import duration

if TYPE_CHECKING:
    from airflow_provider_we360.client.extract import Extract
    from airflow_provider_we360.client.stats import ReadStats
    from airflow_provider_we360.sinks.base import Load, LoadResult
    from airflow_provider_we360.transfers.progress import Progress
    from airflow_provider_we360.types import Day

NAMED_DAYS = 10
"""So many days are told one by one."""


def tell_of_task(log: Any, conn_id: str, extract: Extract, load: Load, destination: str) -> None:
    """What is about to be done. Filters are counted, not quoted: their ids name people and teams."""
    given = {
        "group_ids": extract.group_ids,
        "user_ids": extract.user_ids,
        "shift_ids": extract.shift_ids,
    }
    filters = ", ".join(f"{len(ids)} {name}" for name, ids in given.items() if ids) or "no filter"
    log.info(
        "From Connection %s: %d slice(s), %d columns, %s. Into %s, on_empty %s",
        conn_id,
        extract.slices,
        len(extract.columns),
        filters,
        destination,
        load.on_empty,
    )
    masked = [
        name for name in load.pseudonyms if any(column.name == name for column in extract.columns)
    ]
    if masked:
        log.info("Columns loaded as pseudonyms: %s", ", ".join(masked))
    in_clear = [
        column.name
        for column in extract.columns
        if column.personal and column.name not in load.pseudonyms
    ]
    if in_clear:
        log.info("Personal columns loaded in clear: %s", ", ".join(in_clear))


@contextmanager
def told_where_it_fails(
    log: Any, extract: Extract, progress: Progress, stats: ReadStats
) -> Iterator[None]:
    """Inside it, whatever is raised is preceded by a line that says how far the load had come."""
    try:
        yield
    except BaseException:
        log.info(
            "Given up with %d of %d slice(s) read, %d rows, %d request(s), after %s",
            progress.slices_done,
            extract.slices,
            progress.rows,
            stats.requests,
            duration(progress.seconds),
        )
        raise


def tell_of_result(
    log: Any, extract: Extract, progress: Progress, stats: ReadStats, result: LoadResult
) -> None:
    """What came of it, and what deserves a second look."""
    log.info(
        "Landed %d rows of %d slice(s) in %s: %d rows replaced, %d request(s), %.1f s",
        result.rows,
        extract.slices,
        result.where,
        result.rows_removed,
        stats.requests,
        progress.seconds,
    )
    if extract.mode.sliced_by_day:
        log.info("Rows a day%s", _days(progress.per_day, result.held, result.days_kept))
    if stats.duplicates:
        log.warning(
            "We360 sent %d row(s) twice, word for word; each was loaded once", stats.duplicates
        )
    if result.days_kept:
        log.warning(
            "Kept the rows of %s as they were (on_empty='keep')",
            ", ".join(map(str, result.days_kept)),
        )
    if progress.rows == 0:
        log.warning(
            "The whole window is empty. If that is a surprise: check the account's role and the filters"
        )


def _days(came: Mapping[Day, int], held: Mapping[Day, int] | None, kept: Sequence[Day]) -> str:
    """Rows by day; of a long window those days whose number changed, and how many there are besides."""
    now = {day: (held or {}).get(day, 0) if day in kept else count for day, count in came.items()}
    if held is None:
        days, head = {day: str(count) for day, count in now.items()}, ": "
    else:
        before = {day: held.get(day, 0) for day in now}
        days, head = (
            {day: f"{before[day]} -> {count}" for day, count in now.items()},
            ", before -> now: ",
        )
        if len(now) > NAMED_DAYS:
            days = {day: text for day, text in days.items() if before[day] != now[day]}
    told = [f"{day} {text}" for day, text in sorted(days.items())[:NAMED_DAYS]]
    others, same = len(days) - len(told), len(now) - len(days)
    if others:
        told.append(f"{others} more day(s)")
    if same:
        told.append(f"{same} day(s) with as many as before")
    return head + ", ".join(told)
