"""SliceReader: all rows of one slice, or an error; never a part of them.

One answer with ``limit: 0`` is one statement on the server, so nothing can shift under it. It counts as whole where

(a) the server gives a total, and it equals the rows, or
(b) the server gives no total, but says that no page follows, or
(c) it says neither, and a second page brings no row that is new.

What a server says may be wrong: one that cuts its answers off and counts what is left looks whole by (a) and (b). No
slice can have more rows than such a cap, so a slice with more rows than any before it, or as many, is asked for a second
page whatever was said, until three of that size stood the test: a few requests an extract, and a cap does not stay hidden.

Otherwise, or where the server will not answer at once, the slice is read in pages. Pages can shift between two requests,
so a walk over them counts only where first total, last total, rows and distinct keys agree; without a total, where two
walks bring the same keys. After three walks :class:`PaginationInconsistent` is raised and nothing is loaded.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_we360.client.answer import Answer, Refused
from airflow_provider_we360.client.exchange import TimedOut, slice_name
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.errors import PaginationInconsistent, We360DataError

log = logging.getLogger(__name__)

PAGE_ROWS = 500
FEWEST_PAGE_ROWS = 10
PROOFS = 3
WALKS = 3
MOST_PAGES = 20_000


class _Differing(We360DataError):
    """Two rows of one key are not the same."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """What one pass over the pages brought."""

    rows: pa.RecordBatch
    received: int
    first_total: int | None
    last_total: int | None

    def agrees(self) -> bool:
        return self.first_total == self.last_total == self.received == int(self.rows.num_rows)


class SliceReader:
    """Reads slices of one extract.

    :param ask: asks the API, patiently.
    :param key: columns that name a row within a slice.
    :param day_column: column that must hold the slice's own day in every row; None where a slice is no single day.
    :param on_duplicates: told how many identical rows were dropped.
    """

    def __init__(
        self,
        ask: Callable[[Query], Answer],
        *,
        key: tuple[str, ...],
        day_column: str | None,
        on_duplicates: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._ask_api = ask
        self._key = key
        self._day_column = day_column
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
            rows = self._read_pages(query, self._page_rows)
            return rows if rows.num_rows else self._confirm_empty(query, rows)
        try:
            answer = self._ask(query)
        except TimedOut as error:
            log.info("%s: too slow in one answer (%s); reading it in pages", slice_name(query), error.reason)
            return self._read_pages(query, PAGE_ROWS)
        except Refused as error:
            if named_columns(error, query.columns):
                raise
            return self._read_pages_instead(query, error)
        if answer.rows.num_rows == 0 and not answer.total:
            return self._confirm_empty(query, answer.rows)
        rows = self._distinct(answer.rows, query)
        if self._is_whole(answer, rows, query):
            self._on_duplicates(answer.rows.num_rows - rows.num_rows)
            return rows
        capped = answer.total is None or not self._believes or answer.total > answer.rows.num_rows >= FEWEST_PAGE_ROWS
        return self._read_pages(query, self._learn(answer.rows.num_rows) if capped else PAGE_ROWS)

    def _ask(self, query: Query) -> Answer:
        answer = self._ask_api(query)
        return answer if self._believes else replace(answer, total=None, has_next=None)

    def _is_whole(self, answer: Answer, rows: pa.RecordBatch, query: Query) -> bool:
        received = answer.rows.num_rows
        if answer.total is None and answer.has_next is None:
            return self._second_page_is_old(rows, received, query)
        said = answer.has_next is False if answer.total is None else answer.total in (received, rows.num_rows)
        could_be_a_cap = received > self._proven_rows or (received == self._proven_rows and self._proofs < PROOFS)
        if not said or not could_be_a_cap or self._second_page_is_old(rows, received, query):
            return said
        log.warning("the server cuts answers off at %d rows and calls that all; what it says of pages is not used", received)
        self._believes = False
        return False

    def _second_page_is_old(self, rows: pa.RecordBatch, received: int, query: Query) -> bool:
        """Whether a second page of as many rows brings none that is new."""
        second = self._page(replace(query, page=2, limit=received))
        if second is not None and _new_keys(rows, second.rows, self._key):
            return False
        with self._lock:
            self._proofs = 1 if received > self._proven_rows else self._proofs + (received == self._proven_rows)
            self._proven_rows = max(self._proven_rows, received)
        return True

    def _confirm_empty(self, query: Query, empty: pa.RecordBatch) -> pa.RecordBatch:
        """An empty answer is asked once more before it counts: a scope that vanished for a moment must not empty a table."""
        again = self._ask(replace(query, page=1, limit=1))
        return self._read_pages(query, PAGE_ROWS) if again.rows.num_rows or again.total else empty

    def _read_pages_instead(self, query: Query, refusal: Refused) -> pa.RecordBatch:
        """Pages, where all rows at once were refused; the first refusal is what counts where they are refused as well."""
        try:
            rows = self._read_pages(query, PAGE_ROWS)
        except Refused:
            raise refusal from None
        self._learn(PAGE_ROWS)
        return rows

    def _learn(self, page_rows: int) -> int:
        if self._page_rows is None:
            log.info("the server does not give all rows of a slice at once; reading in pages of %d", page_rows)
            self._page_rows = page_rows
        return page_rows

    def _read_pages(self, query: Query, page_rows: int) -> pa.RecordBatch:
        earlier: _Walk | None = None
        for number in range(1, WALKS + 1):
            try:
                walk = self._walk(query, page_rows)
            except _Differing:
                if number == WALKS:
                    raise
                continue
            if walk.last_total is not None or walk.first_total is not None:
                if walk.agrees():
                    return walk.rows
            elif earlier is not None and _same_keys(earlier.rows, walk.rows, self._key):
                return walk.rows
            earlier = walk
            log.debug("slice %s: walk %d over its pages did not settle it", slice_name(query), number)
        raise PaginationInconsistent(
            f"slice {slice_name(query)}: {WALKS} walks over its pages never added up "
            f"(last: total {walk.last_total}, rows {walk.received}, distinct {walk.rows.num_rows}); nothing was loaded. "
            "The rows may be changing right now: run the task again; if it stays, tell We360 support which day it is"
        )

    def _walk(self, query: Query, page_rows: int) -> _Walk:
        answer = self._ask(replace(query, page=1, limit=page_rows))
        received = answer.rows.num_rows
        if 0 < received < page_rows and self._may_go_on(answer, received):
            # The server caps pages silently. Where it counts them by our limit, rows would fall between: ask for what it gives.
            page_rows = received
            answer = self._ask(replace(query, page=1, limit=page_rows))
        pages = [answer.rows]
        first_total = last_total = answer.total
        seen = _keys(answer.rows, self._key)
        while self._may_go_on(answer, sum(page.num_rows for page in pages)) and len(pages) <= self._most_pages(
            first_total, page_rows
        ):
            next_answer = self._page(replace(query, page=len(pages) + 1, limit=page_rows))
            if next_answer is None or not (new := _keys(next_answer.rows, self._key) - seen):
                break
            answer = next_answer
            seen |= new
            pages.append(answer.rows)
            last_total = answer.total
        rows = pa.Table.from_batches(pages).combine_chunks().to_batches()
        whole = rows[0] if rows else answer.rows
        return _Walk(self._distinct(whole, query), whole.num_rows, first_total, last_total)

    @staticmethod
    def _may_go_on(answer: Answer, received: int) -> bool:
        if answer.rows.num_rows == 0:
            return False
        if answer.total is not None:
            return received < answer.total
        return answer.has_next is not False

    @staticmethod
    def _most_pages(total: int | None, page_rows: int) -> int:
        return MOST_PAGES if total is None else -(-total // page_rows) + 2

    def _page(self, query: Query) -> Answer | None:
        """A page after the first; None where the server refuses it, as some do past the end."""
        try:
            return self._ask(query)
        except Refused:
            return None

    def _distinct(self, rows: pa.RecordBatch, query: Query) -> pa.RecordBatch:
        """The rows without identical twins, first of each kept."""
        self._require_keys(rows, query)
        if pa.Table.from_batches([rows]).group_by(list(self._key)).aggregate([]).num_rows == rows.num_rows:
            return rows
        kept: dict[tuple[object, ...], int] = {}
        values = rows.to_pylist()
        for number, row in enumerate(values):
            first = kept.setdefault(tuple(row[name] for name in self._key), number)
            if row != values[first]:
                raise _Differing(
                    f"slice {slice_name(query)}: rows {first + 1} and {number + 1} of the answer have one key "
                    f"({', '.join(self._key)}) but differ; nothing was loaded. Tell We360 support which day it is"
                )
        return rows.take(pa.array(kept.values()))

    def _require_keys(self, rows: pa.RecordBatch, query: Query) -> None:
        for name in self._key:
            if rows.column(name).null_count:
                number = pc.index(rows.column(name).is_null(), True).as_py() + 1
                raise We360DataError(
                    f"slice {slice_name(query)}: row {number} of the answer has no {name}, which is part of its key; "
                    "nothing was loaded. Tell We360 support which day it is"
                )
        if self._day_column is None or rows.num_rows == 0:
            return
        days = pc.min_max(rows.column(self._day_column)).as_py()
        if (days["min"], days["max"]) != (query.first_day, query.last_day):
            raise We360DataError(
                f"slice {slice_name(query)}: the answer holds rows of {days['min']} to {days['max']}, which were not "
                "asked for; nothing was loaded. Check extra timezone of the Connection"
            )


def named_columns(error: Refused, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the columns that a refusal names."""
    return tuple(name for name in columns if re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", error.reason))


def _keys(rows: pa.RecordBatch, key: tuple[str, ...]) -> set[tuple[object, ...]]:
    return set(zip(*(rows.column(name).to_pylist() for name in key), strict=True))


def _new_keys(known: pa.RecordBatch, rows: pa.RecordBatch, key: tuple[str, ...]) -> bool:
    return not _keys(rows, key) <= _keys(known, key)


def _same_keys(one: pa.RecordBatch, other: pa.RecordBatch, key: tuple[str, ...]) -> bool:
    return one.num_rows == other.num_rows and _keys(one, key) == _keys(other, key)
