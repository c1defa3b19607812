"""The real tokens of a real run at log level DEBUG, looked for wherever a person, a program or a backup could come by them."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import json
import logging
import os
import pickle
import re
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.connection import parse_connection
from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.hooks.encryption import TokenCipher
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.operators.session import We360LoginOperator, We360LogoutOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support.airflow_line import AIRFLOW, since
from support.commands import airflow
from support.mini_api import FakeTime

DAY = dt.date(2026, 6, 1)
LOGIN, PASSWORD = "sealed.canary@acme-demo.example.com", "sealed-canary & Passw0rd+51c0"
SHARED, OF_RUN, WAREHOUSE = "we360_sealed", "we360_sealed_of_run", "duckdb_sealed"
ASKS_TO_MASK = re.compile(r"^.*\bSending request +.*msg=MaskSecret\(value='.*$", re.MULTILINE)
"""What Airflow itself prints at DEBUG, and we cannot prevent (SECURITY.md): each secret that it is asked to mask, once."""

OURS = re.compile(r"(airflow_provider_we360\.(?!sandbox)|httpx\b)")

DAG_FILE = f"""
import logging
from pathlib import Path
from airflow.providers.common.compat.sdk import DAG, get_current_context, task
from airflow_provider_we360.operators.session import We360LoginOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

# Airflow blanks what looks like a JWT in its own log: what was handed to the loggers is written down before it can.
unmasked = logging.FileHandler(__file__ + ".log")
for name in ("httpx", "httpcore", "airflow_provider_we360"):
    logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger(name).addHandler(unmasked)

load = dict(window_start="{DAY}", window_end="{DAY}", sql_conn_id="{WAREHOUSE}", table="days")
with DAG("tokens_stay_sealed", schedule=None) as dag:
    shared = We360ToSqlOperator(task_id="load", we360_conn_id="{SHARED}", **load)
    login = We360LoginOperator(task_id="login", we360_conn_id="{OF_RUN}")
    of_run = We360ToSqlOperator(task_id="load_of_run", we360_conn_id="{OF_RUN}", **load)
    shared >> login >> of_run

    @task
    def keep_text():
        text = get_current_context()["ti"].xcom_pull(task_ids="login", key="we360_token")
        Path(__file__ + ".xcom").write_text(text)

    of_run >> keep_text()

if __name__ == "__main__":
    print("The run ended as", dag.test().state)
"""


@dataclass
class Secrets:
    """What must not be found, by the name that a failed test shows instead of it."""

    known: dict[str, str] = field(default_factory=lambda: {"password": PASSWORD, "e-mail": LOGIN})

    def add(self, whose: str, token: TokenSet) -> None:
        self.known |= {
            f"access token of {whose}": token.access_token,
            f"refresh token of {whose}": token.refresh_token or "",
        }

    def within(self, text: str) -> set[str]:
        """Names of the secrets that the text holds: plain, percent-encoded, or the telling part of a token."""
        return {
            name
            for name, secret in self.known.items()
            for dress in {
                secret,
                quote(secret),
                quote(secret, safe=""),
                secret.replace(" ", "+"),
                *secret.split(".")[1:],
            }
            if len(dress) > 15 and dress in text
        }


@dataclass
class Run:
    """A run of the Dag, and what it left behind."""

    output: str
    """Its standard output and error."""
    unmasked: str
    """What our loggers and those of httpx were given, before Airflow blanked any of it."""
    secrets: Secrets
    database: Path
    shared: str
    """The text of the Variable, as a task reads it."""
    of_run: str
    """The text of the XCom."""

    def cells(self) -> Iterator[tuple[str, str, str]]:
        """Table, column and text of everything in Airflow's database, whatever its tables are called."""
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            named = "SELECT name FROM sqlite_master WHERE type = 'table'"
            for (table,) in database.execute(named).fetchall():
                rows = database.execute(f'SELECT * FROM "{table}"')
                columns = [column for column, *_ in rows.description]
                for row in rows:
                    for column, value in zip(columns, row, strict=True):
                        yield table, column, _text(value)


