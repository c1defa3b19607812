from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import re
import subprocess
import sys
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.foreign_server import (
    COUNTS,
    CUSTOMER_ID,
    PASSWORD,
    REALM,
    REPORT,
    USERNAME,
    VARIANTS,
    ForeignServer,
    Variant,
)

MONDAY, SATURDAY, SUNDAY = dt.date(2026, 6, 1), dt.date(2026, 6, 6), dt.date(2026, 6, 7)
NOTHING = (None, "", "-", "\u2013", "\u2014")
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
LOGIN = {
    "client_id": CUSTOMER_ID,
    "username": USERNAME,
    "password": PASSWORD,
    "grant_type": "password",
}
Row = dict[str, Any]


class Visitor:
    """A client of the server that is as plain as can be, and shares no code with it."""

    def __init__(self, server: ForeignServer) -> None:
        self.server, self.http = server, httpx.Client(base_url=server.url, timeout=5, verify=False)
        self.columns = (
            list(truth[0])
            if (truth := server.truth(MONDAY, MONDAY))
            else ["identity_id", "punch_in"]
        )
        self.tokens: Row = {}

    def grant(self, form: Row) -> httpx.Response:
        answer = self.http.post(f"{REALM}/token", data=form)
        self.tokens = answer.json() if answer.status_code == 200 else self.tokens
        return answer

    def refresh(self, token: str | None = None) -> httpx.Response:
        token = token or self.tokens["refresh_token"]
        return self.grant(
            {"client_id": CUSTOMER_ID, "refresh_token": token, "grant_type": "refresh_token"}
        )

    def logout(self) -> httpx.Response:
        return self.http.post(
            f"{REALM}/logout",
            data={"client_id": CUSTOMER_ID, "refresh_token": self.tokens["refresh_token"]},
        )

    def ask(
        self, first: dt.date = MONDAY, last: dt.date | None = None, **changes: object
    ) -> httpx.Response:
        if not self.tokens:
            self.grant(LOGIN)
        days = {"start_date": f"{first}T00:00:00", "end_date": f"{last or first}T23:59:59"}
        body = {
            **days,
            "mode": "detailed",
            "columns": self.columns,
            "page": 1,
            "limit": 0,
            **changes,
        }
        headers = {
            "Authorization": f"Bearer {self.tokens['access_token']}",
            "X-Tenant-Id": CUSTOMER_ID,
        }
        return self.http.post(REPORT, json=body, headers=headers)

    def insist(
        self, first: dt.date, last: dt.date | None = None, **changes: object
    ) -> httpx.Response:
        """Ask until no passing fault is in the way."""
        for _ in range(5):
            answer = self.ask(first, last, **changes)
            if answer.status_code == 401:
                self.refresh()
            elif answer.status_code not in (429, 503):
                with contextlib.suppress(ValueError):
                    answer.json()
                    return answer
                if answer.status_code >= 400:
                    return answer
        raise AssertionError(answer.status_code)

    def walk(self, first: dt.date, last: dt.date | None = None, **changes: object) -> list[Row]:
        """Distinct rows: pages until one brings nothing new."""
        changes = (
            {"limit": 10, **changes}
            if self.insist(first, last, **changes).status_code == 400
            else changes
        )
        rows: list[Row] = []
        for page in range(1, 60):
            answer = self.insist(first, last, page=page, **changes)
            fresh = (
                [row for row in answer.json()["data"] if row not in rows]
                if answer.status_code == 200
                else []
            )
            if not fresh:
                break
            rows += [row for number, row in enumerate(fresh) if row not in fresh[:number]]
        return rows


Visit = Callable[..., Visitor]


@pytest.fixture
def visit() -> Iterator[Visit]:
    with contextlib.ExitStack() as stack:

        def make(variant: str | Variant = "plain", **settings: Any) -> Visitor:
            visitor = Visitor(stack.enter_context(ForeignServer(variant, **settings)))
            stack.enter_context(visitor.http)
            return visitor

        yield make


