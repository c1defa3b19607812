"""DayReader: all rows of a day, or an error; never a part of them.

A day is requested in one answer (``limit`` 0): one statement on the server, so nothing can shift
under it. What the server says about that answer can contradict it but does not prove it. The proof is
another answer of another shape: one request for the key columns of many days (:meth:`fetch_keys`).

- Every key in that answer must be in the day's own rows; a day that lacks one is requested again.
- Every key of the days must be in that answer, and it must be larger than any of them: then no cap
  of the server's can have cut them off. Otherwise a second page must bring nothing new.
- A day without rows counts as empty if that answer holds rows of other days. Otherwise a third
  answer must say the same, and both must say that they are the end.

If the proof fails, or if the server truncates, the days are read in pages (``client.pagination``).
Any row ever received is a fact: no later answer without it is accepted.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_we360.client.pagination import Fetch, PageReader
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.report_api import TimedOut
from airflow_provider_we360.client.response import (
    Declined,
    DeclinedAtGateway,
    Refused,
    ReportPage,
)
from airflow_provider_we360.client.row_keys import RowKeys, find_names, missing_keys
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import PaginationInconsistent, RetryableApiError

log = logging.getLogger(__name__)

PAGE_ROWS = 500
SMALLER_PAGES = (200, 100, 50, 10)
FEWEST_PAGE_ROWS = 10
REREADS = 3
PAGE_REFUSALS = 3
"""So often a server must refuse pages of a day that it gives whole before it counts as one without pages."""


@dataclass(slots=True)
class DayRows:
    """The rows of one day as received, until they are verified.

    :param rows: the distinct rows; None after :meth:`release`.
    :param keys: their keys.
    :param page: the answer that brought them, or the first page of several.
    :param in_pages: whether they were read in pages, which carry a proof of their own.
    :param facts: keys that any answer has shown for the day.
    """

    query: Query
    rows: pa.RecordBatch | None
    keys: pa.Array
    page: ReportPage
    requested_at: dt.datetime
    in_pages: bool
    facts: pa.Array

    def lacks_facts(self) -> bool:
        """Return whether an answer has shown a row of this day that is not among its rows."""
        return len(missing_keys(self.facts, self.keys)) > 0

    def add_facts(self, keys: pa.Array) -> None:
        """Remember keys that an answer has shown."""
        new = missing_keys(keys, self.facts)
        self.facts = pa.concat_arrays([self.facts, new]) if len(new) else self.facts

    def replace_by(self, newer: DayRows) -> None:
        """Take the rows of a newer answer."""
        newer.add_facts(self.facts)
        for name in self.__slots__:
            setattr(self, name, getattr(newer, name))


class DayReader:
    """Reads and verifies the days of one extract; threads share it.

    :param fetch: sends a request, with retries.
    :param keys: what names a row.
    :param now: returns the time.
    :param stats: receives duplicates and what is known about days.
    """

    def __init__(
        self,
        fetch: Fetch,
        keys: RowKeys,
        now: Callable[[], dt.datetime],
        stats: ReadStats,
    ) -> None:
        self._fetch_page = fetch
        self._keys = keys
        self._now = now
        self._stats = stats
        self._pages = PageReader(self._fetch, keys, now)
        self._lock = threading.Lock()
        # Learned from the first day that shows it: this server gives so many rows at once.
        self._page_rows: int | None = None
        self._refusals = 0
        self._has_metadata = False
        self._fields_with_rows: set[str] = set()

    def read(self, query: Query) -> DayRows:
        """Return the rows of the query's days, not verified yet.

        :param query: page 1, limit 0.
        :raises PaginationInconsistent: the pages never agreed.
        :raises We360DataError: a row of another day, without key, or two differing rows of one key.
        :raises We360ApiError: what the API answered.
        """
        # This server has shown that it truncates: requesting whole days would only cost a request
        # each.
        if self._page_rows is not None:
            return self._read_pages(query, self._page_rows)
        # Before the request: rows that change while the answer is on its way belong to a later
        # load.
        requested_at = self._now()
        try:
            page = self._fetch(query)
        except TimedOut as error:
            log.info("%s: too slow in one answer (%s); reading in pages", query.days, error.reason)
            return self._read_pages(query, PAGE_ROWS, learns=True)
        except (Refused, Declined) as error:
            return self._read_pages_after(error, query)
        rows = self._keys.distinct(page.rows, query)
        if page.has_more or page.total not in (None, rows.num_rows):
            received = page.rows.num_rows
            # A total below the received rows, or a handful of rows, is an error of the server, not
            # its limit.
            is_cap = received >= FEWEST_PAGE_ROWS and (page.total is None or page.total > received)
            return self._read_pages(
                query, min(received, PAGE_ROWS) if is_cap else PAGE_ROWS, learns=is_cap
            )
        self._stats.add(duplicates=page.rows.num_rows - rows.num_rows)
        keys = self._keys.of(rows)
        return DayRows(query, rows, keys, page, requested_at, in_pages=False, facts=keys)

    def fetch_keys(self, query: Query) -> ReportPage | None:
        """Return the key columns of many days in one answer; None if the server does not give it."""
        if self._page_rows is not None:
            return None  # days in pages carry a proof of their own
        try:
            return self._fetch(replace(query, columns=self._keys.names), verifies=True)
        except (TimedOut, Refused, Declined) as error:
            log.info("%s: no answer for the keys alone (%s)", query.days, error.reason)
            return None

    def verify(
        self, days: Sequence[DayRows], keys_query: Query, keys_page: ReportPage | None
    ) -> None:
        """Prove that each day is whole, reading days again if they are not.

        :param keys_query: the query of ``keys_page``; its days include these ones.
        :param keys_page: the answer of :meth:`fetch_keys`.
        :raises PaginationInconsistent: a day lacks rows that another answer has shown.
        :raises RetryableApiError: an empty day that nothing proves to be empty.
        """
        in_one = [day for day in days if not day.in_pages and len(day.keys)]
        proof = self._prove(days, in_one, keys_query, keys_page)
        if proof is None:
            for day in in_one:
                self._verify_in_pages(day)
        for day in days:
            self._read_until_facts_agree(day)
            if len(day.keys) == 0:
                self._verify_empty(day, proof)

    def _prove(
        self,
        days: Sequence[DayRows],
        in_one: Sequence[DayRows],
        query: Query,
        page: ReportPage | None,
    ) -> ReportPage | None:
        """Return the answer of key columns that verifies the days; None if there is none."""
        # Twice: rows may come in between the days and their keys.
        for is_last in (False, True):
            if page is None:
                return None
            is_proof, pages = self._is_verified_by(page, query, in_one, is_last=is_last)
            for day in days:
                for one in pages:
                    day.add_facts(self._keys.of_day(one.rows, day.query.first_day))
            if is_proof:
                return page
            # Rows that came in meanwhile make an answer too old: request it once again.
            page = None if is_last else self.fetch_keys(query)
        return None

    def _is_verified_by(
        self, first: ReportPage, query: Query, days: Sequence[DayRows], *, is_last: bool
    ) -> tuple[bool, list[ReportPage]]:
        """Return whether an answer of key columns verifies the days, and its pages.

        :param is_last: whether a second page is the way to find rows that it lacks. Before that,
            the whole answer is requested again: rows may have come in after it.
        """
        pages = [first]
        # A cap cuts answers off at a fixed size. An answer larger than each day shows that no day
        # was cut.
        size, largest = first.rows.num_rows, max((len(day.keys) for day in days), default=0)
        query = replace(query, columns=self._keys.names, limit=size)
        while True:
            covers = self._covers(pages, days)
            ids = self._row_ids(pages)
            # Distinct: a server that counts duplicates is not wrong about the rows.
            counts = first.total in (None, pc.count_distinct(ids).as_py())
            announced = pages[-1].has_more or (first.total or 0) > len(ids)
            if covers and counts and not announced and size > largest:
                return True, pages
            if size == 0 or not (covers or announced or is_last):
                return covers and counts and not announced, pages
            following = self._next_keys(replace(query, page=len(pages) + 1), first.total)
            if following is None:
                return False, pages
            if len(missing_keys(self._row_ids([following]), ids)) == 0:
                # No page, or the last one again as of servers that clamp page numbers, is the end.
                # A few known rows, as in another order, prove nothing.
                is_end = following.rows.num_rows in (0, pages[-1].rows.num_rows)
                return covers and counts and is_end and not (announced or following.has_more), pages
            pages.append(following)
            if not announced:
                log.warning(
                    "The server truncates answers at %s rows without saying so; reading in pages "
                    "and ignoring its pagination metadata",
                    f"{size:,}",
                )
                # All following days are then read in pages of a size that this server is known to
                # give.
                self._page_rows = min(size, PAGE_ROWS)
                return False, pages

    def _next_keys(self, query: Query, total: int | None) -> ReportPage | None:
        try:
            page = self._pages.next_page(query, verifies=True)
            if (
                page is not None
                and page.rows.num_rows == 0
                and (total is None or page.total != total)
            ):
                # Nothing at all is requested once more before it counts.
                page = self._pages.next_page(query, verifies=True)
        except (Refused, Declined):
            return None
        return page

    def _covers(self, pages: Sequence[ReportPage], days: Sequence[DayRows]) -> bool:
        for day in days:
            found = [self._keys.of_day(page.rows, day.query.first_day) for page in pages]
            if len(missing_keys(day.keys, pa.concat_arrays(found))):
                return False
        return True

    def _row_ids(self, pages: Sequence[ReportPage]) -> pa.Array:
        """Return the keys of rows of several days, with their days."""
        keys = replace(self._keys, day_column=None)
        return pa.concat_arrays([keys.of(page.rows) for page in pages])

    def _verify_in_pages(self, day: DayRows) -> None:
        """Read a day again in pages that prove themselves.

        A server that gives no pages at all is believed: there is nothing else to compare with. But a
        refusal that passes must not look like that: the whole day is requested again, and then its pages.

        :raises Refused: the whole day is refused, too; so does :class:`Declined`.
        """
        # About as many rows as the day has: then one page and an empty one prove it.
        size = self._page_rows or min(max(len(day.keys), FEWEST_PAGE_ROWS), PAGE_ROWS)
        for number in range(1, PAGE_REFUSALS + 1):
            try:
                self._take(day, self._read_pages(day.query, size))
            except (Refused, Declined) as error:
                log.info("%s: the server gives no pages (%s)", day.query.days, error.reason)
            else:
                return
            if number < PAGE_REFUSALS:
                self._fetch(day.query, verifies=True)

    def _read_until_facts_agree(self, day: DayRows) -> None:
        for number in range(REREADS):
            if not day.lacks_facts():
                return
            self._stats.unsettled_days.add(day.query.first_day)
            log.info("%s: another answer holds more rows; reading it again", day.query.days)
            if number == 0:
                self._take(day, self.read(day.query))
            else:  # it is not that rows came in: the answer is cut off
                size = min(max(len(day.keys), FEWEST_PAGE_ROWS), PAGE_ROWS)
                self._take(day, self._read_pages(day.query, size, learns=True))
        if day.lacks_facts():
            missing = len(missing_keys(day.facts, day.keys))
            raise PaginationInconsistent(
                f"{day.query.days}: the API returned {len(day.keys):,} rows but has shown "
                f"{missing:,} others in another answer, and {REREADS} more requests did not settle "
                "it; nothing was loaded. The rows may be changing right now: run the task again. "
                "If it stays, report it to We360 support: its answers are cut off"
            )

    def _take(self, day: DayRows, newer: DayRows) -> None:
        if day.rows is None:
            # Its rows are already on their way into the target, which takes each day once.
            raise PaginationInconsistent(
                f"{day.query.days}: rows changed, or were cut off, while the window was read; "
                "nothing was loaded. Run the task again"
            )
        day.replace_by(newer)

    def _verify_empty(self, day: DayRows, keys_page: ReportPage | None) -> None:
        """Prove that a day has no rows.

        :raises RetryableApiError: nothing proves it.
        """
        page = day.page
        # The other days came in that answer, so an account without rights or a broken filter is
        # excluded.
        if keys_page is not None and keys_page.rows.num_rows and self._is_understood(page):
            return
        # Another shape of request: a cached or broken answer rarely repeats itself for that.
        query = replace(day.query, columns=self._keys.names, page=1, limit=1)
        again = self._fetch(query, verifies=True)
        if again.rows.num_rows or again.total:
            # A row once shown is a fact: an empty answer after it is wrong.
            day.add_facts(self._keys.of(again.rows))
            self._read_until_facts_agree(day)
            if len(day.keys):
                self._verify_in_pages(day)
                return
        elif page.says_end and again.says_end:
            return
        elif (
            not self._has_metadata
            and not (page.has_more or again.has_more)
            and self._is_understood(page)
            and self._is_understood(again)
        ):
            self._stats.assumed_empty_days.add(day.query.first_day)
            return
        raise RetryableApiError(
            f"{day.query.days}: the API returned no rows, but does not say that there are none; "
            "nothing was loaded. Run the task again; if it stays, send the output of check --probe",
            status=200,
        )

    def _is_understood(self, page: ReportPage) -> bool:
        """Return whether an answer without rows has no field that only answers without rows have."""
        return page.says_end or page.unknown <= self._fields_with_rows

    def _fetch(self, query: Query, *, verifies: bool = False) -> ReportPage:
        page = self._fetch_page(query, verifies=verifies)
        with self._lock:
            # Whether this server ever counts its rows decides what an empty answer without a count
            # means.
            self._has_metadata |= page.total is not None or page.has_next is not None
            if page.rows.num_rows:
                # A field that only appears in answers without rows may be an error in words that
                # are not known.
                self._fields_with_rows |= page.unknown
        return page

    def _read_pages_after(self, error: Refused | Declined, query: Query) -> DayRows:
        """Read a day in pages after it was refused in one answer."""
        # A web page with status 400 may be the API's own refusal of limit 0: pages are verified.
        is_gateway = isinstance(error, DeclinedAtGateway) and error.status != 400
        if is_gateway or find_names(error, query.columns):
            raise error
        with self._lock:
            self._refusals += 1
            # HTTP 200 with an error may be trouble that passes: believe it the second time.
            learns = error.status != 200 or self._refusals > 1
        try:
            return self._read_pages(query, PAGE_ROWS, learns=learns)
        except (Refused, Declined):
            # The first refusal says more than that of a page.
            raise error from None

    def _read_pages(self, query: Query, largest: int, *, learns: bool = False) -> DayRows:
        """Return a day in pages of the largest size that the server gives.

        :param learns: read the following days in pages from the start.
        :raises Refused: it gives no size of page; so does :class:`Declined`.
        """
        refusal: Refused | Declined | None = None
        for size in (largest, *(smaller for smaller in SMALLER_PAGES if smaller < largest)):
            try:
                walk = self._pages.read(query, size)
            except (Refused, Declined) as error:
                # The refusal of the largest size is the most telling one.
                refusal = refusal or error
                continue
            if learns and walk.rows.num_rows and self._page_rows is None:
                log.info("The server does not give all rows of a day at once; reading in pages")
                self._page_rows = size
            self._stats.add(duplicates=walk.received - walk.rows.num_rows)
            return DayRows(
                query, walk.rows, walk.keys, walk.first, walk.requested_at, True, walk.keys
            )
        assert refusal is not None
        raise refusal
