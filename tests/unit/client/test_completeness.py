"""A day is read whole, or not at all."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from dataclasses import replace

import pyarrow as pa
import pytest

from airflow_provider_we360.client.completeness import DayReader
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.response import Declined, DeclinedAtGateway, Refused
from airflow_provider_we360.client.row_keys import RowKeys
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import (
    PaginationInconsistent,
    RetryableApiError,
    We360DataError,
)
from support.paged_api import DAY, PagedApi, rows_of

COLUMNS = ("attendance_date", "identity_id", "online_duration")
KEYS = RowKeys(("attendance_date", "identity_id"), "attendance_date")
QUERY = Query(first_day=DAY, last_day=DAY, mode="detailed", columns=COLUMNS)
BEFORE = DAY - dt.timedelta(days=1)
NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


def reader(api, stats=None):
    return DayReader(api.fetch, KEYS, lambda: NOW, stats or ReadStats())


def read_one(days, query=QUERY):
    """Read and verify one day, as the client does."""
    day = days.read(query)
    keys_query = replace(query, first_day=query.first_day - dt.timedelta(days=3))
    days.verify([day], keys_query, days.fetch_keys(keys_query))
    return day.rows


def read(api, stats=None):
    return sorted(row["identity_id"] for row in read_one(reader(api, stats)).to_pylist())


def truth(api):
    return sorted(row["identity_id"] for row in api.rows if row["attendance_date"] == DAY)


def asked(api):
    return [(query.page, query.limit, len(query.columns)) for query in api.queries]


class CountingItself(PagedApi):
    """Calls the rows of each answer the total."""

    says_end = True

    def fetch(self, query, *, verifies=False):
        page = super().fetch(query, verifies=verifies)
        return replace(page, total=page.rows.num_rows, has_next=False if self.says_end else None)


@pytest.mark.parametrize(("total", "says_next"), [("true", True), (None, True), (None, False)])
def test_one_answer_with_keys_of_more_rows_is_proof(total, says_next):
    api = PagedApi(
        rows_of(*range(63)) + rows_of(1, 2, day=BEFORE), total=total, says_next=says_next
    )
    assert read(api) == truth(api)
    assert asked(api) == [(1, 0, 3), (1, 0, 2)]


def test_keys_of_no_more_rows_need_a_second_page():
    api = PagedApi(rows_of(*range(63)))
    assert read(api) == truth(api)
    assert asked(api) == [(1, 0, 3), (1, 0, 2), (2, 63, 2)]


def test_a_day_cut_by_bytes_is_read_again_in_pages():
    """Wide rows are cut where narrow ones are not, and the server counts what it sends."""

    class CutByBytes(CountingItself):
        def fetch(self, query, *, verifies=False):
            self.cap = 40 if len(query.columns) == 3 else 0
            return super().fetch(query, verifies=verifies)

    api = CutByBytes(rows_of(*range(90)) + rows_of(1, day=BEFORE))
    assert read(api) == truth(api)


def test_a_day_that_always_lacks_a_known_row_fails():
    class Hiding(CountingItself):
        def fetch(self, query, *, verifies=False):
            page = super().fetch(query, verifies=verifies)
            if len(query.columns) < 3:
                return page
            return replace(page, rows=page.rows[1:], total=None)

    with pytest.raises(PaginationInconsistent, match=r"never agreed|has shown"):
        read(Hiding(rows_of(*range(90)) + rows_of(1, day=BEFORE)))


def test_a_row_that_came_since_the_day_was_read_is_loaded():
    def come(api, number):
        if number == 2:
            api.rows = [*rows_of(*range(64)), *rows_of(1, day=BEFORE)]

    stats = ReadStats()
    api = PagedApi(rows_of(*range(63)) + rows_of(1, day=BEFORE), before_each=come)
    assert read(api, stats) == truth(api)
    assert len(truth(api)) == 64
    assert stats.unsettled_days == {DAY}


def test_a_row_that_came_since_the_keys_were_read_is_loaded():
    days = reader(api := PagedApi(rows_of(*range(63)) + rows_of(1, day=BEFORE)))
    keys_query = replace(QUERY, first_day=BEFORE)
    keys = days.fetch_keys(keys_query)
    api.rows += rows_of(99)
    day = days.read(QUERY)
    days.verify([day], keys_query, keys)
    assert day.rows.num_rows == 64
    assert not day.in_pages


@pytest.mark.parametrize("sign", ["has_next", "more", "total"])
def test_any_sign_of_more_contradicts(sign):
    class Announcing(PagedApi):
        def fetch(self, query, *, verifies=False):
            page = super().fetch(query, verifies=verifies)
            change = {"has_next": True, "more": ("next_cursor",), "total": 64}[sign]
            return replace(page, **{sign: change})

    with pytest.raises(PaginationInconsistent):
        read(Announcing(rows_of(*range(63)) + rows_of(1, day=BEFORE)))


@pytest.mark.parametrize("cap", [10, 17, 50])
@pytest.mark.parametrize("says_next", [True, False])
def test_a_cap_that_the_metadata_hides_loses_no_row(cap, says_next):
    class Liar(CountingItself):
        says_end = says_next

    api = Liar(rows_of(*range(60)), cap=cap)
    assert read(api) == truth(api)


def test_a_cap_hidden_until_a_larger_day_is_found():
    api = CountingItself(rows_of(*range(5)), cap=10)
    days = reader(api)
    assert read_one(days).num_rows == 5
    for count in (10, 60, 7):
        api.rows = rows_of(*range(count))
        assert read_one(days).num_rows == count


@pytest.mark.parametrize("past_the_end", ["empty", "clamps", "refuses"])
@pytest.mark.parametrize("cap_moves_offset", [True, False])
@pytest.mark.parametrize(
    ("total", "says_next"), [("true", True), ("true", False), (None, True), (None, False)]
)
@pytest.mark.parametrize("whole", ["gives", "refuses", "times out", 50])
def test_a_silent_cap_of_17_rows_loses_none(
    past_the_end, cap_moves_offset, total, says_next, whole
):
    api = PagedApi(
        rows_of(*range(60)),
        total=total,
        says_next=says_next,
        cap=17,
        cap_moves_offset=cap_moves_offset,
        whole=whole,
        past_the_end=past_the_end,
    )
    assert read(api) == truth(api)


@pytest.mark.parametrize("count", [1, 16, 17, 18, 34, 51, 499, 500, 501, 1000])
@pytest.mark.parametrize("past_the_end", ["empty", "clamps", "refuses"])
@pytest.mark.parametrize(("total", "says_next"), [("true", False), (None, True), (None, False)])
def test_pages_of_any_fill_are_read_to_the_end(count, past_the_end, total, says_next):
    api = PagedApi(
        rows_of(*range(count)),
        total=total,
        says_next=says_next,
        whole="refuses",
        past_the_end=past_the_end,
    )
    assert read(api) == truth(api)


@pytest.mark.parametrize("lie", [59, 61, 0, 10_000])
def test_a_total_that_never_agrees_fails_the_day(lie):
    with pytest.raises(PaginationInconsistent, match="3 walks"):
        read(PagedApi(rows_of(*range(60)), total=lie))


def test_a_row_that_moves_between_pages_is_found():
    def take_the_first_away_once(api, number):
        if number == 3:
            api.rows = api.rows[1:]

    api = PagedApi(rows_of(*range(30)), cap=10, before_each=take_the_first_away_once)
    assert read(api) == truth(api)


def test_rows_that_move_at_every_request_fail():
    def shift(api, number):
        api.rows = rows_of(*range(100 - number, 130 - number))

    with pytest.raises(PaginationInconsistent):
        read(PagedApi(rows_of(*range(30)), cap=10, total="true", before_each=shift))


@pytest.mark.parametrize(("total", "says_next"), [("true", True), (None, True), (None, False)])
def test_rows_of_other_days_prove_an_empty_day(total, says_next):
    stats = ReadStats()
    api = PagedApi(rows_of(1, 2, day=BEFORE), total=total, says_next=says_next)
    assert read(api, stats) == []
    assert asked(api) == [(1, 0, 3), (1, 0, 2)]
    assert not stats.assumed_empty_days


def test_an_empty_window_is_requested_in_another_shape():
    api = PagedApi([])
    assert read(api) == []
    assert asked(api) == [(1, 0, 3), (1, 0, 2), (1, 1, 2)]


def test_an_empty_window_without_metadata_is_assumed():
    stats = ReadStats()
    assert read(PagedApi([], total=None, says_next=False), stats) == []
    assert stats.assumed_empty_days == {DAY}


def test_no_empty_day_is_assumed_if_the_server_has_metadata():
    class Silent(PagedApi):
        """Says nothing of its rows where there are none."""

        def fetch(self, query, *, verifies=False):
            page = super().fetch(query, verifies=verifies)
            return page if page.rows.num_rows else replace(page, total=None, has_next=None)

    api = Silent(rows_of(1))
    days = reader(api)
    assert read_one(days).num_rows == 1
    api.rows = []
    with pytest.raises(RetryableApiError, match="does not say that there are none"):
        read_one(days)


def test_an_empty_day_with_an_unknown_field_proves_nothing():
    class Strange(PagedApi):
        def fetch(self, query, *, verifies=False):
            page = super().fetch(query, verifies=verifies)
            return replace(page, unknown=frozenset() if page.rows.num_rows else {"notice"})

    with pytest.raises(RetryableApiError, match="does not say that there are none"):
        read(Strange(rows_of(1, day=BEFORE), total=None, says_next=False))


def test_an_empty_answer_by_accident_is_read_after_all():
    def come_back(api, number):
        api.rows = rows_of() if number == 1 else rows_of(1, 2, 3)

    assert len(read(PagedApi([], before_each=come_back))) == 3


def test_a_row_once_shown_is_not_undone_by_empty_answers():
    """Pages counted from 0: only the answer with one row per page shows a row."""

    class FromZero(PagedApi):
        def fetch(self, query, *, verifies=False):
            page = super().fetch(replace(query, page=query.page + 1), verifies=verifies)
            return replace(page, total=None, has_next=False)

    with pytest.raises(PaginationInconsistent, match="has shown"):
        read(FromZero(rows_of(*range(40))))


def test_replicas_of_which_one_lacks_the_day_lose_no_row():
    for first in (0, 1):

        class Replicas(PagedApi):
            def fetch(self, query, *, verifies=False, first=first):
                page = super().fetch(query, verifies=verifies)
                if len(self.queries) % 2 == first:
                    return page
                return replace(page, rows=page.rows[:0], total=0, has_next=False)

        api = Replicas(rows_of(*range(40)))
        with contextlib.suppress(PaginationInconsistent):  # nothing is loaded: safe, too
            assert read(api) == truth(api)


def test_an_empty_answer_with_a_total_is_no_empty_day():
    with pytest.raises(PaginationInconsistent):
        read(PagedApi([], total=12))


def test_identical_duplicates_are_dropped_and_counted():
    stats = ReadStats()
    api = PagedApi(rows_of(1, 2, 2, 3), total=3)
    assert read(api, stats) == ["person-001", "person-002", "person-003"]
    assert stats.duplicates == 1


def test_a_total_that_counts_a_duplicate_contradicts():
    """100 rows by their total, of which one came twice and one is missing."""
    rows = rows_of(*range(99)) + rows_of(98)
    with pytest.raises(PaginationInconsistent):
        read(PagedApi(rows, total=100))


def test_two_differing_rows_of_one_key_fail_the_day():
    with pytest.raises(We360DataError, match=r"rows 2 and 3 .* differ"):
        read(PagedApi([*rows_of(1, 2), *rows_of(2, seconds=61)], total=2))


@pytest.mark.parametrize("name", ["identity_id", "attendance_date"])
def test_a_row_without_its_key_fails_the_day_by_number(name):
    class Keyless(PagedApi):
        def fetch(self, query, *, verifies=False):
            page = super().fetch(query, verifies=verifies)
            column = page.rows.column(name).to_pylist()
            column[1] = None
            number = page.rows.schema.get_field_index(name)
            kind = page.rows.schema.field(name).type
            return replace(page, rows=page.rows.set_column(number, name, pa.array(column, kind)))

    with pytest.raises(We360DataError, match=f"row 2 .* no {name}"):
        read(Keyless(rows_of(1, 2, 3)))


def test_a_row_of_another_day_fails_the_day():
    class Wide(PagedApi):
        def fetch(self, query, *, verifies=False):
            return super().fetch(replace(query, last_day=DAY + dt.timedelta(days=1)))

    api = Wide(rows_of(1) + rows_of(2, day=DAY + dt.timedelta(days=1)))
    with pytest.raises(We360DataError, match="not requested"):
        read(api)


@pytest.mark.parametrize("kind", [Refused, Declined])
def test_a_refusal_that_names_a_column_is_final(kind):
    class Refusing(PagedApi):
        def fetch(self, query, *, verifies=False):
            self.queries.append(query)
            raise kind("We360 refused the request: invalid column: online_duration")

    api = Refusing([])
    with pytest.raises(kind, match="online_duration"):
        read(api)
    assert len(api.queries) == 1


@pytest.mark.parametrize("kind", [Refused, Declined])
def test_the_first_refusal_is_reported_if_pages_fail_too(kind):
    class Refusing(PagedApi):
        def fetch(self, query, *, verifies=False):
            words = "dates are too old" if query.limit == 0 else "something else"
            raise kind(f"We360 refused the request: {words}")

    with pytest.raises(kind, match="dates are too old"):
        read(Refusing([]))


@pytest.mark.parametrize("counts", ["all rows", "rows of the answer", "nothing"])
@pytest.mark.parametrize(("largest", "first"), [(20, 50), (500, 1000), (100, 100)])
def test_a_refusal_of_large_pages_hides_no_rows(counts, largest, first):
    class Strict(PagedApi):
        """Gives some rows for limit 0, and refuses large pages and any page past the end."""

        def fetch(self, query, *, verifies=False):
            if query.limit > largest:
                raise Refused(f"We360 refused the request: limit must not be over {largest}")
            page = super().fetch(query)
            own = counts == "rows of the answer"
            return replace(page, total=page.rows.num_rows) if own else page

    api = Strict(
        rows_of(*range(first + 30)),
        total="true" if counts == "all rows" else None,
        says_next=False,
        whole=first,
        past_the_end="refuses",
    )
    assert read(api) == truth(api)


def test_a_next_page_announced_and_refused_fails_the_day():
    class Deep(PagedApi):
        """Says honestly that more follows, and refuses to go deeper than 1,000 rows."""

        def fetch(self, query, *, verifies=False):
            if query.page * query.limit > 1000:
                raise Refused("We360 refused the request: too deep")
            return super().fetch(query)

    with pytest.raises(PaginationInconsistent):
        read(Deep(rows_of(*range(2300)), total=None, cap=500))


def test_announced_pages_that_never_come_fail_the_day():
    class Deaf(PagedApi):
        def fetch(self, query, *, verifies=False):
            return super().fetch(replace(query, page=1))

    with pytest.raises(PaginationInconsistent):
        read(Deaf(rows_of(*range(900)), total=None, cap=500))


def test_a_total_of_the_page_alone_proves_nothing():
    """Pages are read to their end whatever each counts; the keys must then agree."""

    class PageTotals(PagedApi):
        def fetch(self, query, *, verifies=False):
            page = super().fetch(query)
            return replace(page, total=page.rows.num_rows)

    api = PageTotals(rows_of(*range(656)), cap=256)
    assert read(api) == truth(api)


@pytest.mark.parametrize("largest", [500, 200, 100])
def test_smaller_pages_are_tried_if_larger_are_refused(largest):
    class Small(PagedApi):
        def fetch(self, query, *, verifies=False):
            if not 1 <= query.limit <= largest:
                raise Refused(f"We360 refused the request: limit must be between 1 and {largest}")
            return super().fetch(query)

    api = Small(rows_of(*range(330)))
    assert read(api) == truth(api)


def refuse_the_proof(api, page):
    if len(api.queries) == 3:
        raise Refused("We360 refused the request: not now")
    return page


def empty_the_proof(api, page):
    return replace(page, rows=page.rows[:0]) if len(api.queries) == 3 else page


def reorder_the_proof(api, page):
    """The second page holds a few rows of the first one, and none of the others."""
    if len(api.queries) != 3:
        return page
    first = PagedApi(api.rows, cap=7).fetch(replace(api.queries[2], page=1))
    return replace(page, rows=first.rows[:2])


@pytest.mark.parametrize("change", [refuse_the_proof, empty_the_proof, reorder_the_proof])
@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("people", [9, 20])
def test_a_hidden_cap_is_found_if_its_proof_fails_once(change, counts, people):
    class Hiding(PagedApi):
        def fetch(self, query, *, verifies=False):
            page = change(self, super().fetch(query, verifies=verifies))
            return replace(page, total=page.rows.num_rows, has_next=False) if counts else page

    api = Hiding(rows_of(*range(people)), total=None, says_next=False, cap=7)
    assert read(api) == truth(api)


@pytest.mark.parametrize("whole", ["refuses", "times out"])
def test_a_hidden_cap_is_found_if_whole_days_fail(whole):
    days = reader(CountingItself(rows_of(*range(20)), cap=7, whole=whole))
    assert [read_one(days).num_rows for _ in range(3)] == [20, 20, 20]


def test_a_refusal_that_passes_is_not_the_end_of_the_pages():
    def refuse_twice(api, number):
        if number in (2, 6):
            raise Refused("We360 refused the request: not now")

    api = PagedApi(
        rows_of(*range(20)), total=None, says_next=False, cap=7, before_each=refuse_twice
    )
    assert read(api) == truth(api)


class RefusingPages(PagedApi):
    """Refuses the keys alone, and some requests for pages."""

    refusals = 0

    def fetch(self, query, *, verifies=False):
        is_page, is_keys = query.limit > 0, query.columns != COLUMNS
        if is_page and self.refusals > 0:
            self.queries.append(query)
            self.refusals -= 1
            raise Declined("We360 refused the request: not now")
        if is_keys and not is_page:
            raise Declined("We360 refused the request: not this one")
        return super().fetch(query, verifies=verifies)


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_refusal_of_pages_that_passes_hides_no_rows(refusals):
    api = RefusingPages(rows_of(*range(20)), total=None, says_next=False, cap=7)
    api.refusals = refusals
    assert read(api) == truth(api)


def test_a_server_that_always_refuses_pages_is_believed():
    api = RefusingPages(rows_of(*range(20)), total=None, says_next=False)
    api.refusals = 1000
    assert read(api) == truth(api)
    assert [query.limit == 0 for query in api.queries].count(True) == 3


def test_a_day_refused_by_a_web_page_is_read_in_pages():
    class Page(PagedApi):
        def fetch(self, query, *, verifies=False):
            if query.limit == 0:
                raise DeclinedAtGateway("Received a web page", status=400)
            return super().fetch(query, verifies=verifies)

    api = Page(rows_of(*range(20)))
    assert read(api) == truth(api)


def test_a_hidden_cap_is_logged_once(caplog):
    with caplog.at_level(logging.WARNING):
        read(CountingItself(rows_of(*range(20)), cap=7))
    assert caplog.text.count("truncates answers at 7 rows without saying so") == 1