def typed(row: Row, columns: list[str]) -> Row:
    return {name: _typed(row.get(name), name) for name in columns}


def _typed(value: Any, name: str) -> object:
    if value in NOTHING:
        return None
    if name.endswith("_duration"):
        parts = [int(part) for part in str(value).split(":")]
        return sum(part * 60**power for power, part in enumerate(reversed(parts)))
    if name in ("punch_in", "punch_out"):
        moment = dt.datetime.fromisoformat(value)
        return moment.astimezone(IST).replace(tzinfo=None) if moment.tzinfo else moment
    if name in ("attendance_date", "punch_date"):
        return dt.date.fromisoformat(value)
    if name.endswith("_percent"):
        return float(value)
    return int(value) if name in COUNTS else value


def by_key(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.get("attendance_date", MONDAY), row["identity_id"]))


def test_the_company_is_23_people_with_uuids_and_a_quiet_sunday() -> None:
    truth = ForeignServer().truth()
    people = {row["identity_id"] for row in truth}
    assert len(people) == 23
    assert {uuid.UUID(person).version for person in people} == {4}
    assert {row["attendance_date"] for row in truth} == {
        MONDAY + dt.timedelta(days=n) for n in range(10) if n != 6
    }
    assert sum(row["attendance_date"] == SATURDAY for row in truth) == 17


def test_the_same_seed_is_the_same_company_however_long_it_is_watched() -> None:
    assert ForeignServer(days=3).truth() == ForeignServer(days=10).truth(
        last=MONDAY + dt.timedelta(days=2)
    )
    assert ForeignServer(seed=8).truth() != ForeignServer().truth()


def test_the_truth_holds_what_is_hard_to_carry() -> None:
    truth = ForeignServer().truth()
    assert any(ord(letter) > 0xFFFF for row in truth for letter in row["first_name"])
    assert any(
        row["punch_out"] and row["punch_out"].date() > row["attendance_date"] for row in truth
    )
    assert any(row["online_duration"] is None for row in truth)
    assert any(row["email"] is None for row in truth)
    assert 101.3 in {row["active_percent"] for row in truth}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_preset_gives_a_patient_visitor_the_whole_truth(visit: Visit, name: str) -> None:
    visitor = visit(name)
    days = [MONDAY + dt.timedelta(days=number) for number in range(10)]
    rows = [typed(row, visitor.columns) for day in days for row in visitor.walk(day)]
    assert by_key(rows) == visitor.server.truth()


@pytest.mark.parametrize("name", ["plain", "capped", "no_metadata_capped", "refuses_zero"])
def test_a_summary_is_one_row_a_person(visit: Visit, name: str) -> None:
    visitor = visit(name)
    truth = visitor.server.truth(mode="summary")
    visitor.columns = list(truth[0])
    rows = visitor.walk(MONDAY, dt.date(2026, 6, 10), mode="summary")
    assert by_key([typed(row, visitor.columns) for row in rows]) == truth
    assert len(truth) == 23
    assert max(row["online_duration"] for row in truth) > 100_000
    assert visitor.ask(mode="summary", columns=["identity_id", "punch_in"]).status_code == 400


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            "full",
            {
                "pagination": {
                    "page": 1,
                    "limit": 10,
                    "total_records": 17,
                    "total_pages": 2,
                    "has_next": True,
                    "has_previous": False,
                }
            },
        ),
        (
            "renamed",
            {"pagination": {"current_page": 1, "per_page": 10, "total": 17, "last_page": 2}},
        ),
        ("has_next", {"pagination": {"has_next": True}}),
        ("total_pages", {"pagination": {"total_pages": 2}}),
        (
            "top_level",
            {
                "page": 1,
                "limit": 10,
                "total_records": 17,
                "total_pages": 2,
                "has_next": True,
                "has_previous": False,
            },
        ),
        ("absent", {}),
    ],
)
def test_metadata_has_the_shape_that_was_chosen(visit: Visit, shape: Any, expected: Row) -> None:
    answer = visit(Variant(shape)).ask(SATURDAY, limit=10).json()
    assert len(answer.pop("data")) == 10
    assert answer == expected


