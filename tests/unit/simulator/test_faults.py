"""Every fault by name, and the plan that they stand in."""

from __future__ import annotations

import email.utils
import json

import httpx
import jwt
import pytest

from simulator.faults import FAULTS, FaultPlan
from simulator.refusals import REFUSALS

PLAYED: set[str] = set()
"""Names that a test of this file has seen at work."""


def claims(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


@pytest.fixture
def play(caller):
    """Plans a fault in a fresh sandbox and notes its name."""

    def add(match: str, fault: str, **how):
        PLAYED.add(fault)
        caller.sandbox.faults.add(match, fault, **how)
        return caller

    return add


# the plan


def test_a_fault_happens_as_often_as_planned(caller) -> None:
    caller.sandbox.faults.add("report", "http_503", times=2, retry_after="2")
    token = caller.tokens()["access_token"]
    answers = [caller.report(token) for _ in range(3)]
    assert [503, 503, 200] == [answer.status_code for answer in answers]
    assert answers[0].headers["retry-after"] == "2"
    assert caller.sandbox.faults.pending == []


@pytest.mark.parametrize("always", [None, "always"])
def test_a_fault_can_stay(caller, always) -> None:
    caller.sandbox.faults.add("login", "http_500", times=always)
    assert [500] * 5 == [caller.login().status_code for _ in range(5)]
    caller.sandbox.faults.clear()
    assert caller.login().status_code == 200


def test_a_fault_can_wait_for_a_request_a_page_or_a_day(caller) -> None:
    token = caller.tokens()["access_token"]
    caller.sandbox.faults.add("report", "http_500", after=2)
    assert [200, 200, 500, 200] == [caller.report(token).status_code for _ in range(4)]
    caller.sandbox.faults.add("report", "http_500", page=2)
    assert [200, 500, 200] == [
        caller.report(token, page=page, limit=5).status_code for page in (1, 2, 2)
    ]
    caller.sandbox.faults.add("report", "http_500", day="2026-04-07")
    days = ("2026-04-06", "2026-04-07", "2026-04-08")
    assert [200, 500, 200] == [
        caller.report(token, start_date=day, end_date=day).status_code for day in days
    ]


def test_a_fault_strikes_only_what_it_matches(caller) -> None:
    for match in ("login", "refresh", "logout", "revoke", "report"):
        caller.sandbox.faults.add(match, "http_500", after=1, times=None)
    tokens = caller.tokens()
    calls = {
        "refresh": lambda: caller.refresh(tokens["refresh_token"]),
        "report": lambda: caller.report(tokens["access_token"]),
        "revoke": lambda: caller.post("revoke", token="x"),
        "logout": lambda: caller.logout(tokens["refresh_token"]),
        "login": caller.login,
    }
    assert {"refresh": 200, "report": 200, "revoke": 200, "logout": 204, "login": 500} == {
        name: call().status_code for name, call in calls.items()
    }
    assert [500] * 5 == [call().status_code for call in calls.values()]


def test_token_matches_login_and_refresh_and_any_matches_all(caller) -> None:
    tokens = caller.tokens()
    caller.sandbox.faults.add("token", "http_500", times=2)
    assert [500, 500] == [
        caller.login().status_code,
        caller.refresh(tokens["refresh_token"]).status_code,
    ]
    caller.sandbox.faults.add("any", "http_500", times=2)
    assert [500, 500] == [
        caller.report(tokens["access_token"]).status_code,
        caller.login().status_code,
    ]


def test_rules_play_in_the_order_they_were_given(caller) -> None:
    caller.sandbox.faults.add("login", "http_500")
    caller.sandbox.faults.add("login", "http_503")
    assert [500, 503, 200] == [caller.login().status_code for _ in range(3)]


def test_chance_comes_from_the_seed(sandbox_with) -> None:
    def run(seed: int) -> list[int]:
        caller = sandbox_with(seed=seed)
        caller.sandbox.faults.add("login", "http_500", times=None, probability=0.5)
        return [caller.login().status_code for _ in range(30)]

    assert run(1) == run(1) != run(2)
    assert set(run(1)) == {200, 500}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"match": "report", "fault": "http_599"}, "http_599"),
        ({"match": "rapport", "fault": "http_500"}, "rapport"),
        ({"match": "report", "fault": "http_500", "retry": 3}, "retry"),
        ({"match": "report", "fault": "variant", "paginatoin": "absent"}, "paginatoin"),
        ({"match": "report", "fault": "variant", "pagination": "upside_down"}, "upside_down"),
        ({"match": "report"}, "fault"),
        ("http_500", "list of objects"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_whole_and_by_name(rule, words: str) -> None:
    faults = FaultPlan()
    with pytest.raises(ValueError, match=words):
        faults.load([{"match": "login", "fault": "http_500"}, rule])
    assert faults.as_json() == []


def test_a_plan_can_be_told_as_json() -> None:
    faults = FaultPlan()
    faults.load(
        json.loads(
            '[{"match": "report", "fault": "http_429", "times": "always", "args": {"retry_after": 7}}]'
        )
    )
    assert faults.as_json() == [
        {
            "match": "report",
            "fault": "http_429",
            "times": None,
            "after": 0,
            "played": 0,
            "retry_after": 7,
        }
    ]


def test_a_fault_leaves_its_mark_in_the_ledger(caller) -> None:
    token = caller.tokens()["access_token"]
    caller.sandbox.faults.add("report", "http_503")
    caller.report(token)
    caller.report(token)
    assert ["http_503", None] == [request.fault for request in caller.sandbox.request_log.requests]
    assert caller.sandbox.request_log.counts["faults_played"] == 1


# the identity side


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_of_keycloak_can_be_had_at_will(play, name: str) -> None:
    expected = REFUSALS[name].answer((26, 5))
    answer = play("token", name).login()
    PLAYED.add(name)
    assert expected.status == answer.status_code
    assert expected.json()["error"] == answer.json()["error"]
    assert "{" not in answer.json().get("error_description", "")


def test_only_a_refusal_counts_as_a_failed_login(play) -> None:
    caller = play("login", "wrong_password")
    play("login", "http_503")
    caller.login()
    caller.login()
    assert caller.sandbox.request_log.counts["logins_refused"] == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("sessions_end", "Offline user session not found"),
        ("sessions_expire", "Offline session not active"),
        ("sessions_detach", "Session doesn't have required client"),
        ("not_before_push", "Stale token"),
        ("account_becomes", "User disabled"),
    ],
)
def test_the_world_can_change_between_two_requests(play, caller, fault: str, words: str) -> None:
    token = caller.tokens()["refresh_token"]
    play("refresh", fault)
    assert words == caller.refresh(token).json()["error_description"]


