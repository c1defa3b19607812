"""The sandbox of the wheel answers as the simulator does, which is compared with a real Keycloak."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
import signal
import subprocess
import sys
from dataclasses import fields

import httpx
import jwt
import pytest

from airflow_provider_we360.sandbox.__main__ import main
from airflow_provider_we360.sandbox.app import Sandbox
from airflow_provider_we360.sandbox.config import SandboxConfig
from airflow_provider_we360.sandbox.report_request import parse_request
from simulator.app import Simulator, SimulatorConfig

TOKEN = "/realms/ind-prod/protocol/openid-connect/token"
LOGOUT = TOKEN.replace("token", "logout")
REPORT = "/query/external/reports/dynamic_report"
CONFIG = SandboxConfig(today=dt.date(2026, 4, 15), employees=30)
LOGIN = {
    "client_id": CONFIG.customer_id,
    "grant_type": "password",
    "username": CONFIG.login,
    "password": CONFIG.password,
}
BODY = {
    "start_date": "2026-04-06T00:00:00",
    "end_date": "2026-04-08T23:59:59",
    "mode": "detailed",
    "columns": ["attendance_date", "identity_id", "punch_in", "online_duration", "active_percent"],
    "page": 1,
    "limit": 0,
}


class Clock:
    now = 1_776_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def both(clock: Clock) -> list[httpx.Client]:
    """A client of the sandbox, and one of the simulator with the same company."""
    same = {field.name: getattr(CONFIG, field.name) for field in fields(CONFIG)}
    servers = (
        Sandbox(CONFIG, clock=clock),
        Simulator(SimulatorConfig(**same, numbers="number"), clock=clock),
    )
    return [
        httpx.Client(transport=httpx.WSGITransport(server), base_url="https://sandbox.example.com")
        for server in servers
    ]


@pytest.fixture
def sandbox(both) -> httpx.Client:
    return both[0]


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], object]:
    """Status, headers and body without what differs by chance."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "content-length"}
    }
    if not answer.headers.get("content-type", "").endswith("json"):
        return answer.status_code, headers, answer.text
    body = answer.json()
    if "access_token" in body:
        body |= dict.fromkeys(("access_token", "refresh_token", "session_state"), "one by chance")
    return answer.status_code, headers, body


def report(client: httpx.Client, token: str | None = None, **body: object) -> httpx.Response:
    token = token or client.post(TOKEN, data=LOGIN).json()["access_token"]
    return client.post(REPORT, json=BODY | body, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    "form",
    [
        LOGIN,
        LOGIN | {"username": "Canary.ETL@acme-demo.example.com"},
        LOGIN | {"password": "wrong"},
        LOGIN | {"username": "a stranger"},
        LOGIN | {"client_id": "another-tenant"},
        LOGIN | {"grant_type": "client_credentials"},
        {"client_id": CONFIG.customer_id},
        {"client_id": CONFIG.customer_id, "grant_type": "refresh_token"},
        {"client_id": CONFIG.customer_id, "grant_type": "refresh_token", "refresh_token": "junk"},
    ],
    ids=lambda form: form.get("grant_type", "no grant"),
)
def test_a_grant_is_answered_as_by_the_simulator(both, form) -> None:
    plain, full = (comparable(client.post(TOKEN, data=form)) for client in both)
    assert plain == full


def test_a_session_is_answered_as_by_the_simulator(both) -> None:
    steps = []
    for client in both:
        first = client.post(TOKEN, data=LOGIN)
        form = {"client_id": CONFIG.customer_id, "grant_type": "refresh_token"}
        form["refresh_token"] = first.json()["refresh_token"]
        again = client.post(TOKEN, data=form)
        read = report(client, again.json()["access_token"])
        ended = client.post(LOGOUT, data=form)
        late = report(client, again.json()["access_token"])
        gone = client.post(TOKEN, data=form)
        steps.append([comparable(one) for one in (first, again, read, ended, late, gone)])
    assert [status for status, _, _ in steps[0]] == [200, 200, 200, 204, 401, 400]
    assert steps[0] == steps[1]


