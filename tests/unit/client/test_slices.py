"""A slice is read whole, or not at all."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from airflow_provider_we360.client.answer import Refused
from airflow_provider_we360.client.keys import Keys
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.slices import SliceReader
from airflow_provider_we360.errors import PaginationInconsistent, We360DataError
from support.paged_api import DAY, PagedApi, rows_of

COLUMNS = ("attendance_date", "identity_id", "online_duration")
KEYS = Keys(("attendance_date", "identity_id"), "attendance_date")
QUERY = Query(first_day=DAY, last_day=DAY, mode="detailed", columns=COLUMNS)


def reader(api, dropped=None):
    keys = Keys(("attendance_date", "identity_id"), "attendance_date")
    return SliceReader(api.ask, keys, on_duplicates=(dropped if dropped is not None else []).append)


def read(api):
    return sorted(row["identity_id"] for row in reader(api).read(QUERY).to_pylist())


def truth(api):
    return sorted(row["identity_id"] for row in api.rows)


@pytest.mark.parametrize("total", ["true", None])
def test_a_total_that_equals_the_rows_or_no_next_page_costs_one_request_and_three_an_extract_to_make_sure(
    total,
):
    api = PagedApi(rows_of(*range(63)), total=total)
    slices = reader(api)
    for _ in range(5):
        assert slices.read(QUERY).num_rows == 63
    proof = (
        [(2, 63)] if total else [(2, 63)] * 2
    )  # nothing at all is asked for once more, where no total says the same
    assert [(query.page, query.limit) for query in api.queries] == [(1, 0), *proof] * 3 + [
        (1, 0)
    ] * 2


@pytest.mark.parametrize("cap", [10, 17, 50])
@pytest.mark.parametrize("says_next", [True, False])
def test_a_cap_that_the_metadata_hides_loses_no_row(cap, says_next):
    class Liar(PagedApi):
        """Counts the rows it gives and calls that the total."""

        def ask(self, query):
            answer = super().ask(query)
            return replace(
                answer, total=answer.rows.num_rows, has_next=False if says_next else None
            )

    api = Liar(rows_of(*range(60)), cap=cap)
    assert read(api) == truth(api)


def test_a_cap_that_is_hidden_on_a_later_larger_day_is_found_too():
    class Liar(PagedApi):
        def ask(self, query):
            answer = super().ask(query)
            return replace(answer, total=answer.rows.num_rows, has_next=False)

    api = Liar(rows_of(*range(5)), cap=10)
    slices = reader(api)
    assert slices.read(QUERY).num_rows == 5
    for count in (10, 60, 7):
        api.rows = rows_of(*range(count))
        assert slices.read(QUERY).num_rows == count


def test_with_neither_a_second_page_is_asked_for_and_must_bring_nothing_new():
    api = PagedApi(rows_of(*range(60)), total=None, says_next=False)
    assert read(api) == truth(api)
    assert [(query.page, query.limit) for query in api.queries] == [(1, 0), (2, 60), (2, 60)]


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
def test_a_total_that_never_agrees_fails_and_loads_nothing(lie):
    with pytest.raises(PaginationInconsistent, match="3 walks"):
        read(PagedApi(rows_of(*range(60)), total=lie))


def test_a_row_that_moves_between_pages_is_found_by_another_walk():
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


def test_an_empty_day_is_asked_once_more_before_it_counts():
    api = PagedApi([])
    assert read(api) == []
    assert [(query.page, query.limit) for query in api.queries] == [(1, 0), (1, 1)]


def test_an_empty_answer_that_was_an_accident_is_read_after_all():
    def come_back(api, number):
        api.rows = rows_of() if number == 1 else rows_of(1, 2, 3)

    assert len(read(PagedApi([], before_each=come_back))) == 3


def test_an_empty_answer_with_a_total_is_no_empty_day():
    with pytest.raises(PaginationInconsistent):
        read(PagedApi([], total=12))


def test_identical_twins_are_dropped_and_counted():
    dropped = []
    api = PagedApi(rows_of(1, 2, 2, 3))
    assert reader(api, dropped).read(QUERY).num_rows == 3
    assert dropped == [1]


def test_two_rows_of_one_key_that_differ_fail_the_slice():
    with pytest.raises(We360DataError, match=r"rows 2 and 3 .* differ"):
        read(PagedApi([*rows_of(1, 2), *rows_of(2, seconds=61)]))


@pytest.mark.parametrize("name", ["identity_id", "attendance_date"])
def test_a_row_without_its_key_fails_the_slice_by_row_number(name):
    rows = rows_of(1, 2, 3)
    rows[1][name] = None
    with pytest.raises(We360DataError, match=f"row 2 .* no {name}"):
        read(PagedApi(rows))


def test_a_row_of_another_day_fails_the_slice():
    rows = rows_of(1, 2)
    rows[1]["attendance_date"] = DAY + dt.timedelta(days=1)
    with pytest.raises(We360DataError, match="not asked for"):
        read(PagedApi(rows))


def test_a_refusal_that_names_a_column_is_not_tried_in_pages():
    class Refusing(PagedApi):
        def ask(self, query):
            self.queries.append(query)
            raise Refused("We360 refused the request: invalid column: online_duration")

    api = Refusing([])
    with pytest.raises(Refused, match="online_duration"):
        read(api)
    assert len(api.queries) == 1


def test_where_pages_are_refused_as_well_the_first_refusal_is_told():
    class Refusing(PagedApi):
        def ask(self, query):
            raise Refused(
                "We360 refused the request: "
                + ("dates are too old" if query.limit == 0 else "something else")
            )

    with pytest.raises(Refused, match="dates are too old"):
        read(Refusing([]))


@pytest.mark.parametrize("counts", ["all rows", "rows of the answer", "nothing"])
@pytest.mark.parametrize(("largest", "first"), [(20, 50), (500, 1000), (100, 100)])
def test_a_server_that_refuses_large_pages_hides_no_rows_behind_its_refusal(counts, largest, first):
    class Strict(PagedApi):
        """Gives some rows for limit 0, and refuses large pages and any page past the end."""

        def ask(self, query):
            if query.limit > largest:
                raise Refused(f"We360 refused the request: limit must not be over {largest}")
            answer = super().ask(query)
            return (
                replace(answer, total=answer.rows.num_rows)
                if counts == "rows of the answer"
                else answer
            )

    total = "true" if counts == "all rows" else None
    api = Strict(
        rows_of(*range(first + 30)),
        total=total,
        says_next=False,
        whole=first,
        past_the_end="refuses",
    )
    assert read(api) == truth(api)


def test_a_next_page_that_is_announced_and_refused_fails_the_slice():
    class Deep(PagedApi):
        """Says honestly that more follows, and refuses to go deeper than 1,000 rows."""

        def ask(self, query):
            if query.page * query.limit > 1000:
                raise Refused("We360 refused the request: too deep")
            return super().ask(query)

    with pytest.raises(PaginationInconsistent):
        read(Deep(rows_of(*range(2300)), total=None, cap=500))


def test_a_server_that_ignores_the_page_and_announces_more_fails_the_slice():
    class Deaf(PagedApi):
        def ask(self, query):
            return super().ask(replace(query, page=1))

    with pytest.raises(PaginationInconsistent):
        read(Deaf(rows_of(*range(900)), total=None, cap=500))


def test_a_total_of_the_page_alone_never_passes_for_the_whole():
    class PageTotals(PagedApi):
        def ask(self, query):
            answer = super().ask(query)
            return replace(answer, total=answer.rows.num_rows)

    with pytest.raises(PaginationInconsistent):
        read(PageTotals(rows_of(*range(656)), cap=256))


@pytest.mark.parametrize("largest", [500, 200, 100])
def test_smaller_pages_are_tried_where_larger_ones_are_refused(largest):
    class Small(PagedApi):
        def ask(self, query):
            if not 1 <= query.limit <= largest:
                raise Refused(f"We360 refused the request: limit must be between 1 and {largest}")
            return super().ask(query)

    api = Small(rows_of(*range(330)))
    assert read(api) == truth(api)


def test_a_hidden_cap_is_found_though_the_page_that_would_show_it_is_refused_once():
    def refuse_the_proof(api, number):
        if number == 2:
            raise Refused("We360 refused the request: not now")

    server = PagedApi(rows_of(*range(20)), cap=7, before_each=refuse_the_proof)

    def ask(query):
        answer = server.ask(query)
        return replace(answer, total=answer.rows.num_rows, has_next=False)

    slices = SliceReader(ask, Keys(("attendance_date", "identity_id"), "attendance_date"))
    assert slices.read(QUERY).num_rows == 20


def lying(server, changed=lambda number, answer: answer):
    """The server's answers, each of which calls its own rows the total.

    :param changed: what becomes of an answer, by the number of its request.
    """

    def ask(query):
        answer = server.ask(query)
        answer = changed(len(server.queries), answer)
        return replace(answer, total=answer.rows.num_rows, has_next=False)

    return ask


def test_a_hidden_cap_is_found_though_the_page_that_would_show_it_is_empty_once():
    server = PagedApi(rows_of(*range(20)), cap=7)
    ask = lying(
        server,
        lambda number, answer: replace(answer, rows=answer.rows[:0]) if number == 2 else answer,
    )
    assert SliceReader(ask, KEYS).read(QUERY).num_rows == 20


def test_without_totals_a_cap_is_found_though_the_second_page_is_empty_once():
    server = PagedApi(rows_of(*range(20)), total=None, says_next=False, cap=7)

    def ask(query):
        answer = server.ask(query)
        return replace(answer, rows=answer.rows[:0]) if len(server.queries) == 2 else answer

    assert SliceReader(ask, KEYS).read(QUERY).num_rows == 20


def test_a_hidden_cap_is_found_though_the_page_that_would_show_it_comes_in_another_order():
    """So that it holds a few of the first page's rows, and none of the others."""
    server = PagedApi(rows_of(*range(9)), cap=7)
    first = server.ask(replace(QUERY, page=1, limit=7)).rows
    server.queries.clear()
    ask = lying(
        server, lambda number, answer: replace(answer, rows=first[:2]) if number == 2 else answer
    )
    assert SliceReader(ask, KEYS).read(QUERY).num_rows == 9