def test_a_session_can_end_while_a_report_is_asked_for(play, caller) -> None:
    token = caller.tokens()["access_token"]
    play("report", "sessions_end")
    assert caller.report(token).status_code == 401


def test_a_password_can_change_and_sessions_live_on(play, caller) -> None:
    token = caller.tokens()["refresh_token"]
    play("login", "password_changes")
    assert [401, 200] == [caller.login().status_code, caller.refresh(token).status_code]


def test_a_refresh_can_be_carried_out_and_its_answer_lost(sandbox_with) -> None:
    PLAYED.add("committed_then_500")
    caller = sandbox_with(rotation=True)
    token = caller.tokens()["refresh_token"]
    caller.sandbox.faults.add("refresh", "committed_then_500")
    answer = caller.refresh(token)
    assert (500, "unknown_error") == (answer.status_code, answer.json()["error"])
    assert (
        caller.refresh(token).json()["error_description"]
        == "Maximum allowed refresh token reuse exceeded"
    )


@pytest.mark.parametrize(
    ("fault", "how", "seen"),
    [
        ("no_refresh_token", {}, lambda c: "refresh_token" not in c),
        ("no_expires_in", {}, lambda c: "expires_in" not in c),
        ("no_refresh_expires_in", {}, lambda c: "refresh_expires_in" not in c),
        ("no_access_token", {}, lambda c: "access_token" not in c),
        ("expires_in", {}, lambda c: c["expires_in"] == 0),
        ("expires_in", {"value": "36000"}, lambda c: c["expires_in"] == "36000"),
        ("expires_in", {"value": -1}, lambda c: c["expires_in"] == -1),
        ("refresh_expires_in", {"value": 1800}, lambda c: c["refresh_expires_in"] == 1800),
        ("extra_fields", {}, lambda c: "x_new" in c),
        ("token_type_lower", {}, lambda c: c["token_type"] == "bearer"),
        ("not_a_jwt", {}, lambda c: "." not in c["access_token"]),
        ("big_jwt", {}, lambda c: len(c["access_token"]) > 12_000),
        ("jwt_without_exp", {}, lambda c: "exp" not in claims(c["access_token"])),
        (
            "shorter_life",
            {},
            lambda c: (
                c["expires_in"]
                == 300
                == claims(c["access_token"])["exp"] - claims(c["access_token"])["iat"]
            ),
        ),
    ],
)
def test_a_granted_answer_can_have_a_strange_shape(play, fault: str, how: dict, seen) -> None:
    answer = play("login", fault, **how).login()
    assert answer.status_code == 200
    assert seen(answer.json())


