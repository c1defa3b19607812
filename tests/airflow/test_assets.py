"""``we360://`` as Airflow takes it: one form, clear refusals; and what a load tells Airflow's own collector of lineage."""

from __future__ import annotations

import datetime as dt
import importlib
from collections import defaultdict
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_we360 import assets
from airflow_provider_we360.errors import EmptyDayRefused
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

WINDOW = {"window_start": "2026-06-01", "window_end": "2026-06-02"}
NOON = dt.datetime(2026, 6, 3, 6, 30, tzinfo=dt.UTC)


def context():
    """What a task knows of a manual run."""
    return {
        "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id="manual", map_index=-1),
        "dag_run": SimpleNamespace(run_after=NOON, start_date=NOON),
        "outlet_events": defaultdict(lambda: SimpleNamespace(extra={})),
    }


@pytest.mark.parametrize(
    ("written", "one_form"),
    [
        ("we360://acme-demo/dynamic_report", "we360://acme-demo/dynamic_report"),
        ("WE360://acme-demo/dynamic_report/", "we360://acme-demo/dynamic_report"),
        ("we360://Acme:Demo/dynamic_report", "we360://Acme%3ADemo/dynamic_report"),
        ("we360://Acme%3aDemo/dynamic_report#x", "we360://Acme%3ADemo/dynamic_report"),
    ],
)
def test_report_uri_has_one_canonical_form(written, one_form):
    assert Asset(uri=written).uri == one_form


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("we360:///dynamic_report", "no Customer ID"),
        ("we360://acme-demo", "dynamic_report"),
        ("we360://acme-demo/dynamic_reports", "'dynamic_reports'.*dynamic_report"),
        ("we360://acme-demo/dynamic_report/detailed", "name of a report"),
        ("we360://acme-demo/dynamic_report?mode=detailed", "no query"),
        ("we360://asha@acme-demo/dynamic_report", "no user name"),
    ],
)
def test_malformed_uri_is_refused_with_the_right_form(written, says):
    with pytest.raises(ValueError, match=says) as caught:
        assets.sanitize_uri(urlsplit(written))
    assert "we360://<customer_id>/<report>" in str(caught.value)


@pytest.mark.filterwarnings("ignore:The dataset URI")
def test_airflow_reports_a_refused_uri(recwarn):
    """Airflow 2 warns, 3 fails the Dag file."""
    try:
        Asset(uri="we360://acme-demo/dynamic_reports")
        told = "".join(str(warning.message) for warning in recwarn)
    except ValueError as error:
        told = str(error)
    assert "not 'dynamic_reports'" in told


@pytest.mark.parametrize("customer_id", ["acme-demo", "a/b?c#d@e:f%25", "~!$&'()*+,;="])
def test_any_customer_id_round_trips(customer_id):
    asset = assets.create_asset(customer_id=customer_id)
    assert asset.uri == assets.report_uri(customer_id, "dynamic_report")
    assert assets.sanitize_uri(urlsplit(asset.uri)).geturl() == asset.uri
    dataset = assets.convert_asset_to_openlineage(asset, None)
    assert (dataset.namespace, dataset.name) == (assets.namespace(customer_id), "dynamic_report")


def test_airflow_finds_the_handlers_of_the_scheme():
    handlers, factories, converters = _registered()
    assert handlers["we360"] is assets.sanitize_uri
    assert factories["we360"] is assets.create_asset
    assert converters["we360"] is assets.convert_asset_to_openlineage


def _registered():
    try:
        manager = importlib.import_module(
            "airflow.sdk.providers_manager_runtime"
        ).ProvidersManagerTaskRuntime()
    except ImportError:
        manager = importlib.import_module("airflow.providers_manager").ProvidersManager()
    kind = "asset" if hasattr(manager, "asset_factories") else "dataset"
    return [
        getattr(manager, f"{kind}_{what}")
        for what in ("uri_handlers", "factories", "to_openlineage_converters")
    ]


@pytest.fixture
def collected(mocker):
    """What Airflow's own collector has, with a plugin that reads it."""
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
    from airflow.providers.common.compat.sdk import HookLineageReader

    try:
        forget = importlib.import_module(
            "airflow.sdk.lineage"
        ).get_hook_lineage_collector.cache_clear
    except ImportError:
        forget = None
    if forget is not None:
        mocker.patch(
            "airflow.sdk.plugins_manager.get_hook_lineage_readers_plugins",
            return_value=[HookLineageReader],
        )
    else:
        mocker.patch("airflow.plugins_manager.hook_lineage_reader_classes", [HookLineageReader])
        mocker.patch("airflow.lineage.hook._hook_lineage_collector", None)
        forget = lambda: None  # noqa: E731 - undone by the mocker
    forget()
    yield lambda: get_hook_lineage_collector().collected_assets
    forget()


def uris(lineages):
    return [one.asset.uri for one in lineages]