@pytest.fixture(scope="module")
def run(airflow_db, tmp_path_factory) -> Iterator[Run]:
    """One load with the shared session and one with the run's own, in a process of their own whose every logger is at DEBUG."""
    from airflow.providers.common.compat.sdk import Connection

    folder = tmp_path_factory.mktemp("sealed")
    (folder / "tokens_stay_sealed.py").write_text(DAG_FILE)
    with serve(Simulator(SimulatorConfig(employees=12, login=LOGIN, password=PASSWORD))) as server:
        connections = [
            _connection(SHARED, server.url),
            _connection(OF_RUN, server.url, token_cache="xcom"),
            {"conn_id": WAREHOUSE, "conn_type": "duckdb", "host": str(folder / "warehouse.duckdb")},
        ]
        with _in_the_database(connections):
            env = os.environ | {
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
                "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            }
            command = [sys.executable, folder / "tokens_stay_sealed.py"]
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, timeout=600, check=False
            )
            output = done.stdout + done.stderr
            assert "The run ended as success" in output, _errors_in(output)
            unmasked = (folder / "tokens_stay_sealed.py.log").read_text()
            left = Run(output, unmasked, Secrets(), airflow_db, "", "")
            settings = parse_connection(Connection(**connections[0]))
            exported = json.loads(_exported_variables(folder / "variables.json"))
            entry = exported[f"we360_token__{settings.account_fingerprint}"]
            left.shared = json.dumps(entry["value"])  # beside its description
            left.of_run = (folder / "tokens_stay_sealed.py.xcom").read_text()
            for whose, text in (("the Variable", left.shared), ("the XCom", left.of_run)):
                left.secrets.add(whose, _unsealed(text, settings))
            yield left


def test_the_search_finds_a_secret_in_any_dress(run):
    for name, secret in run.secrets.known.items():
        for text in (f"x{secret}x", f"form={quote(secret, safe='')}&y", repr({"a": secret})):
            assert run.secrets.within(text) == {name}
    assert run.secrets.within(
        "Bearer " + run.secrets.known["access token of the XCom"].partition(".")[2]
    )
    assert len({*run.secrets.known.values()}) == 6
    assert run.secrets.within("we360_token__0123456789ab") == set()


def test_a_run_at_debug_prints_no_secret(run):
    for log in (run.output, run.unmasked):
        assert "send_request_headers.started" in log
        assert "We360 token obtained by login" in log
    assert re.search(r"Loaded [1-9]\d* rows", run.output)
    own_words = ASKS_TO_MASK.sub("", run.output)
    assert run.secrets.within(own_words) == set()
    assert run.secrets.within(run.unmasked) == set()
    # Where nothing is left to be exempt from, the exemption has to go.
    assert "MaskSecret(value='" not in own_words
    assert bool(run.secrets.within(run.output)) == (AIRFLOW >= (3, 0))


def test_no_table_of_airflow_holds_a_secret_in_clear(run):
    cells = list(run.cells())
    found = {
        (table, column, secret)
        for table, column, text in cells
        for secret in run.secrets.within(text)
    }
    assert found == {("connection", "login", "e-mail")}
    # The search reaches what tasks keep: the XCom's ciphertext is there, and the Variable's only
    # within Airflow's own encryption.
    sealed = [json.loads(text)["sealed"] for text in (run.of_run, run.shared)]
    assert [any(one in text for _, _, text in cells) for one in sealed] == [True, False]


def test_variable_and_xcom_show_version_expiry_and_ciphertext(run):
    for text in (run.shared, run.of_run):
        shown = json.loads(text)
        assert shown.keys() == {"v", "expires_at", "sealed"}
        assert shown["sealed"].startswith("gAAAA")
        assert run.secrets.within(text) == set()