def test_a_servers_clock_can_be_off_in_token_and_date(play, clock) -> None:
    answer = play("login", "clock_off", seconds=-600).login()
    assert claims(answer.json()["access_token"])["iat"] == int(clock.now) - 600
    assert email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp() == clock.now - 600


# any server, any proxy


@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 413, 422, 429, 500, 501, 502, 503, 504])
def test_every_status_can_be_had(play, caller, code: int) -> None:
    token = caller.tokens()["access_token"]
    assert code == play("report", f"http_{code}").report(token).status_code


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_an_ingress_answers_in_html(play, code: int) -> None:
    answer = play("login", f"html_{code}").login()
    assert (code, "text/html") == (answer.status_code, answer.headers["content-type"].split(";")[0])
    assert answer.text.startswith("<html>")


@pytest.mark.parametrize("form", ["json", "oauth", "plain", "html", "empty"])
def test_a_status_has_several_shapes(play, form: str) -> None:
    answer = play("login", "http_503", form=form).login()
    assert answer.status_code == 503
    assert (form == "empty") == (answer.content == b"")


def test_too_many_requests_tell_when_to_come_back_in_every_form(play, clock) -> None:
    caller = play("login", "http_429", retry_after=7)
    play("login", "http_429", retry_after_date_s=60)
    play("login", "http_429", reset_epoch_s=90)
    play("login", "http_429")
    seconds, date, epoch, silent = (caller.login() for _ in range(4))
    assert {"error": "too_many_requests"} == seconds.json()
    assert seconds.headers["retry-after"] == "7"
    assert (
        email.utils.parsedate_to_datetime(date.headers["retry-after"]).timestamp() == clock.now + 60
    )
    assert int(epoch.headers["x-ratelimit-reset"]) == clock.now + 90
    assert {"retry-after", "x-ratelimit-reset"} & set(silent.headers) == set()


def test_a_redirect_leads_to_where_no_token_may_go(play) -> None:
    answer = play("login", "redirect").login()
    assert (302, "https://login.example.net/maintenance") == (
        answer.status_code,
        answer.headers["location"],
    )


