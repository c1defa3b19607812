"""The API side, asked by a client that knows only the documents."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter

import pytest

from airflow_provider_we360.sandbox.company import COLUMNS, PER_DAY_COLUMNS
from simulator.app import Account

MONDAY = dt.date(2026, 4, 6)


def ids(answer) -> list[str]:
    return [row["identity_id"] for row in answer.json()["data"]]


def test_all_rows_of_a_day_come_in_one_answer_with_limit_0(caller) -> None:
    truth = caller.sandbox.company.rows(MONDAY, MONDAY)
    answer = caller.report()
    assert [row["identity_id"] for row in truth] == ids(answer)
    assert {
        "page": 1,
        "limit": 0,
        "total_records": len(truth),
        "total_pages": 1,
        "has_next": False,
        "has_previous": False,
    } == answer.json()["pagination"]


def test_a_row_holds_exactly_the_requested_columns(caller) -> None:
    rows = caller.report(columns=["identity_id", "keka_department", "punch_in"]).json()["data"]
    assert {tuple(row) for row in rows} == {("identity_id", "keka_department", "punch_in")}


def test_both_forms_of_a_date_mean_the_same_days(caller) -> None:
    long, plain = caller.report(), caller.report(start_date="2026-04-06", end_date="2026-04-06")
    assert long.json() == plain.json()


def test_a_walk_over_pages_meets_every_row_once(caller) -> None:
    token, seen, page = caller.tokens()["access_token"], [], 1
    while True:
        answer = caller.report(token, page=page, limit=7, end_date="2026-04-08")
        seen += [(row["attendance_date"], row["identity_id"]) for row in answer.json()["data"]]
        if not answer.json()["pagination"]["has_next"]:
            break
        page += 1
    truth = caller.sandbox.company.rows(MONDAY, dt.date(2026, 4, 8))
    assert [(row["attendance_date"].isoformat(), row["identity_id"]) for row in truth] == seen
    assert answer.json()["pagination"]["has_previous"] is True
    assert answer.json()["pagination"]["total_pages"] == page


def test_summary_is_one_row_a_person(caller) -> None:
    columns = [name for name in COLUMNS if name not in PER_DAY_COLUMNS]
    answer = caller.report(mode="summary", columns=columns, end_date="2026-04-10")
    assert (
        len(set(ids(answer)))
        == len(ids(answer))
        == len(caller.sandbox.company.rows(MONDAY, dt.date(2026, 4, 10), "summary"))
    )


@pytest.mark.parametrize("what", ["group_id", "user_id", "shift"])
def test_a_filter_takes_several_ids_and_lets_only_theirs_through(caller, what: str) -> None:
    company = caller.sandbox.company
    two = {
        "group_id": [group.id for group in company.groups[:2]],
        "user_id": [person.identity_id for person in company.people[:2]],
        "shift": [shift.id for shift in company.shifts[1:3]],
    }[what]
    of = {
        "group_id": lambda p: p.group and p.group.id,
        "user_id": lambda p: p.identity_id,
        "shift": lambda p: p.shift.id,
    }[what]
    theirs = {p.identity_id for p in company.people if of(p) in two}
    everybody = caller.report(end_date="2026-04-09")
    answer = caller.report(
        end_date="2026-04-09", **{what: two if what == "shift" else ",".join(two)}
    )
    assert [key for key in ids(everybody) if key in theirs] == ids(answer) != []


def test_accounts_get_only_the_people_they_see(
    sandbox_with,
) -> None:
    caller = sandbox_with(
        more_accounts=(
            Account("lead@example.com", "canary-lead", ("Engineering",)),
            Account("nobody@example.com", "canary-none", ()),
        )
    )
    lead = caller.login(username="lead@example.com", password="canary-lead").json()["access_token"]
    nobody = caller.login(username="nobody@example.com", password="canary-none").json()[
        "access_token"
    ]
    engineers = {
        p.identity_id
        for p in caller.sandbox.company.people
        if p.group and p.group.name == "Engineering"
    }
    assert set(ids(caller.report(lead))) <= engineers
    empty = caller.report(nobody)
    assert (200, []) == (empty.status_code, empty.json()["data"])
    assert empty.json()["pagination"]["total_records"] == 0


@pytest.mark.parametrize(
    ("body", "words", "code"),
    [
        ({"columns": ["identity_id", "shoe_size"]}, "shoe_size", "INVALID_COLUMN"),
        ({"columns": []}, "columns", "VALIDATION_ERROR"),
        ({"columns": "identity_id"}, "columns", "VALIDATION_ERROR"),
        ({"mode": "summary", "columns": ["identity_id", "punch_in"]}, "punch_in", "INVALID_COLUMN"),
        ({"mode": "summary"}, "attendance_date", "INVALID_COLUMN"),
        ({"mode": "monthly"}, "mode", "VALIDATION_ERROR"),
        ({"mode": None}, "mode", "VALIDATION_ERROR"),
        ({"start_date": None}, "start_date", "VALIDATION_ERROR"),
        ({"start_date": "2026-04-06T00:00:00Z"}, "start_date", "VALIDATION_ERROR"),
        ({"start_date": "06/04/2026"}, "start_date", "VALIDATION_ERROR"),
        ({"start_date": "2026-02-30"}, "start_date", "VALIDATION_ERROR"),
        ({"start_date": "2026-04-07"}, "end_date", "VALIDATION_ERROR"),
        ({"page": 0}, "page", "VALIDATION_ERROR"),
        ({"limit": -1}, "limit", "VALIDATION_ERROR"),
        ({"limit": "all"}, "limit", "VALIDATION_ERROR"),
        ({"user_id": str(uuid.UUID(int=7))}, "user_id", "FILTER_VALIDATION_ERROR"),
        ({"group_id": "x"}, "group_id", "FILTER_VALIDATION_ERROR"),
        ({"shift": [str(uuid.UUID(int=7))]}, "shift", "FILTER_VALIDATION_ERROR"),
        ({"shift": {}, "group_id": 7}, "group_id", "FILTER_VALIDATION_ERROR"),
    ],
)
def test_what_is_wrong_is_refused_by_name_with_http_200(
    caller, body: dict, words: str, code: str
) -> None:
    answer = caller.report(**body)
    assert (200, False, code) == (
        answer.status_code,
        answer.json()["status"],
        answer.json()["error_code"],
    )
    assert words in answer.json()["message"]
    assert "data" not in answer.json()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"'])
def test_a_body_that_is_no_object_is_refused(caller, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {caller.tokens()['access_token']}"}
    answer = caller.http.post(
        "/query/external/reports/dynamic_report", content=content, headers=headers
    )
    assert answer.json()["error_code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize(("style", "status"), [("200", 200), ("400", 400), ("422", 422)])
def test_an_error_has_the_status_that_the_switch_says(
    sandbox_with, style: str, status: int
) -> None:
    assert status == sandbox_with(error_style=style).report(columns=["x"]).status_code


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("json", "application/json"),
        ("detail", "application/json"),
        ("plain", "text/plain"),
        ("html", "text/html"),
    ],
)
def test_an_error_has_the_shape_that_the_switch_says(sandbox_with, body: str, kind: str) -> None:
    answer = sandbox_with(error_body=body, error_style="400").report(columns=["shoe_size"])
    assert kind == answer.headers["content-type"].split(";")[0]
    assert "shoe_size" in answer.text


# who may ask


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x.y.z", "Basic abc", "Bearer "])
def test_a_request_without_a_good_token_is_unauthorized(caller, header: str) -> None:
    answer = caller.report("unused", headers={"Authorization": header})
    assert (401, "UNAUTHORIZED") == (answer.status_code, answer.json()["error_code"])
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_refresh_token_opens_no_report(caller) -> None:
    assert caller.report(caller.tokens()["refresh_token"]).status_code == 401


def test_a_token_is_good_until_its_last_second(caller, clock) -> None:
    token = caller.tokens()["access_token"]
    clock.now += 35_999
    assert caller.report(token).status_code == 200
    clock.now += 1
    assert caller.report(token).status_code == 401


@pytest.mark.parametrize(("checks", "status"), [(True, 401), (False, 200)])
def test_after_logout_a_token_is_dead_if_the_api_introspects(
    sandbox_with, checks: bool, status: int
) -> None:
    caller = sandbox_with(api_checks_session=checks)
    tokens = caller.tokens()
    caller.logout(tokens["refresh_token"])
    assert status == caller.report(tokens["access_token"]).status_code


@pytest.mark.parametrize(
    ("switch", "tenant", "status"),
    [
        ("optional", None, 200),
        ("optional", "acme-demo", 200),
        ("optional", "other", 403),
        ("required", None, 403),
        ("required", "acme-demo", 200),
        ("ignored", "other", 200),
    ],
)
def test_the_tenant_header_is_checked_as_the_switch_says(
    sandbox_with, switch: str, tenant: str | None, status: int
) -> None:
    caller = sandbox_with(tenant_header=switch)
    token = caller.tokens()["access_token"]
    headers = {"Authorization": f"Bearer {token}"} | ({"X-Tenant-Id": tenant} if tenant else {})
    body = {
        "start_date": "2026-04-06",
        "end_date": "2026-04-06",
        "mode": "detailed",
        "columns": ["identity_id"],
    }
    assert (
        status
        == caller.http.post(
            "/query/external/reports/dynamic_report", json=body, headers=headers
        ).status_code
    )


def test_every_answer_has_a_request_id_of_its_own(caller) -> None:
    token = caller.tokens()["access_token"]
    assert len({caller.report(token).headers["x-request-id"] for _ in range(3)}) == 3


def test_only_post_reads_a_report(caller) -> None:
    assert caller.http.get("/query/external/reports/dynamic_report").status_code == 405
    assert caller.http.post("/query/reports/dynamic_report").status_code == 404


# what is not known of the real API


@pytest.mark.parametrize(
    ("form", "beside"),
    [
        ("has_next", {"pagination": {"has_next": True}}),
        ("total_pages", {"pagination": {"page": 1, "total_pages": 55}}),
        ("camel", {"pagination": {"page": 1, "totalRecords": 43, "hasNext": True}}),
        ("short", {"pagination": {"page": 1, "per_page": 10, "total": 43}}),
        ("top_level", {"total_records": 43, "page": 1, "limit": 10}),
        ("null", {"pagination": None}),
        ("absent", {}),
    ],
)
def test_the_pagination_has_every_form(sandbox_with, form: str, beside: dict) -> None:
    caller = sandbox_with(pagination=form)
    content = caller.report(limit=10).json()
    total = len(caller.sandbox.company.rows(MONDAY, MONDAY))
    told = json.loads(
        json.dumps(beside).replace("43", str(total)).replace("55", str(-(-total // 10)))
    )
    assert len(content.pop("data")) == 10
    assert told == content


def test_totals_can_be_text_or_wrong_or_drift(sandbox_with) -> None:
    text = sandbox_with(totals_as_text=True)
    assert text.report().json()["pagination"]["total_records"].isdigit()
    wrong = sandbox_with(total_offset=3).report().json()
    assert len(wrong["data"]) + 3 == wrong["pagination"]["total_records"]
    drifting = sandbox_with(total_drift=2)
    totals = [drifting.report().json()["pagination"]["total_records"] for _ in range(3)]
    assert [totals[0], totals[0] + 2, totals[0] + 4] == totals


def test_a_cap_cuts_the_answer_and_may_hide_it(sandbox_with) -> None:
    open_cap, hidden = (
        sandbox_with(cap=10).report().json(),
        sandbox_with(cap=10, cap_hidden=True).report().json(),
    )
    assert (10, True) == (len(open_cap["data"]), open_cap["pagination"]["has_next"])
    assert (10, False, 10) == (
        len(hidden["data"]),
        hidden["pagination"]["has_next"],
        hidden["pagination"]["total_records"],
    )


def test_limit_0_can_be_refused_or_taken_for_the_default(sandbox_with) -> None:
    assert "limit" in sandbox_with(zero_limit="refused").report().json()["message"]
    assert len(sandbox_with(zero_limit="default", default_limit=5).report().json()["data"]) == 5


def test_past_the_end_is_empty_or_the_last_page_again_or_refused(sandbox_with) -> None:
    asked = {"limit": 10, "page": 99}
    assert sandbox_with().report(**asked).json()["data"] == []
    clamped = sandbox_with(past_end="clamped")
    last = clamped.report(**asked).json()
    assert (
        last["data"]
        == clamped.report(limit=10, page=last["pagination"]["total_pages"]).json()["data"]
        != []
    )
    assert "page" in sandbox_with(past_end="refused").report(**asked).json()["message"]


def test_orders_differ_and_the_unstable_one_from_itself(sandbox_with) -> None:
    window = {"end_date": "2026-04-08"}
    by_day = sandbox_with().report(**window)
    by_person, shuffled = (
        sandbox_with(order="by_person").report(**window),
        sandbox_with(order="shuffled"),
    )
    unstable = sandbox_with(order="unstable")
    assert ids(by_day) != ids(by_person)
    assert ids(shuffled.report(**window)) == ids(shuffled.report(**window)) != ids(by_day)
    assert ids(unstable.report(**window)) != ids(unstable.report(**window))
    assert Counter(ids(by_day)) == Counter(ids(unstable.report(**window)))


def test_rows_come_and_go_between_pages(sandbox_with) -> None:
    def walk(kind: str) -> list[str]:
        caller = sandbox_with(shift_between_pages=kind)
        return [key for page in (1, 2, 3, 4, 5) for key in ids(caller.report(limit=10, page=page))]

    whole = set(walk("none"))
    assert len(walk("none")) == len(whole)
    assert len(whole - set(walk("delete"))) == 1
    assert max(Counter(walk("insert")).values()) == 2


def test_a_row_can_change_between_pages(sandbox_with) -> None:
    same, moved = (
        sandbox_with().report(limit=10, page=2),
        sandbox_with(shift_between_pages="update").report(limit=10, page=2),
    )
    assert ids(same) == ids(moved)
    assert same.json() != moved.json()


def test_duplicates_may_be_alike_or_differ(sandbox_with) -> None:
    alike = sandbox_with(duplicate_every=5).report().json()["data"]
    differing = sandbox_with(duplicate_every=5, duplicates_differ=True).report().json()["data"]
    distinct = {json.dumps(row) for row in alike}
    assert len(alike) > len(distinct) == len({row["identity_id"] for row in alike})
    assert len({json.dumps(row) for row in differing}) > len(
        {row["identity_id"] for row in differing}
    )


def test_keys_can_be_missing_and_columns_come_and_go(sandbox_with) -> None:
    assert "-" in ids(sandbox_with(null_key_every=4).report())
    assert (
        "active_duration"
        not in sandbox_with(drop_columns=("active_duration",)).report().json()["data"][0]
    )
    assert sandbox_with(extra_columns={"x": [1]}).report().json()["data"][0]["x"] == [1]
    assert (
        "active_duration"
        in sandbox_with(refuse_columns=("active_duration",)).report().json()["message"]
    )


def test_an_answer_can_be_compressed(sandbox_with) -> None:
    answer = sandbox_with(compress=True).report()
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["data"]


def test_a_long_range_can_be_refused(sandbox_with) -> None:
    caller = sandbox_with(max_days=7)
    assert "data" in caller.report(end_date="2026-04-12").json()
    assert "7 days" in caller.report(end_date="2026-04-13").json()["message"]


def test_the_day_that_the_sandbox_lives_in_can_move(caller) -> None:
    before = caller.report(start_date="2026-04-14", end_date="2026-04-14").json()
    caller.http.post("/_simulator/today", json={"today": "2026-04-22"})
    assert before != caller.report(start_date="2026-04-14", end_date="2026-04-14").json()


def test_a_switch_that_there_is_not_is_refused_by_name(sandbox_with) -> None:
    with pytest.raises(ValueError, match="pagination"):
        sandbox_with(pagination="upside_down")