def test_a_hidden_cap_that_another_thread_has_found_meanwhile_is_one_for_the_rows_read_before_too():
    """The other thread has proven more rows than the cap, in pages: these are fewer, and prove nothing."""

    judged = []

    class Meanwhile(Keys):
        def distinct(self, rows, query):
            judged.append(rows)
            if (
                len(judged) == 1
            ):  # the first answer was read and believed, and is about to be judged
                assert slices.read(QUERY).num_rows == 20
            return super().distinct(rows, query)

    slices = SliceReader(
        lying(PagedApi(rows_of(*range(20)), cap=7)), Meanwhile(KEYS.names, KEYS.day_column)
    )
    assert slices.read(QUERY).num_rows == 20


@pytest.mark.parametrize("whole", ["refuses", "times out"])
def test_a_hidden_cap_is_found_too_where_the_day_is_read_in_pages_from_the_start(whole):
    server = PagedApi(rows_of(*range(20)), cap=7, whole=whole)

    def ask(query):
        answer = server.ask(query)
        return replace(answer, total=answer.rows.num_rows, has_next=False)

    slices = SliceReader(ask, Keys(("attendance_date", "identity_id"), "attendance_date"))
    assert [slices.read(QUERY).num_rows for _ in range(3)] == [20, 20, 20]


def test_a_refusal_that_passes_is_not_taken_for_the_end_of_the_pages():
    def refuse_twice(api, number):
        if number in (2, 6):
            raise Refused("We360 refused the request: not now")

    server = PagedApi(
        rows_of(*range(20)), total=None, says_next=False, cap=7, before_each=refuse_twice
    )
    assert read(server) == truth(server)
