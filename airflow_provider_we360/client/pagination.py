"""PageReader: a day in pages, the fallback for servers that cap answers or refuse whole days.

Rows can move between two requests, so pages need a proof of their own. A walk goes on until a page
brings nothing new, whatever the server says about the number of pages. It counts if the first total,
the last total, the received rows and the distinct keys agree. Without totals a second walk, with
pages of another size and no column but the key, must bring the same keys.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.response import (
    Declined,
    DeclinedAtGateway,
    Refused,
    ReportPage,
    TooLarge,
)
from airflow_provider_we360.client.row_keys import ConflictingRows, RowKeys, missing_keys
from airflow_provider_we360.errors import PaginationInconsistent, We360ApiError

log = logging.getLogger(__name__)

WALKS = 3
MOST_PAGES = 20_000


class Fetch(Protocol):
    """Sends one request and returns its answer."""

    def __call__(self, query: Query, *, verifies: bool = False) -> ReportPage: ...


@dataclass(frozen=True, slots=True)
class Walk:
    """What one pass over the pages brought.

    :param rows: the distinct rows.
    :param received: the number of rows received, duplicates included.
    :param totals: what each page said of the number of all rows; empty if that says nothing.
    :param is_contradicted: whether it ended although the server said that more follows.
    :param page_rows: rows per page that the server gives.
    :param first: the first page.
    :param requested_at: moment right before the first request.
    """

    rows: pa.RecordBatch
    keys: pa.Array
    received: int
    totals: tuple[int, ...]
    is_contradicted: bool
    page_rows: int
    first: ReportPage
    requested_at: dt.datetime

    def is_proven(self) -> bool:
        """Return whether the totals that the server gave agree with the rows and each other."""
        # Rows that move between pages show up as a duplicate here and a missing row there.
        counts = {*self.totals, self.received, int(self.rows.num_rows)}
        return bool(self.totals) and len(counts) == 1 and not self.is_contradicted

    def agrees_with(self, other: Walk | None) -> bool:
        """Return whether two walks without totals brought the same keys."""
        if other is None or self.totals or self.is_contradicted or other.is_contradicted:
            return False
        same_count = len(self.keys) == len(other.keys)
        return same_count and len(missing_keys(self.keys, other.keys)) == 0


class PageReader:
    """Reads days in pages.

    :param fetch: sends a request, with retries.
    :param keys: what names a row.
    :param now: returns the time.
    """

    def __init__(self, fetch: Fetch, keys: RowKeys, now: Callable[[], dt.datetime]) -> None:
        self._fetch = fetch
        self._keys = keys
        self._now = now

    def read(self, query: Query, page_rows: int) -> Walk:
        """Return a walk that brought all rows of the query's days, each once.

        :raises PaginationInconsistent: the pages never agreed.
        :raises Refused: not even the first page is given; so does :class:`Declined`.
        """
        earlier = whole = None
        for number in range(1, WALKS + 1):
            # The second walk verifies the first: what hides behind one size of page or behind wide
            # rows does not hide behind both.
            verifies = number == 2
            size = max(
                1, (earlier.page_rows if earlier else page_rows) * (7 if verifies else 10) // 10
            )
            columns = self._keys.names if verifies else query.columns
            try:
                walk = self._walk(replace(query, columns=columns), size, verifies=verifies)
            # The row changed between two pages: a walk that begins now may see one state of it.
            except ConflictingRows:
                if number == WALKS:
                    raise
                continue
            whole = whole if verifies else walk
            if whole is not None and (
                walk.agrees_with(earlier) or (walk is whole and walk.is_proven())
            ):
                return whole
            earlier = walk
            log.debug("%s: walk %d over its pages did not settle it", query.days, number)
        assert earlier is not None
        raise PaginationInconsistent(
            f"{query.days}: {WALKS} walks over its pages never agreed (last: totals "
            f"{sorted(set(earlier.totals)) or 'none'}, {earlier.received:,} rows, "
            f"{len(earlier.keys):,} distinct); nothing was loaded. The rows may be changing right "
            "now: run the task again. If the numbers stay the same, report them to We360 support: "
            "its own count does not match its rows"
        )

    def _walk(self, query: Query, page_rows: int, *, verifies: bool) -> Walk:
        requested_at = self._now()
        page = first = self._fetch(replace(query, page=1, limit=page_rows), verifies=verifies)
        pages, seen, has_more = [first], self._keys.of(first.rows), first.has_more
        if 0 < first.rows.num_rows < page_rows:
            # Either the last page, or a silent cap. If pages are counted by our limit, rows would
            # fall between them: request what the server gives.
            page_rows = first.rows.num_rows
        # Some servers repeat the last page for ever; the bound ends that, and no total is believed.
        while pages[-1].rows.num_rows and len(pages) < MOST_PAGES:
            following = self.next_page(
                replace(query, page=len(pages) + 1, limit=page_rows), verifies=verifies
            )
            # Past the end, some servers answer with an error instead of an empty page.
            if following is None:
                break
            page = following
            new = missing_keys(self._keys.of(page.rows), seen)
            if len(new) == 0:
                has_more = has_more or (page.rows.num_rows == 0 and page.has_more)
                break
            seen = pa.concat_arrays([seen, new])
            pages.append(page)
            has_more = page.has_more
        rows = pa.Table.from_batches([one.rows for one in pages]).combine_chunks().to_batches()
        distinct = self._keys.distinct(rows[0] if rows else first.rows, query)
        totals = tuple(one.total for one in pages if one.total is not None)
        if len(pages) > 1 and all(one.total == one.rows.num_rows for one in pages):
            totals = ()  # each page counts its own rows: that says nothing about all of them
        return Walk(
            rows=distinct,
            keys=self._keys.of(distinct),
            received=sum(one.rows.num_rows for one in pages),
            totals=totals,
            is_contradicted=has_more or len(pages) >= MOST_PAGES,
            page_rows=page_rows,
            first=first,
            requested_at=requested_at,
        )

    def next_page(self, query: Query, *, verifies: bool = False) -> ReportPage | None:
        """Return a page after the first; None if the server refuses it, as some do past the end.

        A refusal that passes must not look like the end: the page before is requested again, and
        then this one.

        :raises Refused: the page before is refused, too; so does :class:`Declined`.
        """
        try:
            return self._fetch(query, verifies=verifies)
        except (Refused, Declined) as error:
            _check_refusal(error)
            self._fetch(replace(query, page=query.page - 1), verifies=verifies)
        try:
            return self._fetch(query, verifies=verifies)
        except (Refused, Declined) as error:
            _check_refusal(error)
            return None


def _check_refusal(error: We360ApiError) -> None:
    """Raise the error unless a page past the end may be refused that way."""
    is_missing = error.status == 404
    if isinstance(error, TooLarge | DeclinedAtGateway) and not is_missing:
        raise error