def test_transfer_records_input_and_output(sandbox, duckdb_file, collected):
    We360ToSqlOperator(
        task_id="load", sql_conn_id="duckdb_default", table="days", **WINDOW
    ).execute(context())
    assert uris(collected().inputs) == ["we360://acme-demo/dynamic_report"]
    assert uris(collected().outputs) == [
        Asset(uri=f"duckdb://{duckdb_file}/warehouse/main/days").uri
    ]


def test_file_lineage_is_the_folder(sandbox, tmp_path, collected):
    We360ToObjectStorageOperator(task_id="load", path=f"{tmp_path}/files", **WINDOW).execute(
        context()
    )
    assert uris(collected().outputs) == [f"file://{tmp_path}/files"]


def test_hook_records_its_input_once(sandbox, collected):
    batches = We360Hook().iter_batches(window=(dt.date(2026, 6, 1), dt.date(2026, 6, 5)))
    assert len(list(batches)) == 5
    assert [(one.asset.uri, one.count) for one in collected().inputs] == [
        ("we360://acme-demo/dynamic_report", 1)
    ]


def test_failed_load_records_no_output(sandbox, duckdb_file, collected):
    load = We360ToSqlOperator(task_id="load", sql_conn_id="duckdb_default", table="days", **WINDOW)
    load.execute(context())
    sandbox.identity.change_account(sees=())
    with pytest.raises(EmptyDayRefused):
        load.execute(context())
    assert [one.count for one in collected().outputs] == [1]
    told = load.get_openlineage_facets_on_failure(None)
    (output,) = told.outputs
    assert (output.name, output.outputFacets) == ("warehouse.main.days", {})


def test_openlineage_gets_columns_types_origins_and_rows(sandbox, duckdb_file, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_PSEUDONYMS",
        '{"conn_type": "generic", "password": "a-key-of-forty-characters-for-tests-only",'
        ' "extra": {"version": "v1"}}',
    )
    load = We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="days",
        columns=["email", "online_duration"],
        pseudonymize={"email": "conn:pseudonyms"},
        **WINDOW,
    )
    started = load.get_openlineage_facets_on_start()
    rows = load.execute(context())["rows"]
    told = load.get_openlineage_facets_on_complete(None)
    (read,), (landed,) = told.inputs, told.outputs
    report = ("we360://acme-demo", "dynamic_report")
    assert {(one.namespace, one.name) for one in (*started.inputs, read)} == {report}
    asked = {one.name: (one.type, one.description) for one in read.facets["schema"].fields}
    stored = {one.name: (one.type, one.description) for one in landed.facets["schema"].fields}
    assert asked["online_duration"] == ("duration", "Online, seconds")
    assert stored["online_duration"] == ("BIGINT", "Online, seconds")
    assert set(stored) - set(asked) == {"_we360_tenant", "_we360_run_id", "_we360_loaded_at"}
    origins = landed.facets["columnLineage"].fields
    assert {name: origin.transformationType for name, origin in origins.items()} == {
        "attendance_date": "IDENTITY",
        "identity_id": "IDENTITY",
        "email": "MASKED",
        "online_duration": "IDENTITY",
    }
    (origin,) = origins["email"].inputFields
    assert (origin.namespace, origin.name, origin.field) == (*report, "email")
    assert (landed.namespace, landed.name) == (f"duckdb://{duckdb_file}", "warehouse.main.days")
    assert landed.outputFacets["outputStatistics"].rowCount == rows > 0


def test_openlineage_gets_the_number_and_size_of_files(sandbox, tmp_path):
    load = We360ToObjectStorageOperator(task_id="load", path=f"{tmp_path}/files", **WINDOW)
    rows = load.execute(context())["rows"]
    (landed,) = load.get_openlineage_facets_on_complete(None).outputs
    files = list((tmp_path / "files").rglob("*.parquet"))
    told = landed.outputFacets["outputStatistics"]
    assert (landed.namespace, landed.name) == ("file", f"{tmp_path}/files")
    assert (told.fileCount, told.size) == (len(files), sum(one.stat().st_size for one in files))
    assert told.rowCount == rows > 0


@pytest.mark.usefixtures("sandbox", "duckdb_file", "collected")
def test_failing_collector_does_not_fail_the_load(mocker):
    mocker.patch(
        "airflow.providers.common.compat.lineage.hook.get_hook_lineage_collector",
        side_effect=RuntimeError("a plugin's own"),
    )
    load = We360ToSqlOperator(task_id="load", sql_conn_id="duckdb_default", table="days", **WINDOW)
    assert load.execute(context())["rows"] > 0


def test_broken_connection_is_reported_by_the_task_only(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", '{"conn_type": "we360"}')
    load = We360ToSqlOperator(task_id="load", sql_conn_id="duckdb_default", table="days", **WINDOW)
    assert load.get_openlineage_facets_on_start() is None
    assert load.get_openlineage_facets_on_failure(None) is None
