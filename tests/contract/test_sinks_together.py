"""Several loads of one table at once, in threads and in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import Barrier

import pytest

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.sinks.base import LoadPlan
from support import loads
from support.engines import Engine, load_in_this_process
from support.loads import append, batches, day, load, rows, summary

Together = Callable[[str, list[tuple[LoadPlan, list[loads.Row]]]], list[int]]


@pytest.fixture(params=["threads", pytest.param("processes", marks=pytest.mark.long)])
def together(request: pytest.FixtureRequest, engine: Engine) -> Together:
    """Run loads into one table at once; answers the rows of each."""
    if request.param == "threads":

        def in_threads(table: str, wanted: list[tuple[LoadPlan, list[loads.Row]]]) -> list[int]:
            barrier = Barrier(len(wanted), timeout=20)

            def one(load: LoadPlan, content: list[loads.Row]) -> int:
                def when_all_are_there() -> Iterator[RowBatch]:
                    yield from batches(content, load.columns)
                    barrier.wait()

                return engine.sink(table).load(load, when_all_are_there()).rows

            with ThreadPoolExecutor(len(wanted)) as pool:
                return [future.result() for future in [pool.submit(one, *each) for each in wanted]]

        return in_threads
    pool: ProcessPoolExecutor = request.getfixturevalue("processes")

    def in_processes(table: str, wanted: list[tuple[LoadPlan, list[loads.Row]]]) -> list[int]:
        at = time.time() + 0.1
        futures = [
            pool.submit(load_in_this_process, engine, table, each, content, at)
            for each, content in wanted
        ]
        return [future.result() for future in futures]

    return in_processes


def test_eight_tasks_that_create_one_table_all_end_right(
    engine: Engine, table: str, together: Together
) -> None:
    wanted = [(load(window=(day(number), day(number))), rows(number, 5)) for number in range(1, 9)]
    assert together(table, wanted) == [5] * 8
    assert len(engine.rows(table)) == 40


def test_eight_tasks_that_add_the_same_column_all_end_right(
    engine: Engine, table: str, together: Together
) -> None:
    engine.load(table, load(columns=loads.COLUMNS[:3]), [])
    wanted = [
        (load(window=(day(number), day(number))), rows(number, 5, count=1))
        for number in range(1, 9)
    ]
    assert together(table, wanted) == [5] * 8
    assert {one["count"] for one in engine.rows(table)} == {1}


@pytest.mark.engine_has("has_lock")
def test_of_loads_of_one_window_one_wins_whole(
    engine: Engine, table: str, together: Together
) -> None:
    engine.load(table, append(), [])  # without a primary key that would stop what a lock must
    rivals = [
        (load(run_id=str(rival)), rows(1, 50, count=rival) + rows(2, 50, count=rival))
        for rival in range(3)
    ]
    assert together(table, rivals) == [100] * 3
    left = engine.rows(table)
    assert len(left) == 100
    assert len({one["count"] for one in left}) == 1


def test_two_windows_at_once_both_arrive(engine: Engine, table: str, together: Together) -> None:
    engine.load(table, load(), rows(1, 5, note="old") + rows(2, 5, note="old"))
    one, two = (
        (load(window=(day(number), day(number))), rows(number, 5, note="new")) for number in (1, 2)
    )
    together(table, [one, two])
    assert [row["note"] for row in engine.rows(table)] == ["new"] * 10


@pytest.mark.engine_has("has_lock")
def test_of_overlapping_sums_only_one_gets_in(engine: Engine, table: str) -> None:
    engine.load(table, summary(20, 21), [])
    barrier = Barrier(2, timeout=20)

    def one(first: int) -> str:
        def when_both_are_there() -> Iterator[RowBatch]:
            yield from batches([{"identity_id": "p0"}], loads.SUMS)
            barrier.wait()

        try:
            engine.sink(table).load(summary(first, 7), when_both_are_there())
        except Exception as error:
            return type(error).__name__
        return "loaded"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, [1, 2])) == ["WindowOverlaps", "loaded"]
