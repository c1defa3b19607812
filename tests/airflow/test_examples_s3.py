"""The example Dag for S3 runs as it stands, on a server that speaks as S3 does: make test-clouds."""

from __future__ import annotations

import json

import pytest

from airflow_provider_we360.rows.schema import Column, Kind
from support import cloud_stores
from support.run_days import days_of
from support.stores import Store

COLUMNS = [
    Column("attendance_date", Kind.DATE),
    Column("identity_id"),
    Column("online_duration", Kind.DURATION),
]


@pytest.fixture
def bucket(monkeypatch):
    """The bucket that the example names, and the Connection ``aws_default`` to it."""
    with cloud_stores.s3() as cloud:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(cloud.connect(cloud.endpoint)))
        bucket = Store("s3://company-data/we360", conn_id="aws_default")
        bucket.place.fs.mkdir("company-data")
        yield bucket


@pytest.mark.clouds
@pytest.mark.usefixtures("airflow_db")
def test_the_s3_example_writes_one_file_per_day_on_every_run(example, sandbox, bucket):
    for _ in range(2):
        run = example("we360_to_s3").test()
        assert run.state == "success"
    truth = sandbox.company.rows(*days_of(run, lookback_days=7))
    names = [column.name for column in COLUMNS]
    found = [tuple(row[name] for name in names) for row in bucket.rows(COLUMNS)]
    assert sorted(found) == sorted(tuple(row[name] for name in names) for row in truth) != []
    assert {name.partition("/")[0] for name in bucket.files()} == {
        f"attendance_date={row['attendance_date']}" for row in truth
    }
