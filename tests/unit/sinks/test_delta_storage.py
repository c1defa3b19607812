"""What deltalake is given of an Airflow Connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks.delta_storage import storage_options


def connection(conn_type: str, **fields: Any) -> Any:
    empty = {"conn_id": "store", "login": None, "password": None, "extra_dejson": {}}
    return SimpleNamespace(conn_type=conn_type, **(empty | fields))


def test_without_a_connection_the_worker_decides() -> None:
    assert storage_options("s3://bucket/days", None) == {}


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        ({"key_path": "/etc/key.json"}, {"google_service_account": "/etc/key.json"}),
        ({"keyfile_dict": '{"a": 1}'}, {"google_service_account_key": '{"a": 1}'}),
        ({"keyfile_dict": {"a": 1}}, {"google_service_account_key": '{"a": 1}'}),
        ({}, {}),
    ],
)
def test_google_gives_its_key(extra: dict[str, Any], options: dict[str, str]) -> None:
    found = connection("google_cloud_platform", extra_dejson=extra)
    assert storage_options("gs://bucket/days", found) == options


def test_azure_gives_account_and_key() -> None:
    text = {"connection_string": "AccountName=us;AccountKey=a2V5==;EndpointSuffix=core.net"}
    ours = {"azure_storage_account_name": "us", "azure_storage_account_key": "a2V5=="}
    for found in (
        connection("wasb", extra_dejson=text),
        connection("wasb", login="us", password="a2V5=="),
    ):
        assert storage_options("abfss://box/days", found) == ours


@pytest.mark.parametrize(
    ("path", "conn_type", "says"),
    [
        ("/data/days", "aws", "needs no Connection"),
        ("s3://bucket/days", "wasb", "needs one of type 'aws'"),
    ],
)
def test_a_connection_of_another_store_is_refused(path: str, conn_type: str, says: str) -> None:
    with pytest.raises(We360ConfigError, match=f"^lakehouse_conn_id: .*{says}"):
        storage_options(path, connection(conn_type))
