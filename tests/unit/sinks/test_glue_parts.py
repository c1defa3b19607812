"""Parts: batches gathered until they weigh enough, so that a target is handed few files, each of bounded size."""

from __future__ import annotations

from itertools import chain

import pytest

from airflow_provider_we360.sinks.glue import parts
from support.loads import batch, rows


@pytest.mark.parametrize(("most_bytes", "batches_each"), [(1, [1, 1, 1, 1, 1]), (10**9, [5])])
def test_every_row_comes_once_in_order_and_no_part_is_empty(
    most_bytes: int, batches_each: list[int]
) -> None:
    given = [batch(rows(number, number)) for number in range(6)]
    made = list(parts(given, most_bytes))
    assert [len(part) for part in made] == batches_each
    assert list(chain.from_iterable(made)) == [one.to_arrow() for one in given if len(one)]


def test_a_part_ends_with_the_batch_that_makes_it_heavy_enough() -> None:
    given = [batch(rows(number, 100)) for number in range(1, 10)]
    weight = given[0].to_arrow().nbytes
    assert [len(part) for part in parts(given, 2 * weight + 1)] == [3, 3, 3]
    assert [len(part) for part in parts(given, 2 * weight)] == [2, 2, 2, 2, 1]


def test_nothing_makes_no_part() -> None:
    assert list(parts([batch([]), batch([])], 1)) == []