def test_the_last_page_knows_that_it_is_the_last(visit: Visit) -> None:
    answer = visit(Variant("top_level")).ask(SATURDAY, limit=10, page=2).json()
    assert (len(answer["data"]), answer["has_next"], answer["has_previous"]) == (7, False, True)


def test_totals_can_be_text(visit: Visit) -> None:
    pagination = visit(Variant(totals_as_text=True)).ask(SATURDAY, limit=10).json()["pagination"]
    assert (pagination["total_records"], pagination["total_pages"], pagination["has_next"]) == (
        "17",
        "2",
        True,
    )


@pytest.mark.parametrize(
    ("zero", "status", "count"),
    [("all", 200, 150), ("refuse_400", 400, None), ("refuse_200", 200, None), ("fifty", 200, 50)],
)
def test_limit_zero_means_what_was_chosen(
    visit: Visit, zero: Any, status: int, count: int | None
) -> None:
    answer = visit(Variant(zero=zero)).ask(MONDAY, dt.date(2026, 6, 9))
    assert answer.status_code == status
    if count:
        rows = answer.json()["data"]
        assert len(rows) == count if zero == "fifty" else len(rows) >= count
    elif status == 200:
        assert answer.json()["status"] is False
        assert "data" not in answer.json()


@pytest.mark.parametrize("limit", [0, 18, 500])
def test_a_cap_is_silent(visit: Visit, limit: int) -> None:
    assert len(visit(Variant(cap=17)).ask(limit=limit).json()["data"]) == 17


@pytest.mark.parametrize(
    ("past_end", "status", "count"), [("empty", 200, 0), ("last_page", 200, 7), ("404", 404, None)]
)
def test_a_page_past_the_end_is_answered_as_chosen(
    visit: Visit, past_end: Any, status: int, count: int | None
) -> None:
    answer = visit(Variant(past_end=past_end)).ask(SATURDAY, page=3, limit=10)
    assert (answer.status_code, len(answer.json()["data"]) if status == 200 else None) == (
        status,
        count,
    )


def test_shuffled_rows_differ_between_walks_but_not_within_one(visit: Visit) -> None:
    visitor = visit(Variant(order="shuffled", cap=5))
    walks = [[row["identity_id"] for row in visitor.walk(SATURDAY)] for _ in range(2)]
    assert walks[0] != walks[1]
    assert sorted(walks[0]) == sorted(walks[1])
    assert [len(walk) for walk in walks] == [17, 17]


def test_unstable_ties_lose_people_between_pages(visit: Visit) -> None:
    visitor = visit(Variant(order="unstable"))
    for _ in range(5):
        pages = [visitor.ask(SATURDAY, page=page, limit=5).json()["data"] for page in range(1, 5)]
        assert sum(map(len, pages)) == 17
        if len({row["identity_id"] for page in pages for row in page}) < 17:
            return
    pytest.fail("five walks over unstable ties and nobody was lost")