# Seconds to build Airflow's API, which shows what the tables above hold.
@pytest.mark.long
@since((3, 2), "its dag.test() writes the Dag down, so that the API finds the run")
@pytest.mark.filterwarnings("ignore:The HMAC key is:Warning")
def test_the_rest_api_shows_no_secret_but_the_connections_login(run, monkeypatch):
    get = _rest_api(monkeypatch)
    runs = "/dags/tokens_stay_sealed/dagRuns"
    (run_id,) = [one["dag_run_id"] for one in json.loads(get(runs))["dag_runs"]]
    tasks = f"{runs}/{quote(run_id)}/taskInstances"
    shown = {
        get("/variables"): "we360_token__",
        get(f"{tasks}/login/xcomEntries/we360_token"): "gAAAA",
        get(f"{tasks}/load_of_run/xcomEntries/return_value"): "dynamic_report",
        get(tasks): "rendered_fields",
        get(runs): run_id,
        get("/eventLogs"): "event_logs",
    }
    for answer, sign in shown.items():
        assert sign in answer
        assert run.secrets.within(answer) == set()
    (shared,) = [
        one
        for one in json.loads(get("/variables"))["variables"]
        if SHARED in (one["description"] or "")
    ]
    assert json.loads(shared["value"])["sealed"] == "***"
    assert run.secrets.within(get("/connections")) == {"e-mail"}


def test_an_export_of_variables_holds_ciphertext(run, tmp_path):
    exported = _exported_variables(tmp_path / "variables.json")
    assert json.loads(run.shared)["sealed"] in exported
    assert run.secrets.within(exported) == set()


# Objects and errors: one hook over a sandbox in this process, under a clock that only sleep moves.


@dataclass
class Bench:
    """A hook that has logged in."""

    hook: We360Hook
    sandbox: Simulator
    time: FakeTime
    secrets: Secrets
    token: TokenSet

    def ask(self) -> None:
        list(self.hook.iter_batches(window=(DAY, DAY)))


@pytest.fixture
def bench(monkeypatch) -> Iterator[Bench]:
    monkeypatch.setenv(
        "AIRFLOW_CONN_WE360_DEFAULT", json.dumps(_connection("we360_default", "http://127.0.0.1"))
    )
    time, secrets = FakeTime(), Secrets()
    sandbox = Simulator(
        SimulatorConfig(employees=12, login=LOGIN, password=PASSWORD),
        clock=time.clock,
        sleep=time.sleep,
    )
    store = TokenStore()
    transport = httpx.WSGITransport(sandbox)
    with contextlib.closing(
        We360Hook(transport=transport, clock=time.clock, sleep=time.sleep, store=lambda _: store)
    ) as hook:
        hook.login()
        token = store.token.read()
        secrets.add("the hook", token)
        yield Bench(hook, sandbox, time, secrets, token)


def test_nothing_that_hangs_on_a_hook_shows_a_secret_as_text(bench):
    bench.ask()
    seen = list(_objects(bench.hook))
    kinds = {type(one).__name__ for one in seen}
    assert {
        "We360Hook",
        "We360Settings",
        "TokenManager",
        "TokenSet",
        "Client",
        "BearerAuth",
        "KeycloakClient",
    } <= kinds
    for one in (*seen, TokenCipher(bench.hook.settings, _NoFernet())):
        assert bench.secrets.within(f"{one!r} {one!s} {[one]!r}") == set(), type(one)


def test_a_request_with_the_token_shows_none_of_it_as_text(bench):
    response = bench.hook.get_conn().get("/query/external/reports/dynamic_report")
    assert bench.secrets.within(response.request.headers["Authorization"]) == {
        "access token of the hook"
    }
    assert (
        bench.secrets.within(f"{response!r} {response.request!r} {response.request.headers!r}")
        == set()
    )