def test_an_access_token_expires(sandbox, clock) -> None:
    token = sandbox.post(TOKEN, data=LOGIN).json()["access_token"]
    expiry = jwt.decode(token, options={"verify_signature": False})["exp"]
    clock.now = expiry - 1.0
    assert report(sandbox, token).status_code == 200
    clock.now = expiry
    assert report(sandbox, token).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit": 7, "page": 2},
        {"limit": 7, "page": 99},
        {"mode": "summary", "columns": ["identity_id", "email", "avg_prod_duration"]},
        {"mode": "summary"},
        {"columns": ["attendance_date", "no_such_column"]},
        {"columns": []},
        {"start_date": "yesterday"},
        {"end_date": "2026-04-01"},
        {"user_id": "no-such-person"},
        {"limit": -1},
        {"mode": "hourly"},
    ],
    ids=str,
)
def test_a_report_is_answered_as_by_the_simulator(both, changes) -> None:
    plain, full = (comparable(report(client, **changes)) for client in both)
    assert plain == full


@pytest.mark.parametrize("token", ["junk", ""])
def test_a_wrong_token_is_answered_as_by_the_simulator(both, token) -> None:
    plain, full = (comparable(report(client, token or " ")) for client in both)
    assert plain == full
    assert plain[0] == 401


def test_a_wrong_tenant_is_refused_as_by_the_simulator(both) -> None:
    answers = []
    for client in both:
        client.headers["X-Tenant-Id"] = "another-tenant"
        answers.append(comparable(report(client)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 403


def test_a_manager_sees_a_team_and_a_user_only_themselves(sandbox) -> None:
    seen = {}
    for account in CONFIG.accounts().values():
        token = sandbox.post(TOKEN, data=LOGIN | {"username": account.login}).json()["access_token"]
        answer = report(sandbox, token, columns=["employee_id", "group_name", "attendance_date"])
        seen[account.login.split("@")[0]] = answer.json()["data"]
    assert {row["group_name"] for row in seen["canary.manager"]} == {"Engineering"}
    assert {row["employee_id"] for row in seen["canary.user"]} == {"ACME-1"}
    assert len(seen["canary.etl"]) > len(seen["canary.manager"]) > len(seen["canary.user"]) > 0


def test_the_front_page_has_a_connection_that_works(sandbox) -> None:
    page = sandbox.get("/").text
    connection = json.loads(page.partition("--conn-json '")[2].partition("'")[0])
    assert connection["host"] == "https://sandbox.example.com"
    form = LOGIN | {"username": connection["login"], "password": connection["password"]}
    assert sandbox.post(TOKEN, data=form).status_code == 200
    assert all(account in page for account in CONFIG.accounts())
    assert sandbox.get("/secrets").status_code == 404


def test_a_body_that_is_not_a_json_object_is_refused() -> None:
    company = Sandbox(CONFIG).company
    for raw in (b"", b"[]", b"{"):
        with pytest.raises(Exception, match="Request body"):
            parse_request(raw, company)


# the command


def test_the_command_prints_one_line_and_stops_on_sigterm() -> None:
    command = [sys.executable, "-m", "airflow_provider_we360.sandbox", "--port", "0"]
    command += ["--today", "2026-04-15", "--employees", "12", "--timezone", "Europe/Berlin"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        found = re.fullmatch(
            r"We360 sandbox ready on (http://127\.0\.0\.1:\d+)"
            r"  customer_id=(\S+) login=(\S+) password=(\S+)\n",
            line,
        )
        url, customer_id, login, password = found.groups()
        form = LOGIN | {"client_id": customer_id, "username": login, "password": password}
        with httpx.Client(base_url=url, trust_env=False) as client:
            token = client.post(TOKEN, data=form).json()["access_token"]
            answer = report(client, token)
            page = client.get("/").text
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert answer.json()["pagination"]["total_records"] > 20
    assert all(words in page for words in ("12 people", "2026-04-15", "Europe/Berlin"))
    assert (0, "", "") == (process.returncode, out, err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--employees", "0"], "must be at least 1"),
        (["--today", "tomorrow"], "--today"),
        (["--timezone", "Europe/Atlantis"], "cannot start"),
        (["--host", "192.0.2.1"], "cannot start"),
    ],
)
def test_the_command_refuses_a_wrong_argument(arguments: list[str], words: str) -> None:
    error = io.StringIO()
    with contextlib.redirect_stderr(error), pytest.raises(SystemExit) as end:
        sys.exit(main(["--port", "0", *arguments]))
    assert end.value.code == 2
    assert words in error.getvalue()
