"""A server's answers as a plain function: rows, and how it lies about them. For tests of the wholeness rule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.report_api import TimedOut
from airflow_provider_we360.client.response import Refused, ReportPage

DAY = dt.date(2026, 4, 1)
SCHEMA = pa.schema(
    [
        ("attendance_date", pa.date32()),
        ("identity_id", pa.string()),
        ("online_duration", pa.int64()),
    ]
)


def rows_of(*people: int, seconds: int = 60, day: dt.date = DAY) -> list[dict[str, object]]:
    """One row a person."""
    return [
        {"attendance_date": day, "identity_id": f"person-{one:03d}", "online_duration": seconds}
        for one in people
    ]


@dataclass
class PagedApi:
    """Answers queries over ``rows``, which may be of several days.

    :param total: what it says of the number of rows: the truth, None, or a lie.
    :param says_next: whether it says that a page follows.
    :param cap: most rows it ever gives at once; 0: none.
    :param cap_moves_offset: True: pages are cut by the cap, False: by the limit asked for, so that rows fall between.
    :param whole: what it does with limit 0: ``gives``, ``refuses``, ``times out``, or a number of rows.
    :param past_the_end: ``empty``, ``clamps`` to the last page, or ``refuses``.
    :param before_each: called with the number of the request, to change ``rows`` on the way.
    """

    rows: list[dict[str, object]]
    total: int | str | None = "true"
    says_next: bool = True
    cap: int = 0
    cap_moves_offset: bool = True
    whole: str | int = "gives"
    past_the_end: str = "empty"
    before_each: Callable[[PagedApi, int], None] = lambda api, number: None
    queries: list[Query] = field(default_factory=list)

    def fetch(self, query: Query, *, verifies: bool = False) -> ReportPage:
        self.queries.append(query)
        self.before_each(self, len(self.queries))
        rows = [
            row
            for row in self.rows
            if query.first_day <= row["attendance_date"] <= query.last_day  # type: ignore[operator]
        ]
        limit, page = query.limit, query.page
        if limit == 0:
            if self.whole == "refuses":
                raise Refused("We360 refused the request: limit must be between 1 and 500")
            if self.whole == "times out":
                raise TimedOut("no answer in time")
            limit = self.whole if isinstance(self.whole, int) else max(len(rows), 1)
        size = min(limit, self.cap) if self.cap else limit
        step = size if self.cap_moves_offset else limit
        last_page = max(1, -(-len(rows) // step))
        if page > last_page:
            if self.past_the_end == "refuses":
                raise Refused("We360 refused the request: no such page")
            page = last_page if self.past_the_end == "clamps" else page
        chunk = rows[(page - 1) * step :][:size]
        schema = pa.schema([SCHEMA.field(name) for name in query.columns])
        batch = pa.RecordBatch.from_pylist(chunk, schema=schema)
        total = len(rows) if self.total == "true" else self.total
        has_next = (page - 1) * step + len(chunk) < len(rows) if self.says_next else None
        return ReportPage(batch, total if isinstance(total, int) else None, has_next)
