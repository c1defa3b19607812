"""The sandbox behind a real socket: keep-alive, faults of the wire, the command."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from simulator.__main__ import main

TESTS = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "simulator", "--port", "0"]


def test_many_requests_share_one_connection(served) -> None:
    caller, server = served
    token = caller.tokens()["access_token"]
    with socket.create_connection(server.server_address[:2]) as raw:
        for _ in range(3):
            raw.sendall(b"GET /_simulator/requests HTTP/1.1\r\nHost: x\r\n\r\n")
            head, _, rest = raw.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert f"Content-Length: {len(rest)}".encode() in head
    assert [200, 200] == [caller.report(token).status_code for _ in range(2)]


def test_an_answer_without_a_body_does_not_disturb_the_next(served) -> None:
    caller, _ = served
    for _ in range(3):
        assert caller.logout(caller.tokens()["refresh_token"]).status_code == 204


def test_requests_are_served_at_the_same_time(served) -> None:
    caller, _ = served
    token = caller.tokens()["access_token"]
    caller.sandbox.faults.add("report", "delay", seconds=1.0, times=None)
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: caller.report(token).status_code, range(4)))
    assert [200] * 4 == codes
    assert time.monotonic() - started < 4, "one after the other takes 4 s"
    assert len(caller.sandbox.request_log.requests) == 4


@pytest.mark.parametrize("fault", ["reset", "reset_after_commit"])
def test_a_reset_is_a_reset(served, fault: str) -> None:
    caller, _ = served
    caller.sandbox.faults.add("login", fault)
    with pytest.raises(httpx.ReadError, match="reset"):
        caller.login()
    assert caller.login().status_code == 200


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("close", "without sending a response"),
        ("close_after_commit", "without sending a response"),
        ("cut_off", "without sending complete message body"),
        ("not_http", "illegal status line"),
    ],
)
def test_a_connection_can_break_in_every_other_way(served, fault: str, words: str) -> None:
    caller, _ = served
    caller.sandbox.faults.add("login", fault)
    with pytest.raises(httpx.RemoteProtocolError, match=words):
        caller.login()
    assert caller.login().status_code == 200


def test_a_committed_refresh_can_lose_its_answer(served) -> None:
    caller, _ = served
    token = caller.tokens()["refresh_token"]
    caller.sandbox.faults.add("refresh", "reset_after_commit")
    with pytest.raises(httpx.ReadError):
        caller.refresh(token)
    assert caller.sandbox.request_log.refreshes == 1


def test_an_answer_can_drip_and_a_client_may_lose_patience(served) -> None:
    caller, _ = served
    caller.sandbox.faults.add("login", "drip", pause_s=0.001, chunk=100)
    assert caller.login().json()["token_type"] == "Bearer"
    caller.sandbox.faults.add("login", "drip", pause_s=1.0)
    with pytest.raises(httpx.ReadTimeout):
        caller.http.post(
            "/realms/ind-prod/protocol/openid-connect/token",
            data={"grant_type": "password"},
            timeout=0.1,
        )


def test_a_late_answer_outlasts_a_short_time_out(served) -> None:
    caller, _ = served
    caller.sandbox.faults.add("login", "delay", seconds=0.3)
    caller.http.timeout = httpx.Timeout(0.1)
    with pytest.raises(httpx.ReadTimeout):
        caller.login()


def test_a_body_without_a_length_is_refused(served) -> None:
    _, server = served
    with socket.create_connection(server.server_address[:2]) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 411 " in raw.recv(1000)


def test_the_page_tells_a_connection_that_works(served) -> None:
    caller, server = served
    page = caller.http.get("/").text
    connection = json.loads(page.partition("--conn-json '")[2].partition("'")[0])
    extra = connection["extra"]
    assert (server.url, server.url, True) == (
        connection["host"],
        extra["auth_url"],
        extra["allow_http"],
    )
    form = {
        "client_id": extra["customer_id"],
        "username": connection["login"],
        "password": connection["password"],
        "grant_type": "password",
    }
    token_url = f"{extra['auth_url']}/realms/ind-prod/protocol/openid-connect/token"
    assert httpx.post(token_url, data=form, trust_env=False).status_code == 200


def test_faults_are_planned_listed_and_forgotten_at_run_time(served) -> None:
    caller, _ = served
    rule = {"match": "login", "fault": "http_503", "times": 5, "retry_after": "2"}
    told = caller.http.post("/_simulator/faults", json=[rule]).json()
    assert [rule | {"after": 0, "played": 0}] == told["plan"]
    assert told["names"]["http_503"] == "F23"
    assert caller.login().status_code == 503
    assert caller.http.delete("/_simulator/faults").status_code == 204
    assert caller.login().status_code == 200
    wrong = caller.http.post("/_simulator/faults", json={"match": "login", "fault": "x"})
    assert (400, True) == (wrong.status_code, "'x' is no fault" in wrong.json()["error"])


def test_the_ledger_can_be_read_from_outside(served) -> None:
    caller, _ = served
    token = caller.tokens()["access_token"]
    caller.report(token, page=2, limit=10)
    seen = caller.http.get("/_simulator/requests").json()
    (request,) = seen["requests"]
    assert ("2026-04-06T00:00:00", "2026-04-06T23:59:59", 2, 10, 3, "acme-demo", 200, 10) == tuple(
        request[name]
        for name in (
            "start_date",
            "end_date",
            "page",
            "limit",
            "columns",
            "tenant_header",
            "status",
            "rows",
        )
    )
    assert (1, {caller.sandbox.config.login: 1}) == (seen["max_in_flight"], seen["live_sessions"])
    assert token not in json.dumps(seen)


def test_the_sandbox_has_no_other_page(served) -> None:
    caller, _ = served
    assert caller.http.get("/_simulator/secrets").status_code == 404
    assert caller.http.post("/_simulator/today", json={"today": "soon"}).status_code == 400


# the command


def test_the_command_prints_one_line_and_stops_on_a_signal(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"match": "login", "fault": "http_503"}]')
    (tmp_path / "config.json").write_text(
        '{"rotation": true, "customer_id": "from-file", "brute_force": {"failure_factor": 3}}'
    )
    asked = ["--today", "2026-04-15", "--employees", "12", "--seed", "7"]
    files = ["--faults", str(tmp_path / "faults.json"), "--config", str(tmp_path / "config.json")]
    with subprocess.Popen(
        [*COMMAND, *asked, *files],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        found = re.fullmatch(
            r"We360 sandbox ready on (http://127\.0\.0\.1:\d+)  customer_id=(\S+) login=(\S+) password=(\S+)\n",
            line,
        )
        url, customer_id, login, password = found.groups()
        form = {
            "client_id": customer_id,
            "username": login,
            "password": password,
            "grant_type": "password",
        }
        token_url = f"{url}/realms/ind-prod/protocol/openid-connect/token"
        answers = [httpx.post(token_url, data=form, trust_env=False) for _ in range(2)]
        page = httpx.get(url, trust_env=False).text
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert [503, 200] == [answer.status_code for answer in answers]
    assert "12 people" in page
    assert "2026-04-15" in page
    assert (0, "", "") == (process.returncode, out, err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--employees", "0"], "at least 1"),
        (["--today", "tomorrow"], "--today"),
        (["--faults", "/nowhere.json"], "cannot start"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(arguments: list[str], words: str) -> None:
    error = io.StringIO()
    with contextlib.redirect_stderr(error), pytest.raises(SystemExit) as end:
        sys.exit(main(["--port", "0", *arguments]))
    assert end.value.code == 2
    assert words in error.getvalue()