def test_a_logged_in_hook_cannot_be_pickled_with_its_secrets(monkeypatch):
    with serve(Simulator(SimulatorConfig(employees=12, login=LOGIN, password=PASSWORD))) as server:
        monkeypatch.setenv(
            "AIRFLOW_CONN_WE360_DEFAULT",
            json.dumps(_connection("we360_default", server.url, token_cache="memory")),
        )
        # The clock that it has outside of tests: the fixture's refuses to be pickled by itself.
        with contextlib.closing(We360Hook(clock=time.time, sleep=time.sleep)) as hook:
            hook.login()
            for copied in (pickle.dumps, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot pickle") as refusal:
                    copied(hook)
                assert Secrets().within(_all_of(refusal.value)) == set()


@pytest.mark.parametrize(
    "operator",
    [
        We360ToSqlOperator(task_id="load", sql_conn_id="warehouse", table="days"),
        We360LoginOperator(task_id="login"),
        We360LogoutOperator(task_id="logout"),
    ],
    ids=lambda operator: operator.task_id,
)
def test_an_operator_knows_the_connections_name_and_no_more(bench, operator):
    for told in (
        repr(operator),
        repr(vars(copy.deepcopy(operator))),
        pickle.dumps(operator).decode("latin-1"),
    ):
        assert bench.secrets.within(told) == set()
    assert b"we360_default" in pickle.dumps(operator)


ECHO = f"no access for {LOGIN} with {{access}} or {{refresh}}"


@pytest.mark.parametrize(
    ("kind", "fault", "arguments"),
    [
        ("login", "wrong_password", {}),
        ("login", "account_disabled", {}),
        ("login", "unknown_client", {}),
        ("login", "http_400", {"form": "oauth", "message": ECHO}),
        ("login", "redirect", {}),
        ("login", "html_200", {}),
        ("login", "truncated_json", {"keep": 0.9}),
        ("login", "no_access_token", {}),
        ("login", "http_500", {"message": ECHO}),
        ("login", "http_429", {"retry_after": "7200", "message": ECHO}),
        ("refresh", "user_disabled", {}),
        ("token", "http_400", {"form": "oauth", "message": ECHO}),
        ("token", "http_503", {"form": "plain", "message": ECHO}),
        ("report", "http_401", {"message": ECHO}),
        ("report", "http_403", {"message": ECHO}),
        ("report", "http_422", {"message": ECHO}),
        ("report", "http_500", {"form": "html", "message": ECHO}),
        ("report", "truncated_json", {}),
        (
            "report",
            "other_json",
            {"content": {"data": [{"identity_id": LOGIN, "attendance_date": ECHO}]}},
        ),
        ("report", "redirect", {}),
    ],
)
def test_no_error_holds_a_secret_whatever_the_server_echoes(bench, caplog, kind, fault, arguments):
    caplog.set_level(logging.DEBUG)
    told = json.loads(
        json.dumps(arguments)
        .replace("{access}", bench.token.access_token)
        .replace("{refresh}", str(bench.token.refresh_token))
    )
    if kind == "login":
        bench.sandbox.faults.add("refresh", "session_gone", times=None)
    bench.sandbox.faults.add(kind, fault, times=None, **told)
    bench.time.now += 0 if kind == "report" else 40_000
    with pytest.raises(We360Error) as caught:
        bench.ask()
    assert bench.secrets.within(_all_of(caught.value)) == set()
    assert bench.secrets.within(caplog.text) == set()


def test_a_logout_that_fails_holds_no_secret(bench, caplog):
    caplog.set_level(logging.DEBUG)
    bench.sandbox.faults.add(
        "logout", "http_500", times=None, message=f"{LOGIN} {bench.token.refresh_token}"
    )
    with pytest.raises(We360Error) as caught:
        bench.hook.logout()
    assert bench.secrets.within(_all_of(caught.value) + caplog.text) == set()


def test_a_request_to_another_host_is_refused_without_secrets(bench):
    with pytest.raises(We360Error) as caught:
        bench.hook.get_conn().get(
            f"https://example.net/?u={quote(LOGIN)}&t={bench.token.access_token}"
        )
    assert bench.secrets.within(_all_of(caught.value)) == set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": f"https://{quote(LOGIN)}:{quote(PASSWORD)}@api.in.we360.ai"},
        {"host": f"https://api.in.we360.ai/{quote(PASSWORD)}"},
        {"host": f"http://api.in.we360.ai/?password={quote(PASSWORD)}"},
        {"schema": PASSWORD},
        {"extra": f"{PASSWORD} {LOGIN}"},
        {"extra": {"customer_id": "acme-demo", "password": PASSWORD}},
        {"extra": {"customer_id": f"{LOGIN} {PASSWORD}"}},
        {
            "extra": {
                "customer_id": "acme-demo",
                "auth_url": f"https://x:{quote(PASSWORD)}@example.net",
            }
        },
        {
            "extra": {
                "customer_id": "acme-demo",
                "proxy": f"socks5://{quote(LOGIN)}:{quote(PASSWORD)}@proxy",
            }
        },
        {"extra": {"customer_id": "acme-demo", "timeout_s": PASSWORD}},
        {"extra": {"customer_id": "acme-demo", "allow_http": PASSWORD}},
    ],
    ids=lambda wrong: str(next(iter(wrong.values())))[:40],
)
def test_a_secret_in_the_wrong_field_is_not_repeated(monkeypatch, wrong):
    monkeypatch.setenv(
        "AIRFLOW_CONN_WE360_DEFAULT",
        json.dumps(_connection("we360_default", "https://api.in.we360.ai") | wrong),
    )
    with pytest.raises(
        (We360Error, AirflowNotFoundException)
    ) as caught:  # 3.0 finds no Connection whose Extra is no JSON
        We360Hook().get_conn()
    assert Secrets().within(_all_of(caught.value)) == set()


