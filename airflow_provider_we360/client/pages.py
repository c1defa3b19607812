"""PageReader: a slice in pages. Pages can shift between two requests, so one walk over them proves nothing by itself.

Where the server gives a total, a walk counts if first total, last total, rows and distinct keys agree. Where it gives none,
two walks with pages of different size must bring the same keys, and neither may end while the server says that more follows.
After three walks nothing is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

from airflow_provider_we360.client.answer import Answer, Refused, TooLarge
from airflow_provider_we360.client.exchange import slice_name
from airflow_provider_we360.client.keys import Differing, Keys
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.errors import PaginationInconsistent, RequestRejected

log = logging.getLogger(__name__)

WALKS = 3
MOST_PAGES = 20_000


@dataclass(frozen=True, slots=True)
class Walk:
    """What one pass over the pages brought.

    :param rows: the distinct rows.
    :param received: how many rows came, twins counted.
    :param in_one: whether one page brought them all.
    :param is_contradicted: True where it ended though the server said that more follows.
    """

    rows: pa.RecordBatch
    received: int
    first_total: int | None
    last_total: int | None
    in_one: bool
    is_contradicted: bool

    @property
    def has_total(self) -> bool:
        return self.first_total is not None or self.last_total is not None

    def agrees(self) -> bool:
        """Whether all that the server said of their number is true of the rows."""
        return self.first_total == self.last_total == self.received == int(self.rows.num_rows)


class PageReader:
    """Reads slices in pages.

    :param ask: asks the API, patiently.
    :param keys: what names a row.
    """

    def __init__(self, ask: Callable[[Query], Answer], keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    def read(self, query: Query, page_rows: int) -> Walk:
        """The walk that brought all rows of the query's days, each once.

        :raises PaginationInconsistent: where the pages never add up.
        :raises Refused: where not even the first page is given.
        """
        earlier: Walk | None = None
        for number in range(1, WALKS + 1):
            # Another size of page on every other walk: what hides behind one size does not hide behind both.
            size = page_rows if number % 2 else max(1, page_rows * 7 // 10)
            try:
                walk = self.walk(query, size)
            except Differing:
                if number == WALKS:
                    raise
                continue
            if walk.agrees() if walk.has_total else self._confirms(earlier, walk):
                return walk
            earlier = walk
            log.debug(
                "slice %s: walk %d over its pages did not settle it", slice_name(query), number
            )
        raise PaginationInconsistent(
            f"slice {slice_name(query)}: {WALKS} walks over its pages never added up (last: total {walk.last_total}, "
            f"rows {walk.received}, distinct {walk.rows.num_rows}); nothing was loaded. The rows may be changing right now: "
            "run the task again. If the numbers stay the same, the server's own count is not of these rows: tell We360 support"
        )

    def walk(self, query: Query, page_rows: int) -> Walk:
        """One pass over the pages, until nothing more is said to follow or nothing new comes."""
        answer = self._ask(replace(query, page=1, limit=page_rows))
        if 0 < answer.rows.num_rows < page_rows and _goes_on(answer, answer.rows.num_rows):
            # The server caps pages silently. Where it counts them by our limit, rows would fall between: ask for what it gives.
            page_rows = answer.rows.num_rows
            answer = self._ask(replace(query, page=1, limit=page_rows))
        first_total, received, pages, seen = (
            answer.total,
            answer.rows.num_rows,
            [answer.rows],
            self._keys.of(answer.rows),
        )
        is_contradicted = False
        while _goes_on(answer, received):
            following = self.following(replace(query, page=len(pages) + 1, limit=page_rows))
            new = self._keys.of(following.rows) - seen if following else None
            if following is None or not new or len(pages) >= MOST_PAGES:
                is_contradicted = answer.has_next is True
                break
            answer = following
            seen |= new
            pages.append(answer.rows)
            received += answer.rows.num_rows
        rows = pa.Table.from_batches(pages).combine_chunks().to_batches()
        whole = self._keys.distinct(rows[0] if rows else pages[0], query)
        return Walk(whole, received, first_total, answer.total, len(pages) == 1, is_contradicted)

    def following(self, query: Query) -> Answer | None:
        """A page after the first; None where the server refuses it, as some do past the end.

        A refusal that passes must not look like the end: the page before is asked for again, and then this one.

        :raises Refused: where the page before is refused, too; :class:`TooLarge` where the page is.
        """
        try:
            return self._ask(query)
        except RequestRejected as error:
            _require_end(error)
            self._ask(replace(query, page=query.page - 1))
        try:
            return self._ask(query)
        except RequestRejected as error:
            _require_end(error)
            return None

    def _confirms(self, earlier: Walk | None, walk: Walk) -> bool:
        if earlier is None or earlier.is_contradicted or walk.is_contradicted:
            return False
        return self._keys.of(earlier.rows) == self._keys.of(walk.rows)


def _require_end(error: RequestRejected) -> None:
    """Nothing, if a page that is not there may be refused so: by the server's own words, or as not found."""
    if isinstance(error, TooLarge) or not (isinstance(error, Refused) or error.status == 404):
        raise error


def _goes_on(answer: Answer, received: int) -> bool:
    """Whether more may follow a page, by what the server says; where it says nothing, it may."""
    if answer.rows.num_rows == 0:
        return False
    if answer.has_next is True:
        return True
    return answer.has_next is None if answer.total is None else received < answer.total
