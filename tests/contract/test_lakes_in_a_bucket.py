"""Iceberg and Delta tables on a server that speaks as S3 does: make test-clouds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from airflow_provider_we360.errors import SinkError
from airflow_provider_we360.rows.batch import RowBatch
from support.cloud_stores import Cloud
from support.lakes import Delta, Iceberg, Lake
from support.loads import batches, day, load, merge, row, rows

pytestmark = [pytest.mark.clouds, pytest.mark.long]


@pytest.fixture(params=["iceberg", "delta"])
def lake(request: pytest.FixtureRequest, s3: Cloud, folder: Path) -> Lake:
    root = f"s3://{s3.bucket}/{uuid.uuid4().hex}"
    if request.param == "delta":
        return Delta(folder, root, s3.connection())
    return Iceberg(
        folder,
        **{
            "warehouse": root,
            "s3.endpoint": s3.endpoint,
            "s3.access-key-id": "key",
            "s3.secret-access-key": "not-for-the-log",
            "s3.region": "us-east-1",
        },
    )


def test_a_bucket_holds_what_a_folder_does(lake: Lake, table: str) -> None:
    log = f"{table}_log"
    lake.load(table, load(window=(day(1), day(2))), rows(1, 3) + rows(2, 3), log)
    lake.load(table, load(window=(day(2), day(2)), run_id="b"), rows(2, 2, note="new"), log)
    lake.load(table, merge(run_id="c"), [row(1, "p0", note="merged")])
    found = [
        (one["attendance_date"].day, one["identity_id"], one["note"]) for one in lake.rows(table)
    ]
    assert sorted(found, key=repr) == sorted(
        [(1, "p0", "merged"), (1, "p1", None), (1, "p2", None), (2, "p0", "new"), (2, "p1", "new")],
        key=repr,
    )
    assert len(lake.arrow(log)) == 3


def test_of_loads_of_one_window_in_a_bucket_one_wins_whole(lake: Lake, table: str) -> None:
    lake.load(table, load(), [])
    barrier = Barrier(2, timeout=60)

    def one(rival: int) -> int:
        def when_all_are_there() -> Iterator[RowBatch]:
            yield from batches(rows(1, 20, count=rival) + rows(2, 20, count=rival))
            barrier.wait()

        return int(lake.sink(table).load(load(run_id=str(rival)), when_all_are_there()).rows)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, range(2))) == [40] * 2
    left = lake.rows(table)
    assert (len(left), len({one["count"] for one in left})) == (40, 1)


def test_a_bucket_that_is_absent_fails_without_its_keys(s3: Cloud, folder: Path) -> None:
    lake = Delta(folder, "s3://no-such-bucket/we360", s3.connection())
    with pytest.raises(SinkError, match=r"^table: cannot .* s3://no-such-bucket") as caught:
        lake.load("days", load(), rows(1, 1))
    assert "not-for-the-log" not in str(caught.value)
