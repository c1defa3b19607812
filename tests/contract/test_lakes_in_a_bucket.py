"""Iceberg and Delta tables on a server that speaks as S3 does: make test-clouds."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from support.cloud_stores import Cloud
from support.lakes import Delta, Iceberg, Lake
from support.loads import day, load, merge, row, rows

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
