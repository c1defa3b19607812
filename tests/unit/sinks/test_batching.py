"""Batches on their way into the staging table: split by size, checked, stamped."""

from __future__ import annotations

from itertools import chain

import pytest

from airflow_provider_we360.sinks.batching import split_by_bytes
from support.loads import batch, rows


@pytest.mark.parametrize(("most_bytes", "batches_each"), [(1, [1, 1, 1, 1, 1]), (10**9, [5])])
def test_every_row_comes_once_in_order_and_no_list_is_empty(
    most_bytes: int, batches_each: list[int]
) -> None:
    given = [batch(rows(number, number)) for number in range(6)]
    made = list(split_by_bytes(given, most_bytes))
    assert [len(part) for part in made] == batches_each
    assert list(chain.from_iterable(made)) == [one.to_arrow() for one in given if len(one)]


def test_a_list_ends_with_the_batch_that_reaches_the_size() -> None:
    given = [batch(rows(number, 100)) for number in range(1, 10)]
    weight = given[0].to_arrow().nbytes
    assert [len(part) for part in split_by_bytes(given, 2 * weight + 1)] == [3, 3, 3]
    assert [len(part) for part in split_by_bytes(given, 2 * weight)] == [2, 2, 2, 2, 1]


def test_no_rows_make_no_list() -> None:
    assert list(split_by_bytes([batch([]), batch([])], 1)) == []