@pytest.mark.parametrize("counted", [False, True])
def test_duplicates_are_identical_and_counted_as_chosen(visit: Visit, counted: bool) -> None:
    answer = (
        visit(Variant(duplicate_every=5, totals_count_duplicates=counted, durations="mixed"))
        .ask(SATURDAY)
        .json()
    )
    assert len(answer["data"]) == 21
    assert len({json.dumps(row) for row in answer["data"]}) == 17
    assert answer["pagination"]["total_records"] == (21 if counted else 17)


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("h_mm_ss", r"\d+:\d\d:\d\d"),
        ("mm_ss", r"([1-9]\d*:)?\d\d:\d\d"),
        ("seconds", r"\d+"),
        ("seconds_text", r'"\d+"'),
    ],
)
def test_durations_have_the_form_that_was_chosen(visit: Visit, form: Any, pattern: str) -> None:
    rows = visit(Variant(durations=form)).ask(MONDAY, SATURDAY).json()["data"]
    written = {json.dumps(row["online_duration"]) for row in rows} | {
        json.dumps(row["neutral_duration"]) for row in rows
    }
    written.discard('"-"')
    assert all(
        re.fullmatch(pattern, text if "seconds" in form else text.strip('"')) for text in written
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [("null", None), *[(text, text) for text in NOTHING[1:]], ("absent", "gone")],
)
def test_nothing_has_the_form_that_was_chosen(
    visit: Visit, form: Any, expected: str | None
) -> None:
    rows = visit(Variant(nothing=form)).ask().json()["data"]
    assert {row.get("punch_out_location", "gone") for row in rows} == {expected}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("blank", "2026-06-01 09:{}:07"),
        ("t", "2026-06-01T09:{}:07"),
        ("offset", "2026-06-01T09:{}:07+05:30"),
        ("utc", "2026-06-01T0"),
    ],
)
def test_punches_have_the_form_that_was_chosen(visit: Visit, form: Any, expected: str) -> None:
    visitor = visit(Variant(punches=form))
    person = next(
        row
        for row in visitor.server.truth(MONDAY, MONDAY)
        if row["punch_in"] and row["shift_name"] == "Day"
    )
    rows = visitor.ask().json()["data"]
    written = next(row["punch_in"] for row in rows if row["identity_id"] == person["identity_id"])
    assert written.startswith(expected.format(f"{person['punch_in']:%M}"))
    assert written.endswith("Z") == (form == "utc")
    assert _typed(written, "punch_in") == person["punch_in"]


def test_numbers_can_be_text_and_a_column_can_come_unasked(visit: Visit) -> None:
    visitor = visit(Variant(numbers="text", extra_column=True))
    visitor.columns = ["identity_id", "key_presses"]
    rows = visitor.ask().json()["data"]
    assert {type(row["key_presses"]) for row in rows} == {str}
    assert {tuple(row) for row in rows} == {("row_colour_hint", "key_presses", "identity_id")}


def test_mixed_forms_meet_in_one_column(visit: Visit) -> None:
    rows = (
        visit(Variant(durations="mixed", punches="mixed", nothing="mixed"))
        .ask(MONDAY, SATURDAY)
        .json()["data"]
    )
    assert {type(row.get("online_duration")) for row in rows} >= {int, str}
    assert {str(row.get("punch_in"))[10:11] for row in rows} >= {" ", "T"}
    assert {row.get("punch_out_location", "gone") for row in rows} == {*NOTHING, "gone"}


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
def test_what_the_documents_do_not_name_is_refused(visit: Visit, changes: Row) -> None:
    answer = visit().ask(**changes)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain")


def test_short_dates_can_be_allowed(visit: Visit) -> None:
    answer = visit(Variant(require_long_dates=False)).ask(
        start_date="2026-06-06", end_date="2026-06-06"
    )
    assert len(answer.json()["data"]) == 17


def test_filters_leave_only_whom_they_name(visit: Visit) -> None:
    visitor = visit()
    company, everybody = visitor.server.company, visitor.server.truth(SATURDAY, SATURDAY)
    two = [everybody[0]["identity_id"], everybody[5]["identity_id"]]
    assert [
        row["identity_id"] for row in visitor.ask(SATURDAY, user_id=",".join(two)).json()["data"]
    ] == two
    assert {
        row["group_name"]
        for row in visitor.ask(SATURDAY, group_id=company.groups[1]).json()["data"]
    } == {"कताई"}
    assert {
        row["shift_name"] for row in visitor.ask(SATURDAY, shift=[company.shifts[1]]).json()["data"]
    } == {"Night"}