class _NoFernet:
    def encrypt(self, msg: bytes) -> bytes:
        return msg

    decrypt = encrypt


def _connection(conn_id: str, url: str, **extra: object) -> dict[str, Any]:
    extra = {
        "customer_id": SimulatorConfig().customer_id,
        "auth_url": url,
        "allow_http": True,
    } | extra
    told = {
        "conn_type": "we360",
        "host": url,
        "login": LOGIN,
        "password": PASSWORD,
        "extra": json.dumps(extra),
    }
    return told | ({} if conn_id == "we360_default" else {"conn_id": conn_id})


def _exported_variables(file: Path) -> str:
    code, told = airflow(["variables", "export", str(file)])
    assert code == 0, told
    return file.read_text()


@contextlib.contextmanager
def _in_the_database(connections: list[dict[str, Any]]) -> Iterator[None]:
    from airflow.cli.cli_parser import get_parser
    from airflow.cli.commands import connection_command

    parser = get_parser()
    for one in connections:
        told = json.dumps({name: value for name, value in one.items() if name != "conn_id"})
        connection_command.connections_add(
            parser.parse_args(["connections", "add", one["conn_id"], "--conn-json", told])
        )
    try:
        yield
    finally:
        for one in connections:
            connection_command.connections_delete(
                parser.parse_args(["connections", "delete", one["conn_id"]])
            )


def _errors_in(output: str) -> str:
    """What a failed run says of its failure: at DEBUG its last lines do not hold it."""
    lines = output.splitlines()
    first = next((at for at, line in enumerate(lines) if "[error" in line), len(lines))
    return "\n".join([*lines[max(0, first - 5) : first + 60], "...", *lines[-5:]])


def _unsealed(text: str, settings: Any) -> TokenSet:
    from airflow_provider_we360._compat import get_fernet

    return TokenCipher(settings, get_fernet()).decode(text)


def _rest_api(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Reads a path of Airflow's public API as an administrator."""
    from airflow.api_fastapi.app import create_app
    from starlette.testclient import TestClient

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    client = TestClient(create_app("core"))
    pass_of_admin = client.get("/auth/token").json()["access_token"]

    def get(path: str) -> str:
        answer = client.get(f"/api/v2{path}", headers={"Authorization": f"Bearer {pass_of_admin}"})
        assert answer.status_code == 200, answer.text
        return answer.text

    return get


def _objects(root: object) -> Iterator[object]:
    """The object, and all of ours and of httpx that it leads to."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set):
            waiting += one
        elif OURS.match(type(one).__module__):
            yield one
            slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting += [
                *getattr(one, "__dict__", {}).values(),
                *(getattr(one, name, None) for name in slots),
            ]


def _all_of(error: BaseException) -> str:
    """Whatever a program could print of an error and of those behind it, suppressed ones too."""
    told = ["".join(traceback.format_exception(error)), repr(vars(error))]
    behind: BaseException | None = error
    while behind is not None:
        told += [str(behind), repr(behind), repr(behind.args)]
        behind = behind.__cause__ or behind.__context__
    return "\n".join(told)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
