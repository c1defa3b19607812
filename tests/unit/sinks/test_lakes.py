"""Names of tables in a lake, and the Connections that fit them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks import lakes

SLEEP: Any = {"sleep": lambda seconds: None}


@pytest.mark.parametrize(
    "name",
    ["hr.days", "eu.hr.days", "/data/days", "s3://bucket/days", "abfss://box@account.net/days"],
)
def test_a_name_in_a_catalog_and_a_path_pass(name: str) -> None:
    assert lakes.check_name(name) == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("days", "write namespace.table"),
        ("hr.days; drop", "write namespace.table"),
        ("hr..days", "write namespace.table"),
        ("data/days", "relative"),
        ("s3://key:secret@bucket/days", "contains a password"),
    ],
)
def test_another_name_is_refused_with_what_to_write(name: str, says: str) -> None:
    with pytest.raises(We360ConfigError, match=f"^load_log_table: .*{says}") as caught:
        lakes.check_name(name, "load_log_table")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "log", "says"),
    [
        ("hr.days", "HR.days", "is the table of the rows"),
        ("/data/days", "/data/days/", "is the table of the rows"),
        ("hr.days", "/data/log", "are of two formats"),
    ],
)
def test_a_log_fits_the_table(table: str, log: str, says: str) -> None:
    with pytest.raises(We360ConfigError, match=f"^load_log_table: .* {says}"):
        lakes.sink_for(table, None, load_log_table=log, **SLEEP)


@pytest.mark.parametrize("connection", [None, SimpleNamespace(conn_type="aws")])
def test_an_iceberg_table_needs_its_catalog(connection: Any) -> None:
    with pytest.raises(We360ConfigError, match=r"lakehouse_conn_id: .* of type iceberg"):
        lakes.sink_for("hr.days", connection, **SLEEP)


@pytest.mark.parametrize("error", [ImportError, AttributeError])
def test_a_missing_package_names_its_extra(error: type[Exception]) -> None:
    def get_hook() -> Any:
        raise error

    with pytest.raises(We360ConfigError, match=r'pip install "airflow-provider-we360\[iceberg\]"'):
        lakes.sink_for("hr.days", SimpleNamespace(conn_type="iceberg", get_hook=get_hook), **SLEEP)