@pytest.mark.parametrize(
    ("fault", "how", "seen"),
    [
        ("html_200", {}, lambda a: a.text.startswith("<!DOCTYPE html>")),
        ("empty_200", {}, lambda a: a.content == b""),
        ("truncated_json", {}, lambda a: a.text.startswith('{"data"') and not a.text.endswith("}")),
        ("other_json", {"content": [1]}, lambda a: a.json() == [1]),
        (
            "wrong_content_type",
            {},
            lambda a: a.json()["data"] and a.headers["content-type"] == "text/html",
        ),
        ("not_utf8", {}, lambda a: a.content[:2] in {b"\xff\xfe", b"\xfe\xff"}),
    ],
)
def test_http_200_does_not_mean_that_all_is_well(play, caller, fault: str, how: dict, seen) -> None:
    token = caller.tokens()["access_token"]
    answer = play("report", fault, **how).report(token)
    assert answer.status_code == 200
    assert seen(answer)


@pytest.mark.parametrize("fault", ["gzip_junk", "gzip_cut"])
def test_what_is_said_to_be_gzip_may_not_be(play, caller, fault: str) -> None:
    token = caller.tokens()["access_token"]
    play("report", fault)
    try:
        content = caller.report(token).content
    except httpx.DecodingError:
        content = b""
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(content.decode("utf-8", "replace"))


def test_a_bomb_is_good_gzip_a_thousandth_of_what_it_unpacks_to(play, caller) -> None:
    play("report", "gzip_bomb", mebibytes=3)
    answer = caller.report(caller.tokens()["access_token"])
    assert answer.content == bytes(3 * 2**20)
    assert answer.num_bytes_downloaded < 2**20 // 256


def test_an_answer_can_call_itself_packed_in_another_way(play, caller) -> None:
    # Not zstd or br: httpx decodes those if their packages happen to be installed.
    play("report", "other_packing", encoding="compress")
    response = caller.report(caller.tokens()["access_token"])
    assert response.headers["content-encoding"] == "compress"


def test_an_answer_can_be_late(play, clock) -> None:
    play("login", "delay", seconds=30).login()
    assert clock.slept == [30]


@pytest.mark.parametrize(
    ("fault", "error", "granted"),
    [
        ("reset", httpx.ReadError, 0),
        ("reset_after_commit", httpx.ReadError, 1),
        ("close", httpx.ReadError, 0),
        ("close_after_commit", httpx.ReadError, 1),
        ("cut_off", httpx.RemoteProtocolError, 1),
        ("not_http", httpx.RemoteProtocolError, 0),
    ],
)
def test_a_connection_fault_looks_the_same_in_process(
    play, fault: str, error: type, granted: int
) -> None:
    caller = play("login", fault)
    with pytest.raises(error):
        caller.login()
    assert granted == caller.sandbox.request_log.counts["logins_ok"]


def test_in_process_an_answer_that_drips_comes_whole(play) -> None:
    assert play("login", "drip").login().status_code == 200


# reports


def test_a_refusal_comes_in_the_style_that_the_switches_say(play, caller) -> None:
    token = caller.tokens()["access_token"]
    answer = play("report", "refusal", message="no such thing", error_code="X").report(token)
    assert (200, {"status": False, "message": "no such thing", "error_code": "X"}) == (
        answer.status_code,
        answer.json(),
    )


def test_any_switch_can_be_turned_for_one_request(play, caller) -> None:
    token = caller.tokens()["access_token"]
    play("report", "variant", pagination="absent", durations="seconds")
    strange, usual = caller.report(token).json(), caller.report(token).json()
    assert "pagination" not in strange
    assert "pagination" in usual
    assert {int} == {
        type(row["active_duration"]) for row in strange["data"] if row["active_duration"] != "-"
    }


def keys(content: dict) -> list[str]:
    return [row["identity_id"] for row in content["data"]]


