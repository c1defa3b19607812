"""Canaries: known secrets and people, looked for in everything that a load leaves behind."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import pickle
import re
import subprocess
import traceback
from pathlib import Path

import duckdb
import pytest

from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.hooks.we360 import We360Hook
from support.airflow_line import without_debug_of_3_0
from support.mini_api import FakeTime

DAY = dt.date(2026, 6, 1)
WINDOW = {"window_start": "2026-06-01", "window_end": "2026-06-05"}
PERSONAL = ("first_name", "last_name", "email", "phone_number", "identity_id", "manager")


@pytest.fixture
def account():
    """One that no other test uses: SQLite's file still holds what other tests have added and deleted."""
    return {
        "login": "unseen.canary@acme-demo.example.com",
        "password": "unseen-canary-Passw0rd-90d2",
    }


@pytest.fixture
def everything(caplog, capfd, airflow_home):
    """All text that anybody could read afterwards: logs at DEBUG, terminal, Airflow's database and log files."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "airflow_provider_we360"):
        logging.getLogger(name).setLevel(logging.DEBUG)

    def read() -> str:
        out, err = capfd.readouterr()
        files = [
            path
            for path in airflow_home.rglob("*")
            if path.is_file() and path.suffix in {".db", ".log", ".cfg", ".db-wal"}
        ]
        return "".join(
            [
                caplog.text,
                without_debug_of_3_0(out),
                err,
                contents_of(files),
            ]
        )

    yield read
    for name in ("httpx", "httpcore", "airflow_provider_we360"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def contents_of(files: list[Path]) -> str:
    """Return the bytes of the files as text, read by another process.

    A process that closes a file loses its locks on it (https://sqlite.org/howtocorrupt.html, 2.2):
    were Airflow's database opened here, SQLite would no longer hold the locks it counts on.
    """
    if not files:
        return ""
    read = subprocess.run(["cat", "--", *files], capture_output=True, check=True)
    return read.stdout.decode("latin-1")


def people(sandbox):
    rows = sandbox.company.rows(dt.date(2026, 6, 1), dt.date(2026, 6, 5), "detailed")
    # Names of one or two letters stand in any log.
    return {
        str(row[name]) for row in rows for name in PERSONAL if len(str(row.get(name) or "")) > 4
    }


@pytest.mark.usefixtures("airflow_db")
def test_a_good_load_leaves_no_secret_and_no_person_behind(
    example, sandbox, duckdb_file, everything
):
    run = example("we360_to_duckdb").test(run_conf=WINDOW)
    assert run.state == "success"
    secrets = {sandbox.config.password, sandbox.config.login}
    with duckdb.connect(str(duckdb_file)) as warehouse:
        (rows,) = warehouse.execute("SELECT count(*) FROM we360_days").fetchone()
    assert rows > 20
    left = everything()
    assert "Loaded " in left
    assert "we360_token__" in left
    assert not {secret for secret in secrets | people(sandbox) if secret in left}
    assert not _tokens_in(left, sandbox)


@pytest.mark.usefixtures("airflow_db", "duckdb_file")
@pytest.mark.parametrize(
    ("kind", "fault", "arguments"),
    [
        ("login", "http_400", {}),
        ("login", "account_disabled", {}),
        ("report", "truncated_json", {"times": None}),
        (
            "report",
            "http_422",
            {
                "times": None,
                "message": "no access for meera.canary@acme-demo.example.com eyJhbGciOiJub25lIn0.e30.",
            },
        ),
        ("report", "http_403", {"times": None}),
    ],
)
def test_a_failed_load_leaves_none_either(
    example, sandbox, everything, monkeypatch, kind, fault, arguments
):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv(
        "AIRFLOW_CONN_WE360_DEFAULT", _in_memory(os.environ["AIRFLOW_CONN_WE360_DEFAULT"])
    )
    sandbox.faults.add(kind, fault, **arguments)
    run = example("we360_to_duckdb").test(run_conf=WINDOW)
    assert run.state == "failed"
    left = everything()
    assert not {
        secret
        for secret in {sandbox.config.password, sandbox.config.login, "meera.canary@"}
        | people(sandbox)
        if secret in left
    }
    assert not _tokens_in(left, sandbox)


def test_what_the_test_button_says_holds_no_secret(sandbox, monkeypatch):
    good, words = We360Hook().test_connection()
    assert (good, sandbox.config.login in words) == (True, False)
    sandbox.faults.add("login", "password_changes")
    bad, words = We360Hook().test_connection()
    assert bad is False
    assert "E-mail (login) or Password" in words
    assert not any(secret in words for secret in (sandbox.config.password, sandbox.config.login))
    assert sum(sandbox.request_log.live_sessions().values()) == 0


def test_an_error_that_is_pickled_or_shown_whole_holds_no_secret(sandbox):
    sandbox.faults.add("login", "password_changes")
    with pytest.raises(We360Error) as caught:
        time = FakeTime()
        next(We360Hook(clock=time.clock, sleep=time.sleep).iter_batches(window=(DAY, DAY)))
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert sandbox.config.password not in shown
    assert sandbox.config.login not in shown
    assert b"canary" not in pickle.dumps(str(caught.value))


def _in_memory(connection: str) -> str:
    parsed = json.loads(connection)
    parsed["extra"]["token_cache"] = "memory"
    return json.dumps(parsed)


def _tokens_in(left: str, sandbox) -> list[str]:
    """Access and refresh tokens of the sandbox that stand anywhere in the text."""
    return [
        found
        for found in re.findall(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", left)
        if sandbox.identity.tokens.read(found)
    ]
