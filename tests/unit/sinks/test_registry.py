from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks import generic, registry, warehouses
from airflow_provider_we360.sinks.loader import SqlSink
from airflow_provider_we360.sinks.warehouse import Warehouse


def sink_for(hook: object, table: str = "attendance") -> SqlSink:
    return registry.sink_for(hook, table, conn_id="target", sleep=time.sleep, clock=time.monotonic)


def sql_hook(conn_type: str) -> Any:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    return type(
        "SomeHook", (DbApiHook,), {"conn_type": conn_type, "conn_name_attr": "c", "c": "target"}
    )()


def test_names_are_the_files_of_the_folder() -> None:
    files = {path.stem for path in Path(warehouses.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(registry.names()) == files >= {"duckdb", "postgres", "sqlite"}
    assert list(registry.names()) == sorted(registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_every_file_holds_a_whole_warehouse(name: str) -> None:
    found = registry.get(name)
    assert isinstance(found, Warehouse)
    assert set(found.errors.hints) & set(found.errors.kinds) <= {""}


def test_a_file_more_is_a_warehouse_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clickhouse.py").write_text(
        "from dataclasses import replace\n"
        "from airflow_provider_we360.sinks.warehouses import sqlite\n"
        "WAREHOUSE = replace(sqlite.WAREHOUSE, conn_types=('chdb',), open_hook=str)\n"
    )
    monkeypatch.setattr(warehouses, "__path__", [*warehouses.__path__, str(tmp_path)])
    assert "clickhouse" in registry.names()
    for conn_type in ("clickhouse", "chdb"):
        assert sink_for(sql_hook(conn_type)).warehouse is registry.get("clickhouse")
        assert registry.pip_extra(conn_type) == "clickhouse"
    connection = SimpleNamespace(
        conn_type="chdb", conn_id="mine", get_hook=lambda hook_params: "its own hook"
    )
    assert registry.open_hook(connection) == "mine"
    connection.conn_type = "clickhouse"
    assert registry.open_hook(connection) == "its own hook"


def test_looking_imports_none_of_them() -> None:
    code = (
        "import sys; from airflow_provider_we360.sinks import registry; registry.names();"
        "ours = 'airflow_provider_we360.sinks.warehouses.';"
        "print([m for m in sys.modules if m.startswith(ours) or m in ('duckdb', 'pyarrow')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_hook_of_no_database_is_refused_by_name() -> None:
    hook = type("HttpHook", (), {"conn_type": "http"})()
    with pytest.raises(
        We360ConfigError,
        match=r"sql_conn_id: 'target' is of type 'http', which is no SQL database; .* duckdb, .*mysql, postgres",
    ):
        sink_for(hook)


def test_a_hook_without_type_is_refused_by_its_class() -> None:
    with pytest.raises(We360ConfigError, match="sql_conn_id: 'target' is served by object"):
        sink_for(object())


def test_any_other_database_is_loaded_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", registry.__name__):
        sink = sink_for(sql_hook("mssql"))
    assert isinstance(sink, SqlSink)
    assert sink.warehouse is generic.WAREHOUSE
    (said,) = [record.getMessage() for record in caplog.records if record.name == registry.__name__]
    assert "'target' is of type 'mssql'" in said
    assert "no lock" in said


def test_a_database_with_a_file_of_its_own_goes_by_that(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", registry.__name__):
        assert sink_for(sql_hook("sqlite")).warehouse is registry.get("sqlite")
    assert not caplog.records


def test_the_tables_name_is_looked_at_before_anything_is_opened() -> None:
    with pytest.raises(We360ConfigError, match="table: "):
        sink_for(sql_hook("sqlite"), "a;b")
