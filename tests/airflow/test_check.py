"""``check``: what a person, a script and a network team learn of a Connection, in each state that one can be in."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.cli.command import main
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import since
from support.tls_server import https_server

Told = dict[str, Any]


@pytest.fixture
def told(capsys) -> Callable[..., tuple[int, Told]]:
    """Runs ``check ... --json``: exit code and what it printed, the outcome of each step by its name."""

    def run(*words: str) -> tuple[int, Told]:
        code = main(["check", "we360_default", "--json", *words])
        printed = json.loads(capsys.readouterr().out)
        return code, printed | {step["name"]: step["outcome"] for step in printed["steps"]} | {
            "why": _why(printed)
        }

    return run


def _why(printed: Told) -> str:
    return next((step["message"] for step in printed["steps"] if step["outcome"] == "failed"), "")


def connect(monkeypatch, **changes: Any) -> None:
    """Change the Connection of the sandbox."""
    connection = json.loads(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    extra = connection.pop("extra") | changes.pop("extra", {})
    monkeypatch.setenv(
        "AIRFLOW_CONN_WE360_DEFAULT", json.dumps(connection | {"extra": extra} | changes)
    )


ALL = ("connection", "names", "API host", "login server", "login", "report", "logout")


def test_a_good_connection_passes_and_leaves_no_session(sandbox, told):
    code, printed = told()
    assert code == 0
    assert printed["passed"] is True
    assert [printed[name] for name in ALL] == ["ok"] * len(ALL)
    assert (sandbox.request_log.logins, sum(sandbox.request_log.live_sessions().values())) == (1, 0)


def test_a_wrong_password_is_sent_once_and_named(sandbox, told, monkeypatch):
    connect(monkeypatch, password="wrong-Passw0rd-55")
    code, printed = told()
    assert (code, printed["login server"], printed["login"], printed["report"], printed["logout"]) == (
        1, "ok", "failed", "skipped", "skipped",
    )  # fmt: skip
    assert "Password" in printed["why"]
    assert "wrong-Passw0rd-55" not in json.dumps(printed)
    assert sandbox.request_log.counts["logins_refused"] == 1


def test_a_wrong_customer_id_is_named(sandbox, told, monkeypatch):
    connect(monkeypatch, extra={"customer_id": "acme-dmeo"})
    code, printed = told()
    assert (code, printed["login"]) == (1, "failed")
    assert "customer_id" in printed["why"]


def test_a_host_that_nobody_knows_is_for_the_network_team(sandbox, told, monkeypatch):
    connect(monkeypatch, host="https://api.we360.invalid")
    code, printed = told()
    assert (code, printed["names"], printed["API host"], printed["login"]) == (
        1,
        "failed",
        "skipped",
        "skipped",
    )
    assert "api.we360.invalid has no address" in printed["why"]
    assert "api.we360.invalid:443" in printed["hosts_to_allow"]
    assert sandbox.request_log.logins == 0


def test_a_port_that_nobody_serves_is_for_the_network_team(sandbox, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    connect(monkeypatch, host="http://127.0.0.1", port=port)
    assert main(["check", "we360_default"]) == 1
    printed = capsys.readouterr().out
    assert "FAILED   API host" in printed
    assert f"allow HTTPS from the Airflow workers to 127.0.0.1:{port}" in printed


def test_an_untrusted_certificate_points_to_ca_bundle(sandbox, told, monkeypatch, tls_server):
    connect(monkeypatch, host=tls_server[0])
    code, printed = told()
    assert (code, printed["API host"], printed["login"]) == (1, "failed", "skipped")
    assert "ca_bundle" in printed["why"]


def test_a_ca_bundle_reaches_the_host_and_shows_its_certificate(
    sandbox, told, monkeypatch, tls_server
):
    connect(monkeypatch, host=tls_server[0], extra={"ca_bundle": str(tls_server[1])})
    _, printed = told()
    step = next(step for step in printed["steps"] if step["name"] == "API host")
    assert step["outcome"] == "warning"  # it ends in three days
    assert "TLSv1.3, certificate of Acme Inspection, which ends" in step["message"]


def test_a_role_that_sees_nobody_is_a_warning(other_sandbox, told):
    other_sandbox(sees=())
    code, printed = told()
    assert (code, printed["report"], printed["logout"]) == (0, "warning", "ok")


@pytest.mark.usefixtures("airflow_db")
def test_an_unknown_connection_says_where_it_was_looked_for(told):
    code, printed = told()
    assert (code, printed["connection"], printed["logout"]) == (1, "failed", "skipped")
    assert "there is no Connection 'we360_default'" in printed["why"]


def test_a_failed_report_still_ends_the_session(sandbox, told):
    sandbox.faults.add("report", "http_403", times="always")
    code, printed = told()
    assert (code, printed["report"], printed["logout"]) == (1, "failed", "ok")
    assert sum(sandbox.request_log.live_sessions().values()) == 0


@pytest.mark.parametrize(
    ("call", "step", "most"),
    [
        ("login", "login", "1 MiB"),
        pytest.param("report", "report", "256 MiB", marks=pytest.mark.long),
    ],
)
def test_an_answer_without_end_is_given_up_and_named(sandbox, told, call, step, most):
    sandbox.faults.add(call, "gzip_bomb", times="always")
    code, printed = told()
    assert (code, printed[step]) == (1, "failed")
    assert f"the response is larger than {most}; stopped reading" in printed["why"]


def test_the_fingerprint_holds_forms_and_never_a_value(sandbox, told):
    code, printed = told("--probe")
    assert code == 0
    found = printed["fingerprint"]
    assert found["columns"]["online_duration"] == ["H:MM:SS", "nothing (U+002D)"]
    assert found["columns"]["identity_id"] == ["UUID"]
    assert found["limits"]["1"] == "as many"
    assert found["errors"]["unknown column"]["names_the_column"] is True
    assert found["rows"]["total_is_their_number"] == ["total_records"]
    text = json.dumps(printed)
    company = sandbox.company
    names = {
        value
        for person in company.people
        for value in (person.identity_id, person.columns["first_name"], person.columns["email"])
    }
    values = {value for value in names if value}
    assert values
    assert [value for value in values if value in text] == []
    assert sandbox.config.password not in text
    assert sandbox.config.login not in text
    assert sum(sandbox.request_log.live_sessions().values()) == 0


@pytest.mark.parametrize(
    ("switches", "where", "says"),
    [
        ({"cap": 17, "cap_hidden": True}, ("limits", "100"), "capped at 17"),
        ({"past_end": "clamped"}, ("past_the_end",), "rows: the last page is repeated"),
        ({"past_end": "refused"}, ("past_the_end",), "refused (HTTP 200, without rows)"),
        ({"order": "unstable"}, ("rows", "the_same_twice"), False),
        ({"rotation": True}, ("token", "refresh_token", "works_once"), True),
        ({"nothing": "null"}, ("columns", "punch_in"), ["YYYY-MM-DD HH:MM:SS", "null"]),
        ({"durations": "seconds"}, ("columns", "online_duration"), ["nothing (U+002D)", "number"]),
        ({"pagination": "absent"}, ("answer", "fields"), {"data": "list"}),
    ],
)
def test_the_fingerprint_tells_apart_what_no_document_tells(
    other_sandbox, told, switches, where, says
):
    other_sandbox(employees=30, **switches)
    _, printed = told("--probe")
    found: Any = printed["fingerprint"]
    for name in where:
        found = found[name]
    assert found == says


@pytest.mark.long
@since((3, 2), "before, Airflow's command line has no words of a provider's")
def test_airflows_own_command_line_knows_it(sandbox):
    command = [sys.executable, "-m", "airflow", "we360", "check", "we360_default"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Everything that a load needs works from this machine." in done.stdout


@pytest.fixture
def other_sandbox(sandbox, monkeypatch) -> Iterator[Callable[..., None]]:
    """Puts a sandbox with these switches in place of the usual one."""
    with contextlib.ExitStack() as stack:

        def put(**switches: Any) -> None:
            server = stack.enter_context(serve(Simulator(SimulatorConfig(**switches))))
            connect(monkeypatch, host=server.url, extra={"auth_url": server.url})

        yield put


@pytest.fixture
def tls_server(tmp_path) -> Iterator[tuple[str, Path]]:
    with https_server(tmp_path) as served:
        yield served