@pytest.mark.parametrize(
    ("errors", "kind", "status"),
    [
        ("plain", "text/plain", 400),
        ("html", "text/html", 400),
        ("json", "application/json", 400),
        ("status_false", "application/json", 200),
    ],
)
def test_errors_have_the_body_that_was_chosen(
    visit: Visit, errors: Any, kind: str, status: int
) -> None:
    answer = visit(Variant(errors=errors)).ask(mode="weekly")
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, kind)
    assert "mode: summary or detailed" in answer.text


def test_the_tenant_header_is_needed_unless_told_otherwise(visit: Visit) -> None:
    for required, status in ((True, 400), (False, 200)):
        visitor = visit(Variant(require_tenant=required))
        visitor.grant(LOGIN)
        body = {
            "start_date": f"{MONDAY}T00:00:00",
            "end_date": f"{MONDAY}T23:59:59",
            "mode": "detailed",
            "columns": ["punch_in"],
        }
        headers = {"Authorization": f"Bearer {visitor.tokens['access_token']}"}
        assert visitor.http.post(REPORT, json=body, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"password": "x"}, 400, "invalid_grant"),
        ({"username": "x"}, 400, "invalid_grant"),
        ({"username": None}, 401, "invalid_request"),
        ({"client_id": "x"}, 401, "invalid_client"),
        ({"scope": "openid"}, 400, "invalid_request"),
        ({"client_secret": "x"}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"username": [USERNAME, USERNAME]}, 400, "invalid_request"),
    ],
)
def test_a_login_form_must_be_just_so(visit: Visit, changes: Row, status: int, error: str) -> None:
    visitor = visit()
    answer = visitor.grant(
        {name: value for name, value in {**LOGIN, **changes}.items() if value is not None}
    )
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert (visitor.server.logins, visitor.server.live_sessions) == (0, 0)


def test_a_login_as_json_is_no_login(visit: Visit) -> None:
    visitor = visit()
    assert visitor.http.post(f"{REALM}/token", json=LOGIN).status_code == 400
    form, kind = urllib.parse.urlencode(LOGIN), {"Content-Type": "application/json"}
    assert visitor.http.post(f"{REALM}/token", content=form, headers=kind).status_code == 400
    assert visitor.http.post("/realms/other/protocol/openid-connect/token", data=LOGIN).json() == {
        "error": "Realm does not exist"
    }
    assert visitor.http.get(REPORT).status_code == 404


@pytest.mark.parametrize(
    ("form", "expected"),
    [("number", (36_000, 0)), ("text", ("36000", "0")), ("zero", (0, 0)), ("absent", (None, None))],
)
def test_lifetimes_are_told_as_chosen(
    visit: Visit, form: Any, expected: tuple[object, object]
) -> None:
    tokens = visit(Variant(expires_in=form)).grant(LOGIN).json()
    assert (tokens.get("expires_in"), tokens.get("refresh_expires_in")) == expected