@pytest.mark.parametrize(
    ("fault", "how", "seen"),
    [
        ("no_rows", {}, lambda c, whole: (c["data"], c["pagination"]["total_records"]) == ([], 0)),
        (
            "rows_missing",
            {"count": 2},
            lambda c, whole: len(c["data"]) == c["pagination"]["total_records"] - 2,
        ),
        (
            "total_wrong",
            {"by": -1},
            lambda c, whole: c["pagination"]["total_records"] == len(c["data"]) - 1,
        ),
        (
            "total_as_text",
            {},
            lambda c, whole: c["pagination"]["total_records"] == str(len(c["data"])),
        ),
        ("total_missing", {}, lambda c, whole: "pagination" not in c),
        (
            "total_drifts",
            {"by": 1},
            lambda c, whole: c["pagination"]["total_records"] == len(c["data"]) + 1,
        ),
        (
            "limit_capped",
            {"rows": 9},
            lambda c, whole: len(c["data"]) == 9 and c["pagination"]["has_next"],
        ),
        (
            "limit_capped_hidden",
            {"rows": 9},
            lambda c, whole: len(c["data"]) == 9 == c["pagination"]["total_records"],
        ),
        (
            "zero_limit_refused",
            {},
            lambda c, whole: c["status"] is False and "limit" in c["message"],
        ),
        (
            "unstable_order",
            {},
            lambda c, whole: keys(c) != keys(whole) and sorted(keys(c)) == sorted(keys(whole)),
        ),
        (
            "duplicate_rows",
            {"every": 5},
            lambda c, whole: len(keys(c)) > len(set(keys(c))) == len(keys(whole)),
        ),
        (
            "differing_duplicates",
            {"every": 5},
            lambda c, whole: len({json.dumps(r) for r in c["data"]}) > len(keys(whole)),
        ),
        ("null_keys", {"every": 5}, lambda c, whole: "-" in keys(c)),
        ("rows_inserted", {}, lambda c, whole: keys(c) == keys(whole)[1:]),
        ("column_missing", {}, lambda c, whole: "active_duration" not in c["data"][0]),
        ("column_refused", {}, lambda c, whole: "active_duration" in c["message"]),
        ("column_new", {}, lambda c, whole: c["data"][0]["x_new"] == "new"),
        (
            "type_flip",
            {},
            lambda c, whole: "25:61:7x" in {row["active_duration"] for row in c["data"]},
        ),
    ],
)
def test_rows_and_totals_can_be_wrong_in_many_ways(
    play, caller, fault: str, how: dict, seen
) -> None:
    token = caller.tokens()["access_token"]
    whole = caller.report(token).json()
    assert seen(play("report", fault, **how).report(token).json(), whole)
    assert whole == caller.report(token).json()


@pytest.mark.parametrize("fault", ["rows_deleted", "rows_updated"])
def test_later_pages_can_have_moved(play, caller, fault: str) -> None:
    token = caller.tokens()["access_token"]
    usual = caller.report(token, limit=10, page=2).json()
    assert usual != play("report", fault).report(token, limit=10, page=2).json()


def test_past_the_end_the_last_page_can_come_again(play, caller) -> None:
    token = caller.tokens()["access_token"]
    assert play("report", "past_end_clamped").report(token, limit=10, page=50).json()["data"] != []


def test_json_can_hold_what_is_no_number(play, caller) -> None:
    token = caller.tokens()["access_token"]
    assert (
        "NaN"
        in play("report", "not_a_number")
        .report(token, columns=["identity_id", "active_percent"])
        .text
    )


# the catalogue


def test_every_fault_number_has_a_name_or_is_a_switch() -> None:
    switches = {
        "F3": "login_guard",
        "F17": "rotation_race",
        "F26": "request_log",
        "F29": "today, night_rows_on",
    }
    numbers = {fault.number for fault in FAULTS.values()} | switches.keys()
    assert {f"F{number}" for number in range(1, 30)} - numbers == set()


def test_every_fault_of_the_catalogue_was_played_here(request) -> None:
    """Runs last in this file; alone it has nothing to say."""
    own = {item.name for item in request.session.items if item.path == request.path}
    if len(own) < 100 or request.config.getoption("order") is not None:
        pytest.skip("only part of the file has run")
    assert FAULTS.keys() - PLAYED == set()
