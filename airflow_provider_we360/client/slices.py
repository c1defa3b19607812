"""SliceReader: all rows of one slice, or an error; never a part of them.

One answer with ``limit: 0`` is one statement on the server, so nothing can shift under it. It counts as whole where

(a) the server gives a total, it equals the rows, and no next page is announced, or
(b) the server gives no total, but says that no page follows, or
(c) it says neither, and a second page brings no row that is new.

What a server says may be wrong: one that cuts its answers off and counts what is left looks whole by (a) and (b). No
slice can have more rows than such a cap, so a slice with more rows than any before it, or as many, is asked for a second
page whatever was said, until three of that size stood the test: a few requests an extract, and a cap does not stay hidden.

A second page that is refused proves nothing: then a walk over small pages must bring the same keys. Where an answer is
not whole, or the server will not answer at once, the slice is read in pages: ``client.pages``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from airflow_provider_we360.client.answer import Answer, Refused
from airflow_provider_we360.client.exchange import TimedOut, slice_name
from airflow_provider_we360.client.keys import Keys, named_columns
from airflow_provider_we360.client.pages import PageReader
from airflow_provider_we360.client.report import Query

log = logging.getLogger(__name__)

PAGE_ROWS = 500
SMALLER_PAGES = (PAGE_ROWS, 200, 100, 50, 10)
FEWEST_PAGE_ROWS = 10
PROOFS = 3


class SliceReader:
    """Reads slices of one extract; threads share it.

    :param ask: asks the API, patiently.
    :param keys: what names a row.
    :param on_duplicates: told how many identical rows were dropped.
    """

    def __init__(
        self,
        ask: Callable[[Query], Answer],
        keys: Keys,
        *,
        on_duplicates: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._ask_api = ask
        self._keys = keys
        self._pages = PageReader(self._ask, keys)
        self._doubting_pages = PageReader(self._ask_without_belief, keys)
        self._on_duplicates = on_duplicates
        # Learnt from the first slice that shows it: this server does not give all rows at once, but so many.
        self._page_rows: int | None = None
        self._proven_rows = 0
        self._proofs = 0
        self._believes = True
        self._lock = threading.Lock()

    def read(self, query: Query) -> pa.RecordBatch:
        """All rows of the query's days, each once.

        :param query: page 1, limit 0.
        :raises PaginationInconsistent: where the pages never add up.
        :raises We360DataError: a row of another day, without key, or two differing rows of one key.
        :raises We360ApiError: what the API answered.
        """
        if self._page_rows is not None:
            return self._read_pages(query, self._page_rows, learn=True)
        try:
            answer = self._ask(query)
        except TimedOut as error:
            log.info("%s: too slow in one answer (%s)", slice_name(query), error.reason)
            return self._read_pages(query, PAGE_ROWS, learn=True)
        except Refused as error:
            if named_columns(error, query.columns):
                raise
            try:
                return self._read_pages(query, PAGE_ROWS, learn=True)
            except Refused:
                raise error from None
        if answer.rows.num_rows == 0 and not answer.total:
            return self._confirm_empty(query, answer.rows)
        rows = self._keys.distinct(answer.rows, query)
        if self._is_whole(answer, rows, query):
            self._on_duplicates(answer.rows.num_rows - rows.num_rows)
            return rows
        is_cap = (
            answer.total is None
            or not self._believes
            or answer.total > answer.rows.num_rows >= FEWEST_PAGE_ROWS
        )
        return self._read_pages(
            query, min(answer.rows.num_rows, PAGE_ROWS) if is_cap else PAGE_ROWS, learn=is_cap
        )

    def _ask(self, query: Query) -> Answer:
        answer = self._ask_api(query)
        return answer if self._believes else replace(answer, total=None, has_next=None)

    def _ask_without_belief(self, query: Query) -> Answer:
        return replace(self._ask_api(query), total=None, has_next=None)

    def _is_whole(self, answer: Answer, rows: pa.RecordBatch, query: Query) -> bool:
        received = answer.rows.num_rows
        if answer.total is None and answer.has_next is None:
            return self._nothing_follows(rows, received, query)
        counted = answer.total is None or answer.total in (received, rows.num_rows)
        return (
            counted
            and answer.has_next is not True
            and not self._hides_a_cap(rows, received, query, told=answer.total)
        )

    def _hides_a_cap(
        self,
        rows: pa.RecordBatch,
        received: int,
        query: Query,
        *,
        told: int | None = None,
        in_one: bool = True,
        believed: bool = True,
    ) -> bool:
        """Whether rows that the server calls all are not; from then on nothing that it says of pages is used.

        :param believed: whether the server was believed when the rows were read.
        """
        # Belief is looked at after what is proven: a thread that ceased to believe may have proven more rows, in pages, since.
        is_doubtful = self._could_be_a_cap(received) or (believed and not self._believes)
        if not is_doubtful or self._nothing_follows(rows, received, query, told, in_one=in_one):
            return False
        log.warning(
            "the server cuts answers off at %d rows and calls that all; what it says of pages is not used",
            received,
        )
        self._believes = False
        return True

    def _could_be_a_cap(self, received: int) -> bool:
        return received > self._proven_rows or (
            received == self._proven_rows and self._proofs < PROOFS
        )

    def _nothing_follows(
        self,
        rows: pa.RecordBatch,
        received: int,
        query: Query,
        told: int | None = None,
        *,
        in_one: bool = True,
    ) -> bool:
        """Whether a second page of as many rows brings none that is new.

        It may be empty, or the first one again. A few of its rows only, or a refusal, prove nothing: small pages must agree.

        :param told: the total that came with the rows; None: none that is believed.
        :param in_one: whether the rows came in one answer.
        """
        following = replace(query, page=2, limit=received)
        try:
            second = self._pages.following(following)
            is_doubtful = (
                second is not None
                and second.rows.num_rows == 0
                and (told is None or second.total != told)
            )
            if is_doubtful and self._could_be_a_cap(received):
                second = self._pages.following(
                    following
                )  # nothing at all is asked for once more before it counts
        except Refused:
            second = None
        known, given = self._keys.of(rows), self._keys.of(second.rows) if second else None
        if given is not None and not (in_one and given and given < known):
            stands = given <= known
        else:
            stands = self._small_pages_agree(rows, query)
        if stands:
            with self._lock:
                self._proofs = (
                    1
                    if received > self._proven_rows
                    else self._proofs + (received == self._proven_rows)
                )
                self._proven_rows = max(self._proven_rows, received)
        return stands

    def _small_pages_agree(self, rows: pa.RecordBatch, query: Query) -> bool:
        """Whether one walk over small pages brings the same keys; true as well where the server gives no pages at all.

        What the server says of its pages is what is being tried here: the walk goes on until nothing new comes.
        """
        for size in SMALLER_PAGES:
            try:
                walk = self._doubting_pages.walk(query, size)
            except Refused:
                continue
            return not walk.is_contradicted and self._keys.of(walk.rows) == self._keys.of(rows)
        return True

    def _confirm_empty(self, query: Query, empty: pa.RecordBatch) -> pa.RecordBatch:
        """An empty answer is asked once more before it counts: a scope that vanished for a moment must not empty a table."""
        again = self._ask(replace(query, page=1, limit=1))
        return self._walked(query, PAGE_ROWS) if again.rows.num_rows or again.total else empty

    def _walked(self, query: Query, page_rows: int) -> pa.RecordBatch:
        """The slice in pages of that size."""
        believed = self._believes
        walk = self._pages.read(query, page_rows)
        count = walk.rows.num_rows
        if count and self._hides_a_cap(
            walk.rows, count, query, in_one=walk.in_one, believed=believed
        ):
            walk = self._pages.read(query, page_rows)
        return walk.rows

    def _read_pages(self, query: Query, largest: int, *, learn: bool) -> pa.RecordBatch:
        """The slice in pages of the largest size that the server gives; ``learn``: read the next ones so from the start.

        :raises Refused: where it gives no size of page.
        """
        refusal: Refused | None = None
        for size in (largest, *(smaller for smaller in SMALLER_PAGES if smaller < largest)):
            try:
                rows = self._walked(query, size)
            except Refused as error:
                refusal = refusal or error
                continue
            if learn and size != self._page_rows:
                log.info(
                    "the server does not give all rows of a slice at once; reading in pages of %d",
                    size,
                )
                self._page_rows = size
            return rows if rows.num_rows else self._confirm_empty(query, rows)
        assert refusal is not None
        raise refusal
