"""Another deployment of the same platform: other hosts, realm and report by Connection and argument alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import duckdb
import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from support.report_example import example_report

PEOPLE = [f"person{number:03}@acme.example" for number in range(120)]
MOST = 50


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


def sibling(environ, start_response):
    """Pages of at most 50, whatever is asked; ``limit`` 0 is refused; people are e-mails; times are texts."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"] or 0))
    path = environ["PATH_INFO"]
    if path == "/realms/other-prod/protocol/openid-connect/token":
        answer = {
            "access_token": "opaque",
            "refresh_token": "opaque-too",
            "expires_in": 600,
            "token_type": "Bearer",
        }
    elif path.startswith("/realms/"):
        start_response("204 No Content", [])
        return [b""]
    elif path == "/query/reports/daily_attendance_details":
        answer = page(json.loads(body))
    else:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such thing"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def page(asked):
    if not 1 <= asked["limit"] <= 500:
        return {"status": False, "message": "limit must be from 1 to 500"}
    size = min(asked["limit"], MOST)
    first = (asked["page"] - 1) * size
    rows = [row(email, asked["start_date"]) for email in PEOPLE[first : first + size]]
    return {
        "data": rows,
        "pagination": {"page": asked["page"], "limit": size, "total_records": len(PEOPLE)},
    }


def row(email, day):
    number = PEOPLE.index(email)
    late = number % 3 == 0
    return {
        "date": day, "email": email, "name": "N. N.", "shift": "General", "arrival_status": "late" if late else "on_time",
        "departure_status": "-", "punch_in": f"{day} 09:{number % 60:02}:00", "punch_out": "-",
        "punch_duration": "-", "online_duration": f"{number}:00:00",
    }  # fmt: skip


@pytest.fixture
def server() -> Iterator[str]:
    with make_server("127.0.0.1", 0, sibling, server_class=WSGIServer, handler_class=Quiet) as wsgi:
        threading.Thread(
            target=wsgi.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        yield f"http://127.0.0.1:{wsgi.server_port}"
        wsgi.shutdown()


@pytest.fixture
def connected(server, monkeypatch, tmp_path):
    """A Connection to the other deployment; its report is the example of the documentation."""
    extra = {
        "customer_id": "acme",
        "auth_url": server,
        "realm": "other-prod",
        "allow_http": True,
        "token_cache": "memory",
    }
    connection = {
        "conn_type": "we360",
        "host": server,
        "login": "etl@acme.example",
        "password": "canary-1f",
        "extra": extra,
    }
    monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection))
    with example_report(tmp_path):
        yield


def load(**arguments):
    operator = We360ToSqlOperator(
        task_id="load",
        sql_conn_id="duckdb_default",
        table="attendance",
        report="daily_attendance_details",
        window_start="2026-04-01",
        window_end="2026-04-02",
        **arguments,
    )
    ti = SimpleNamespace(dag_id="d", task_id="load", run_id="r", map_index=-1)
    return operator.execute({"ti": ti, "dag_run": None, "outlet_events": {}})  # type: ignore[typeddict-item]


@pytest.mark.usefixtures("connected")
def test_its_daily_attendance_lands_whole_through_small_pages(duckdb_file):
    assert load()["rows"] == 2 * len(PEOPLE)
    assert load()["rows"] == 2 * len(PEOPLE)
    with duckdb.connect(str(duckdb_file)) as warehouse:
        query = (
            'SELECT "date"::text, count(*), count(DISTINCT email), sum(online_duration), count(punch_out),'
            " count(*) FILTER (arrival_status = 'late') FROM attendance GROUP BY 1 ORDER BY 1"
        )
        found = warehouse.execute(query).fetchall()
        names = [column[0] for column in warehouse.execute("FROM attendance LIMIT 0").description]
    seconds = 3600 * sum(range(len(PEOPLE)))
    assert found == [(day, 120, 120, seconds, 0, 40) for day in ("2026-04-01", "2026-04-02")]
    assert "name" not in names


@pytest.mark.usefixtures("connected", "duckdb_file")
def test_a_filter_unknown_to_its_report_is_refused_by_name():
    with pytest.raises(
        We360ConfigError, match="user_ids: report 'daily_attendance_details' takes no such filter"
    ):
        load(user_ids=["7d1e"])
