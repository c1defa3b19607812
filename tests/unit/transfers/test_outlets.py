"""Each loaded day becomes a partition key of the outlet's event, if Airflow has them."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers import outlets
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from support.loads import day

LOG = logging.getLogger(__name__)


def test_each_day_of_each_window_is_a_key():
    keys: list[str] = []
    event = SimpleNamespace(add_partitions=keys.extend)
    outlets.add_days(event, [(day(9), day(10)), (day(1), day(1))], LOG)
    assert keys == [str(day(9)), str(day(10)), str(day(1))]


def test_before_airflow_3_3_nothing_changes_and_the_log_says_so(caplog):
    caplog.set_level(logging.INFO)
    event = SimpleNamespace(extra={})
    outlets.add_days(event, [(day(1), day(2))], LOG)
    assert vars(event) == {"extra": {}}
    assert "Airflow 3.3" in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"partition_events": "yes"}, {"partition_events": True, "mode": "summary"}]
)
def test_a_wrong_argument_fails_while_the_dag_is_parsed(wrong):
    with pytest.raises(We360ConfigError, match=r"^partition_events: "):
        We360ToObjectStorageOperator(task_id="load", path="/tmp/x", **wrong)
