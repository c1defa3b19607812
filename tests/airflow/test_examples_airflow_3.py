"""The example Dags that need Airflow 3 run as they stand."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from support.airflow_line import since
from support.dag_runs import woken_by

DAY = dt.timedelta(days=1)


def loaded_days(path) -> set[dt.date]:
    with duckdb.connect(str(path)) as database:
        return {day for (day,) in database.execute("SELECT day FROM we360_load_log").fetchall()}


def event_of_a_watcher(payload) -> int:
    """Return the ID of an asset event with the extra that Airflow gives the events of watchers."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        asset = session.query(AssetModel).filter_by(uri="we360://acme-demo/dynamic_report").one()
        event = AssetEvent(asset_id=asset.id, extra={"from_trigger": True, "payload": payload})
        session.add(event)
        session.flush()
        return int(event.id)


@since((3, 0), "asset watchers")
@pytest.mark.usefixtures("airflow_db", "sandbox")
def test_a_settled_day_is_loaded_with_the_week_before_it(example, duckdb_file):
    dag = example("we360_when_settled")
    payload = {"report": "dynamic_report", "window": ["2026-06-02", "2026-06-02"]}
    with woken_by([event_of_a_watcher(payload)]):
        assert dag.test().state == "success"
    last = dt.date(2026, 6, 2)
    assert loaded_days(duckdb_file) == {last - number * DAY for number in range(8)}


@since((3, 3), "partitions of events")
@pytest.mark.usefixtures("airflow_db", "sandbox", "postgres")
def test_each_loaded_day_is_a_partition_of_the_asset(example):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    dag = example("we360_partitions")
    conf = {"window_start": "2026-06-08", "window_end": "2026-06-14"}
    assert dag.test(run_conf=conf).state == "success"
    with create_session() as session:
        asset = session.query(AssetModel).filter(AssetModel.uri.endswith("hr/we360_days")).one()
        events = session.query(AssetEvent).filter_by(asset_id=asset.id).all()
        found = {event.partition_key: event.extra["window"] for event in events}
    days = [dt.date(2026, 6, 1) + number * DAY for number in range(14)]
    assert found == {str(day): ["2026-06-01", "2026-06-14"] for day in days}
