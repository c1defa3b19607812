"""Each wrong argument or field is named, the task is not retried in vain, and nothing is half done."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import logging
from collections import defaultdict
from importlib.metadata import metadata
from types import SimpleNamespace

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360DataError, We360Error
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import since
from support.dag_runs import OneEvent

NOON = dt.datetime(2026, 6, 3, 6, 30, tzinfo=dt.UTC)


def context(**facts):
    """What a task knows of a manual run."""
    return {
        "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id="manual", map_index=-1),
        "dag_run": SimpleNamespace(run_after=NOON, start_date=NOON),
        "outlet_events": defaultdict(lambda: SimpleNamespace(extra={})),
        **facts,
    }


def load(facts=None, **arguments):
    given = {
        "task_id": "load",
        "sql_conn_id": "duckdb_default",
        "table": "days",
        "window_start": "2026-06-01",
        "window_end": "2026-06-02",
    }
    return We360ToSqlOperator(**(given | arguments)).execute(context(**(facts or {})))


@pytest.fixture
def we360(sandbox, monkeypatch, duckdb_file):
    """Changes the Connection to the sandbox: ``we360(login="")``."""
    import os

    def change(**changes):
        connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
        extra = connection["extra"] | {"token_cache": "memory"} | changes.pop("extra", {})
        connection |= changes | {
            "extra": {name: value for name, value in extra.items() if value is not None}
        }
        monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))

    change()
    return change


def tables(path):
    if not path.exists():
        return []
    with duckdb.connect(str(path)) as database:
        return [
            name
            for (name,) in database.execute(
                "SELECT table_name FROM information_schema.tables"
            ).fetchall()
        ]


@pytest.mark.parametrize(
    ("conn_type", "brings", "extra"),
    [
        ("snowflake", "snowflake", "snowflake"),
        ("redshift", "amazon", "redshift"),
        ("gcpbigquery", "google", "google"),
        ("google_cloud_platform", "google", "google"),
    ],
)
def test_missing_provider_names_the_extra_before_any_request(
    we360, sandbox, monkeypatch, conn_type, brings, extra
):
    if importlib.util.find_spec(f"airflow.providers.{brings}") is not None:
        pytest.skip(f"the provider {brings} is installed here")
    monkeypatch.setenv(
        "AIRFLOW_CONN_ELSEWHERE", json.dumps({"conn_type": conn_type, "host": "nowhere"})
    )
    with pytest.raises(
        AirflowFailException,
        match=rf'sql_conn_id: .*pip install "airflow-provider-we360\[{extra}\]"',
    ):
        load(sql_conn_id="elsewhere")
    assert sandbox.request_log.requests == []
    assert extra in metadata("airflow-provider-we360").get_all("Provides-Extra")


def test_unknown_connection_type_names_no_extra(we360, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", json.dumps({"conn_type": "stone-tablets"}))
    with pytest.raises(
        AirflowFailException, match="install the Airflow provider that brings this connection type"
    ) as caught:
        load(sql_conn_id="elsewhere")
    assert "pip install" not in str(caught.value)


def test_successful_load_returns_counts_only(we360, sandbox, duckdb_file):
    result = load()
    with duckdb.connect(str(duckdb_file)) as database:
        (rows,) = database.execute("SELECT count(*) FROM days").fetchone()
    assert rows == len(sandbox.company.rows(dt.date(2026, 6, 1), dt.date(2026, 6, 2)))
    assert result.pop("seconds") >= 0
    assert result.pop("requests") >= 2
    assert result == {
        "report": "dynamic_report",
        "window": ["2026-06-01", "2026-06-02"],
        "rows": rows,
        "days": 2,
        "slices": 2,
        "table": "days",
    }


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"extra": {"customer_id": None}}, "customer_id"),
        ({"login": ""}, r"E-mail \(login\)"),
        ({"password": ""}, "Password"),
        ({"host": "http://api.in.we360.ai"}, r"API URL \(host\)"),
        ({"extra": {"allow_http": "perhaps"}}, "allow_http"),
        ({"extra": {"allow_htpp": True}}, "allow_htpp"),
    ],
)
def test_wrong_connection_field_is_named(we360, sandbox, duckdb_file, changes, names):
    we360(**changes)
    with pytest.raises(AirflowFailException, match=names) as caught:
        load()
    assert isinstance(caught.value, We360ConfigError)
    assert sandbox.request_log.logins == 0
    assert tables(duckdb_file) == []


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"report": "dynamic"}, "report"),
        ({"mode": "monthly"}, "mode"),
        ({"columns": []}, "columns"),
        ({"columns": "email"}, "columns"),
        ({"columns": ["e mail"]}, "columns"),
        ({"columns": ['x" (SELECT 1) --']}, "columns"),
        ({"columns": ["Email", "email"]}, "columns"),
        ({"columns": ["_we360_tenant"]}, "columns"),
        ({"column_types": {"employee_id": "number"}}, "column_types"),
        ({"column_types": {"shoe_size": "text"}}, "column_types"),
        ({"user_ids": ["a,b"]}, "user_ids"),
        ({"user_ids": "None"}, "user_ids"),
        ({"group_ids": [None], "write_mode": "merge"}, "group_ids"),
        ({"report_params": "{'x': 1}"}, "report_params"),
        ({"report_params": {"x": 1}}, "report_params"),
        ({"window_start": "2026-06-01", "window_end": None}, "window_end"),
        ({"window_start": None}, "window_start"),
        ({"window_start": "2026-06-03"}, "window_start"),
        ({"window_start": "2026-06-01T00:00"}, "window_start"),
        ({"window_start": "yesterday"}, "window_start"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"lookback_days": -1}, "lookback_days"),
        ({"lookback_days": "many"}, "lookback_days"),
        ({"on_empty": "ignore"}, "on_empty"),
        ({"write_mode": "upsert"}, "write_mode"),
        ({"group_ids": ["0"]}, "write_mode"),
        ({"max_parallel_requests": 0}, "max_parallel_requests"),
        ({"max_parallel_requests": True}, "max_parallel_requests"),
        ({"create_table": "false"}, "create_table"),
        ({"evolve_schema": None}, "evolve_schema"),
        ({"table": None}, "table"),
        ({"table": "None"}, "table"),
        ({"we360_conn_id": None}, "we360_conn_id"),
        ({"sql_conn_id": ""}, "sql_conn_id"),
        ({"load_log_table": "a.b.c.d"}, "load_log_table"),
        ({"pseudonymize": {"email": "conn:x"}}, "pseudonymize"),
        ({"pseudonymize": {"identity_id": "secret"}}, "pseudonymize"),
        ({"sql_hook_params": ["schema"]}, "sql_hook_params"),
        ({"window_start": "2999-01-01", "window_end": "2999-01-02"}, "window_start.*future"),
        ({"table": 'days"; DROP TABLE x; --'}, "table"),
        ({"table": "a.b.c.d"}, "table"),
        ({"table": ""}, "table"),
        ({"create_table": False}, "create_table"),
    ],
)
def test_wrong_argument_is_named_and_leaves_nothing(we360, duckdb_file, arguments, names):
    with pytest.raises(AirflowFailException, match=names) as caught:
        load(**arguments)
    assert isinstance(caught.value, ValueError)
    assert tables(duckdb_file) == []


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (
            {"sql_conn_id": "nowhere"},
            "sql_conn_id: there is no Connection 'nowhere'; create one to the warehouse, or name another",
        ),
        (
            {"we360_conn_id": "nowhere"},
            "we360_conn_id: there is no Connection 'nowhere'; create one of type we360, or name another",
        ),
        ({"window_start": "2026-06-03"}, "give the earlier day first"),
        ({"columns": "email"}, "render_template_as_native_obj=True"),
        ({"report_params": "x=1"}, "render_template_as_native_obj=True"),
        ({"report_params": "{'x': 1}"}, "report_params: x is no parameter of report"),
        ({"columns": ["shoe_size"]}, "change the column, ID or range that the API's message names"),
        (
            {"user_ids": ["{{ None }}"]},
            "change the column, ID or range that the API's message names",
        ),
        ({"user_ids": "None"}, "nothing at all to load everyone"),
    ],
)
@pytest.mark.usefixtures("duckdb_file")
def test_error_says_what_to_do_next(we360, arguments, advice):
    with pytest.raises(AirflowFailException) as caught:
        load(**arguments)
    assert advice in str(caught.value)


@pytest.mark.usefixtures("we360", "duckdb_file")
def test_filters_of_none_select_everyone():
    assert load(user_ids=None, group_ids=None, shift_ids=None)["rows"] > 0


def test_connection_without_sql_hook_is_named(we360, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_FILES", json.dumps({"conn_type": "fs", "extra": {"path": "/tmp"}})
    )
    with pytest.raises(AirflowFailException, match="sql_conn_id"):
        load(sql_conn_id="files")


def test_missing_provider_says_what_to_install(we360, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FLAKES", json.dumps({"conn_type": "snowflake"}))
    with pytest.raises(
        AirflowFailException, match=r"sql_conn_id.*airflow-provider-we360\[snowflake\]"
    ):
        load(sql_conn_id="flakes")


def test_duckdb_without_a_file_is_refused(we360, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps({"conn_type": "duckdb"}))
    with pytest.raises(AirflowFailException, match="sql_conn_id"):
        load(sql_conn_id="nowhere")


def test_refused_column_is_shown_with_the_servers_words(we360, duckdb_file):
    # The days are requested together; the error names the one that was refused first.
    with pytest.raises(AirflowFailException, match=r"shoe_size.*day 2026-06-0[12]"):
        load(columns=["shoe_size"])
    assert tables(duckdb_file) == []


def test_refused_default_column_is_dropped_with_a_warning(monkeypatch, duckdb_file, caplog):
    app = Simulator(SimulatorConfig(employees=12, refuse_columns=("shift_name", "idle_percent")))
    with serve(app) as server:
        extra = {
            "customer_id": "acme-demo",
            "auth_url": server.url,
            "allow_http": True,
            "token_cache": "memory",
        }
        account = {"login": app.config.login, "password": app.config.password}
        monkeypatch.setenv(
            "AIRFLOW_CONN_WE360_DEFAULT",
            json.dumps({"conn_type": "we360", "host": server.url, **account, "extra": extra}),
        )
        with caplog.at_level(logging.WARNING):
            load()
    assert "shift_name" in caplog.text
    with duckdb.connect(str(duckdb_file)) as database:
        names = [row[0] for row in database.execute("DESCRIBE days").fetchall()]
    assert "shift_name" not in names
    assert "idle_percent" not in names
    assert "active_percent" in names


def test_misfit_value_is_named_by_column_and_row(we360, sandbox, duckdb_file):
    load()
    sandbox.faults.add("report", "variant", times=None, type_flips={"online_duration": "garbage"})
    with pytest.raises(We360DataError, match=r"column 'online_duration', row 1 ") as caught:
        load()
    assert not isinstance(caught.value, AirflowFailException)
    with duckdb.connect(str(duckdb_file)) as database:
        assert database.execute("SELECT 1 FROM days LIMIT 1").fetchall()


def test_web_page_instead_of_json_says_what_to_check(we360, sandbox, monkeypatch, duckdb_file):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sandbox.faults.add("report", "html_200", times=None)
    with pytest.raises(We360Error, match="web page in place of the API"):
        load()
    assert tables(duckdb_file) == []


@pytest.mark.parametrize("url", ["https://evil.example/steal", "http://localhost:1/x"])
def test_url_of_another_host_is_refused_before_sending(we360, sandbox, url):
    with pytest.raises(We360ConfigError, match="url"):
        We360Hook().get_conn().get(url)
    assert sandbox.request_log.logins == 0


def test_day_that_would_lose_its_rows_fails(we360, sandbox, duckdb_file):
    load()
    sandbox.identity.change_account(sees=())
    with pytest.raises(SinkError, match="on_empty"):
        load()
    with duckdb.connect(str(duckdb_file)) as database:
        assert database.execute("SELECT 1 FROM days LIMIT 1").fetchall()


def test_interval_without_a_day_end_is_skipped(we360, sandbox):
    hour = {"data_interval_start": NOON, "data_interval_end": NOON + dt.timedelta(hours=1)}
    with pytest.raises(AirflowSkipException, match="nothing to load"):
        load(hour, window_start=None, window_end=None)
    assert sandbox.request_log.logins == 0


def test_outlet_events_hold_rows_and_window(we360):
    from airflow.providers.common.compat.sdk import Asset

    asset = Asset(uri="duckdb://warehouse/days")
    event = SimpleNamespace(extra={})
    result = load({"outlet_events": OneEvent(event)}, outlets=[asset])
    assert event.extra == {
        "report": "dynamic_report",
        "window": ["2026-06-01", "2026-06-02"],
        "rows": result["rows"],
    }


def test_summary_rows_hold_their_window(we360, duckdb_file):
    result = load(mode="summary", table="sums")
    with duckdb.connect(str(duckdb_file)) as database:
        found = database.execute(
            "SELECT DISTINCT _we360_window_start, _we360_window_end FROM sums"
        ).fetchall()
    assert found == [(dt.date(2026, 6, 1), dt.date(2026, 6, 2))]
    assert result["slices"] == 1


def test_lookback_is_refused_in_summary_mode(we360):
    with pytest.raises(AirflowFailException, match="lookback_days"):
        load(mode="summary", table="sums", lookback_days=7)


@since((3, 0), "before, plain Python reaches the Variables, and asks once more after 90 s")
def test_wrong_password_fails_a_direct_client_at_once(we360, sandbox):
    we360(password="wrong-canary")
    with pytest.raises(AirflowFailException, match="or Password"):
        We360Hook().get_conn().post("/query/external/reports/dynamic_report", json={})
    assert sandbox.request_log.logins == 1


def test_closed_client_is_replaced(we360):
    hook = We360Hook()
    for _ in range(2):
        with hook.get_conn() as client:
            assert client.post("/query/external/reports/dynamic_report", json={}).status_code == 200


def test_failed_logout_does_not_fail_test_connection(we360, sandbox):
    sandbox.faults.add("logout", "http_503", times=None)
    assert We360Hook().test_connection()[0] is True