def test_tokens_are_jwts_or_not(visit: Visit) -> None:
    token = visit().grant(LOGIN).json()["access_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["exp"] - claims["iat"], claims["azp"]) == (36_000, CUSTOMER_ID)
    assert "." not in visit(Variant(jwt=False)).grant(LOGIN).json()["access_token"]


def test_a_refreshed_session_is_still_one_session_until_it_is_logged_out(visit: Visit) -> None:
    visitor = visit()
    visitor.grant(LOGIN)
    first = visitor.tokens["refresh_token"]
    assert visitor.refresh().status_code == 200
    assert visitor.refresh(first).status_code == 200
    assert (visitor.server.logins, visitor.server.refreshes, visitor.server.live_sessions) == (
        1,
        2,
        1,
    )
    assert visitor.logout().status_code == visitor.logout().status_code == 204
    assert (visitor.server.logouts, visitor.server.live_sessions) == (1, 0)
    assert visitor.refresh().json()["error_description"] == "Offline user session not found"
    assert visitor.ask().status_code == 401


def test_under_rotation_a_token_used_twice_ends_the_session_for_its_winner_too(
    visit: Visit,
) -> None:
    visitor = visit("rotating")
    visitor.grant(LOGIN)
    first = visitor.tokens["refresh_token"]
    assert visitor.refresh().status_code == 200
    assert (
        visitor.refresh(first).json()["error_description"]
        == "Maximum allowed refresh token reuse exceeded"
    )
    assert visitor.refresh().json()["error_description"] == "Session doesn't have required client"
    assert visitor.server.live_sessions == 0


def test_tokens_age_by_the_clock_that_was_handed_in(visit: Visit) -> None:
    now = [1_780_000_000.0]
    visitor = visit("rotating", clock=lambda: now[0])
    assert visitor.ask().status_code == 200
    now[0] += 59.0
    assert visitor.ask().status_code == 200
    now[0] += 1.0
    assert visitor.ask().status_code == 401
    assert visitor.refresh().json()["error_description"] == "Token is not active"
    assert visitor.server.live_sessions == 0


def test_each_fault_of_the_rough_day_strikes_once(visit: Visit) -> None:
    visitor = visit("rough")
    answers = [visitor.ask() for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200, 503, 200, 429, 200, 200, 200, 401]
    assert answers[3].headers["retry-after"] == "1"
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answers[5].json()
    assert visitor.ask().status_code == 401
    visitor.refresh()
    assert visitor.ask().status_code == 200
    assert visitor.server.data_requests == 10


def test_an_answer_can_be_cut_off_or_slow(visit: Visit) -> None:
    visitor = visit(Variant(faults=((1, "cut_off"), (2, "slow")), slow_seconds=0.3))
    with pytest.raises(httpx.RemoteProtocolError):
        visitor.ask()
    assert visitor.ask().elapsed >= dt.timedelta(seconds=0.3)


def test_an_account_that_may_see_nobody_gets_success_and_metadata(visit: Visit) -> None:
    answer = visit("empty_scope").ask()
    assert (
        answer.status_code,
        answer.json()["data"],
        answer.json()["pagination"]["total_records"],
    ) == (200, [], 0)


def test_requests_are_written_down_without_secrets(visit: Visit) -> None:
    visitor = visit()
    visitor.ask(SUNDAY, limit=7)
    login, data = visitor.server.requests
    assert (login["path"], login["grant_type"], login["status"]) == (
        f"{REALM}/token",
        "password",
        200,
    )
    assert (data["path"], data["limit"], data["start_date"], data["status"]) == (
        REPORT,
        7,
        "2026-06-07T00:00:00",
        200,
    )
    assert {"authorization", "x-tenant-id"} <= set(data["headers"])
    written = json.dumps(visitor.server.requests)
    assert not any(
        secret in written for secret in (PASSWORD, USERNAME, visitor.tokens["access_token"])
    )


def test_the_server_is_gone_after_its_scene() -> None:
    with ForeignServer() as server, httpx.Client(verify=False) as http:
        assert http.get(server.url).status_code == 404
    with pytest.raises(httpx.ConnectError), httpx.Client(verify=False) as http:
        http.get(server.url)


def test_it_runs_by_itself() -> None:
    command = [
        sys.executable,
        "-m",
        "support.foreign_server",
        "--port",
        "0",
        "--variant",
        "capped",
        "--days",
        "2",
    ]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        with httpx.Client(base_url=told["url"], verify=False) as http:
            form = {
                "client_id": told["customer_id"],
                "username": told["username"],
                "password": told["password"],
            }
            assert (
                http.post(f"{REALM}/token", data={**form, "grant_type": "password"}).json()[
                    "expires_in"
                ]
                == "36000"
            )
    finally:
        process.terminate()
        process.communicate()
