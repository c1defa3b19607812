"""The independent server is strict, and its faults and limits are as its variants say.

tests/airflow/test_foreign_truth.py loads every variant with the provider.
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import foreign_server
from support.foreign_server import (
    CUSTOMER_ID,
    PASSWORD,
    REALM,
    REPORT,
    USERNAME,
    ForeignServer,
    Variant,
)

MONDAY, SATURDAY = dt.date(2026, 6, 1), dt.date(2026, 6, 6)
LOGIN = {
    "client_id": CUSTOMER_ID,
    "username": USERNAME,
    "password": PASSWORD,
    "grant_type": "password",
}
Row = dict[str, Any]


class Visitor:
    """A plain client that shares no code with the server."""

    def __init__(self, server: ForeignServer) -> None:
        self.server, self.http = server, httpx.Client(base_url=server.url, timeout=5, verify=False)
        self.tokens: Row = {}

    def grant(self, form: Row) -> httpx.Response:
        answer = self.http.post(f"{REALM}/token", data=form)
        self.tokens = answer.json() if answer.status_code == 200 else self.tokens
        return answer

    def read(self, day: dt.date = MONDAY, **changes: object) -> httpx.Response:
        if not self.tokens:
            self.grant(LOGIN)
        body = {
            "start_date": f"{day}T00:00:00",
            "end_date": f"{day}T23:59:59",
            "mode": "detailed",
            "columns": ["attendance_date", "identity_id", "punch_in", "online_duration"],
            "page": 1,
            "limit": 0,
            **changes,
        }
        token = self.tokens["access_token"]
        headers = {"Authorization": f"Bearer {token}", "X-Tenant-Id": CUSTOMER_ID}
        return self.http.post(REPORT, json=body, headers=headers)


Visit = Callable[..., Visitor]


@pytest.fixture
def visit() -> Iterator[Visit]:
    with contextlib.ExitStack() as stack:

        def make(variant: str | Variant = "plain", **settings: Any) -> Visitor:
            visitor = Visitor(stack.enter_context(ForeignServer(variant, **settings)))
            stack.enter_context(visitor.http)
            return visitor

        yield make


def test_it_imports_only_the_standard_library() -> None:
    tree = ast.parse(Path(foreign_server.__file__).read_text())
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    assert modules <= sys.stdlib_module_names


def test_its_company_has_23_people_and_an_empty_sunday() -> None:
    truth = ForeignServer().truth()
    people = {row["identity_id"] for row in truth}
    assert len(people) == 23
    assert {uuid.UUID(person).version for person in people} == {4}
    assert {row["attendance_date"] for row in truth} == {
        MONDAY + dt.timedelta(days=n) for n in range(10) if n != 6
    }
    assert sum(row["attendance_date"] == SATURDAY for row in truth) == 17


def test_its_rows_are_hard_to_carry() -> None:
    truth = ForeignServer().truth()
    assert any(ord(letter) > 0xFFFF for row in truth for letter in row["first_name"])
    assert any(
        row["punch_out"] and row["punch_out"].date() > row["attendance_date"] for row in truth
    )
    assert any(row["online_duration"] is None for row in truth)
    assert any(row["email"] is None for row in truth)
    assert 101.3 in {row["active_percent"] for row in truth}


@pytest.mark.parametrize("limit", [0, 18, 500])
def test_a_cap_is_silent(visit: Visit, limit: int) -> None:
    assert len(visit(Variant(cap=17)).read(limit=limit).json()["data"]) == 17


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": ["identity_id", "shoe_size"]},
        {"columns": ["identity_id", "avg_idle_duration"]},
        {"columns": []},
        {"mode": "weekly"},
        {"user_id": "me"},
        {"shift": "a"},
        {"page": 0},
        {"limit": "10"},
        {"summary": True},
        {"start_date": "2026-06-01"},
    ],
)
def test_a_request_beyond_the_documents_is_refused(visit: Visit, changes: Row) -> None:
    answer = visit().read(**changes)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"password": "x"}, 400, "invalid_grant"),
        ({"username": None}, 401, "invalid_request"),
        ({"client_id": "x"}, 401, "invalid_client"),
        ({"scope": "openid"}, 400, "invalid_request"),
        ({"client_secret": "x"}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"username": [USERNAME, USERNAME]}, 400, "invalid_request"),
    ],
)
def test_a_login_form_must_be_exact(visit: Visit, changes: Row, status: int, error: str) -> None:
    visitor = visit()
    form = {name: value for name, value in {**LOGIN, **changes}.items() if value is not None}
    answer = visitor.grant(form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert (visitor.server.logins, visitor.server.live_sessions) == (0, 0)


def test_each_fault_of_the_rough_variant_strikes_once(visit: Visit) -> None:
    visitor = visit("rough")
    answers = [visitor.read() for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200, 503, 200, 429, 200, 200, 200, 401]
    assert answers[3].headers["retry-after"] == "1"
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answers[5].json()
    visitor.tokens = {}
    assert visitor.read().status_code == 200
    assert visitor.server.data_requests == 9


def test_an_answer_can_be_cut_off_or_slow(visit: Visit) -> None:
    visitor = visit(Variant(faults=((1, "cut_off"), (2, "slow")), slow_seconds=0.3))
    with pytest.raises(httpx.RemoteProtocolError):
        visitor.read()
    assert visitor.read().elapsed >= dt.timedelta(seconds=0.3)
