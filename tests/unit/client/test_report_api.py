"""One request, one answer: what counts, what is retried, what must stop."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import httpx
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_we360.client import reports
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.report_api import TRIES, ReportApi, TimedOut
from airflow_provider_we360.client.request_limiter import RequestLimiter
from airflow_provider_we360.client.response import Declined, Refused, TooLarge
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import (
    AccessDenied,
    RetryableApiError,
    ValueDoesNotFit,
)
from support.mini_api import FakeTime, api

REPORT = reports.get("dynamic_report")
DAY = dt.date(2026, 4, 1)
QUERY = Query(
    first_day=DAY,
    last_day=DAY,
    mode="detailed",
    columns=("attendance_date", "identity_id", "online_duration"),
)
ROW = {"attendance_date": "2026-04-01", "identity_id": "a", "online_duration": "1:00:00"}


def report_api(answer, time, stats=None, width=4):
    return ReportApi(
        api(answer),
        REPORT,
        dict(REPORT.columns),
        timezone="Asia/Kolkata",
        timeout_s=60,
        limiter=RequestLimiter(width, clock=time.clock, sleep=time.sleep),
        stats=stats or ReadStats(),
        clock=time.clock,
    )


def ask(*answers, query=QUERY, time=None):
    """The answer to one query of a server that gives these answers in turn, the last one for ever."""
    queue = list(answers)

    def answer(request):
        one = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(one, Exception):
            raise one
        return one(request) if callable(one) else one

    return report_api(answer, time or FakeTime()).fetch(query)


def ok(**fields):
    return httpx.Response(200, json={"data": [ROW], **fields})


def test_the_request_is_what_the_documents_say():
    seen = {}

    def answer(request):
        seen.update(
            path=request.url.path,
            body=json.loads(request.content),
            kind=request.headers["content-type"],
        )
        return ok()

    ask(answer)
    assert seen == {
        "path": "/query/external/reports/dynamic_report",
        "kind": "application/json",
        "body": {
            "start_date": "2026-04-01T00:00:00",
            "end_date": "2026-04-01T23:59:59",
            "mode": "detailed",
            "columns": ["attendance_date", "identity_id", "online_duration"],
            "group_id": "",
            "user_id": "",
            "shift": [],
            "page": 1,
            "limit": 0,
        },
    }


@pytest.mark.parametrize(
    ("fields", "total", "has_next"),
    [
        ({}, None, None),
        ({"pagination": {"total_records": 1, "has_next": False}}, 1, False),
        ({"pagination": {"total_records": "1", "has_next": "false"}}, 1, False),
        ({"pagination": {"totalRecords": 7, "hasNext": True}}, 7, True),
        ({"meta": {"total": 1}}, 1, None),
        ({"total": 1, "meta": None}, 1, None),
        ({"total_count": "12", "has_more": "true"}, 12, True),
        ({"pagination": "none", "total": True}, None, None),
        ({"pagination": {"total_records": -1, "has_next": "perhaps"}}, None, None),
    ],
)
def test_page_metadata_is_read_whatever_it_is_called(fields, total, has_next):
    answer = ask(ok(**fields))
    assert (answer.total, answer.has_next) == (total, has_next)


def test_null_for_data_needs_a_total_of_0():
    assert ask(httpx.Response(200, json={"data": None, "total": 0})).rows.num_rows == 0
    with pytest.raises(RetryableApiError, match="null"):
        ask(httpx.Response(200, json={"data": None}))


@pytest.mark.parametrize(
    "body",
    [
        {"status": 400, "message": "no", "data": []},
        {"statusCode": 422, "data": None, "message": "no"},
        {"status": "ERROR ", "data": None},
        {"status": "nok", "data": []},
        {"error_code": "E1", "data": []},
        {"data": [], "error": "invalid filter"},
        {"data": [ROW], "error": "half of it"},
        {"data": [], "Status": False, "Message": "DB error"},
        {"data": [], "isSuccess": False},
        {"data": [], "success": 0},
        {"data": [], "hasError": True},
        {"data": [], "result": "error"},
        {"data": [], "type": "error"},
        {"data": [], "meta": {"status": False}},
        {"data": [], "message": "Internal Server Error"},
        {"data": [], "fault": {"faultstring": "quota"}},
        {"data": [ROW], "status": "partial"},
    ],
)
def test_an_error_in_any_dress_is_no_empty_day(body):
    with pytest.raises(Declined):
        ask(httpx.Response(200, json=body))


@pytest.mark.parametrize(
    "fields",
    [
        {"status": True},
        {"status": "success"},
        {"status": 200, "message": "OK"},
        {"status": "200", "error": None, "errors": []},
        {"success": True, "error_code": ""},
        {"error": False, "error_code": 0},
        {"status": "fetched"},
    ],
)
def test_a_good_answer_in_any_dress_is_read(fields):
    assert ask(ok(**fields)).rows.num_rows == 1


@pytest.mark.parametrize(
    "body",
    [
        {"status": False, "message": "Service temporarily unavailable", "error_code": "503"},
        {"status": 429, "message": "slow down"},
        {"status": "error", "message": "Too many requests"},
        {"data": [], "error": "query timed out"},
    ],
)
def test_trouble_that_comes_with_200_is_retried(body):
    assert ask(httpx.Response(200, json=body), ok()).rows.num_rows == 1


def test_a_limiterway_that_gives_up_on_a_whole_day_is_a_time_out():
    with pytest.raises(TimedOut):
        ask(httpx.Response(504, text="<html>"), ok())


@pytest.mark.parametrize(
    "body",
    [
        {"status": False, "message": "Invalid column: shoe_size", "error_code": "VALIDATION_ERROR"},
        {"status": "error", "message": "Invalid column: shoe_size", "data": []},
        {"success": False, "message": "Invalid column: shoe_size"},
        {"error": "Invalid column: shoe_size"},
        {"errors": [{"message": "Invalid column: shoe_size"}]},
    ],
)
def test_an_error_with_200_has_the_servers_words(body):
    kind = Refused if "error_code" in body else Declined
    with pytest.raises(kind, match="Invalid column: shoe_size") as caught:
        ask(httpx.Response(200, json=body, headers={"X-Request-Id": "req-1"}))
    assert (
        caught.value.report,
        caught.value.days,
        caught.value.status,
        caught.value.request_id,
    ) == (
        "dynamic_report",
        "2026-04-01",
        200,
        "req-1",
    )


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_by_status_is_not_requested_again(status):
    time = FakeTime()
    with pytest.raises(Declined, match="Invalid group"):
        ask(httpx.Response(status, json={"message": "Invalid group"}), time=time)
    assert time.naps == []


def test_the_servers_words_hide_e_mails_and_tokens():
    words = "no access for meera@acme.example with eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\nsecond line"
    with pytest.raises(Declined) as caught:
        ask(httpx.Response(400, json={"message": words}))
    assert "no access for <e-mail> with <hidden> second line" in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 520])
def test_trouble_that_passes_costs_no_error(status):
    assert ask(httpx.Response(status, text="<html>"), ok()).rows.num_rows == 1


@pytest.mark.parametrize(
    "broken",
    [
        httpx.Response(200, content=b'{"data": [{"identity_id": "a"'),
        httpx.Response(200, content=b""),
        httpx.Response(200, html="<html>We are back soon</html>"),
        httpx.Response(200, json={"rows": []}),
        httpx.Response(200, json=[ROW]),
        httpx.Response(200, json={"data": {"a": 1}}),
        httpx.Response(200, json={"data": [1]}),
        httpx.Response(200, content=b"\x1f\x8bjunk", headers={"Content-Type": "application/json"}),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
    ],
)
def test_half_an_answer_is_retried_and_at_last_reported(broken):
    assert ask(broken, ok()).rows.num_rows == 1
    tries = []

    def answer(request):
        tries.append(request)
        if isinstance(broken, Exception):
            raise broken
        return broken

    with pytest.raises(RetryableApiError):
        ask(answer)
    assert len(tries) == TRIES


def test_a_web_page_for_an_answer_says_what_to_check():
    with pytest.raises(RetryableApiError, match="web page in place of the API"):
        ask(httpx.Response(200, html="<html>login</html>"))


@pytest.mark.parametrize("header", ["7", "Wed, 21 Oct 2026 07:28:07 GMT"])
def test_retry_after_is_honoured_in_both_forms(header):
    time = FakeTime()
    asked = httpx.Response(
        429, headers={"Retry-After": header, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    )
    assert ask(asked, ok(), time=time).rows.num_rows == 1
    assert sum(time.naps) >= 7


def test_a_long_wait_is_left_to_airflow():
    time = FakeTime()
    with pytest.raises(RetryableApiError) as caught:
        ask(httpx.Response(429, headers={"Retry-After": "86400"}), time=time)
    assert caught.value.retry_after_s == 86400
    assert time.naps == []


def test_a_page_that_times_out_is_retried_a_day_is_not():
    time = FakeTime()
    with pytest.raises(TimedOut):
        ask(httpx.ReadTimeout("slow"), time=time)
    assert time.naps == []
    page = replace(QUERY, limit=500)
    assert ask(httpx.ReadTimeout("slow"), ok(), query=page, time=time).rows.num_rows == 1


def test_a_slow_drip_ends_by_a_deadline():
    time = FakeTime()

    class Drip(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                time.now += 40
                yield b" "

    with pytest.raises(TimedOut, match="no answer in time"):
        ask(lambda request: httpx.Response(200, stream=Drip()), time=time)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 409, 423])
def test_a_refusal_without_a_reason_is_left_to_airflow(status):
    """A gateway, a firewall or a rollout answers like this for a while."""
    with pytest.raises(Declined) as caught:
        ask(httpx.Response(status, text="no"))
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(403, json={"message": "role lacks reports"}), AccessDenied),
        (httpx.Response(422, json={"message": "no", "error_code": "VALIDATION_ERROR"}), Refused),
        (httpx.Response(400, json={"message": "bad column online_duration"}), Refused),
        (httpx.Response(200, json={"status": False, "message": "online_duration?"}), Refused),
    ],
)
def test_what_the_caller_must_change_is_final(answer, kind):
    with pytest.raises(kind) as caught:
        ask(answer)
    assert isinstance(caught.value, AirflowFailException)


def test_an_id_that_the_server_names_is_final():
    query = replace(QUERY, user_ids=("4d1c",))
    with pytest.raises(Refused, match="4d1c"):
        ask(httpx.Response(400, json={"message": "unknown user 4d1c"}), query=query)


def test_an_answer_that_is_too_large_is_named():
    with pytest.raises(TooLarge):
        ask(httpx.Response(413, text="no"))


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"pagination": {"page": 1, "total_pages": 3}}, ("total_pages",)),
        ({"next_cursor": "abc"}, ("next_cursor",)),
        ({"nextPage": None, "links": {"next": "/2"}}, ("next",)),
        ({"truncated": True}, ("truncated",)),
        ({"meta": {"partial": "true"}}, ("partial",)),
        ({"total_pages": 1, "next": "", "truncated": False}, ()),
    ],
)
def test_every_sign_of_more_is_read(fields, more):
    page = ask(ok(**fields))
    assert page.more == more
    assert page.has_more == bool(more)


def test_a_partial_answer_by_its_status_is_a_sign_of_more():
    assert ask(httpx.Response(206, json={"data": [ROW]})).has_more


def test_unknown_fields_are_logged_once_by_name(caplog):
    api = report_api(lambda request: ok(server_load="very secret", status="fetched"), FakeTime())
    with caplog.at_level("INFO"):
        api.fetch(QUERY)
        api.fetch(QUERY)
    assert caplog.text.count("server_load, status") == 1
    assert "secret" not in caplog.text


def test_a_value_that_does_not_fit_is_named_not_shown():
    with pytest.raises(ValueDoesNotFit, match="column 'online_duration', row 1"):
        ask(httpx.Response(200, json={"data": [ROW | {"online_duration": "all day"}]}))


def test_an_overloaded_server_halves_the_requests_under_way():
    time = FakeTime()
    limiter = RequestLimiter(8, clock=time.clock, sleep=time.sleep)
    for width in (4, 2, 1, 1):
        with limiter:
            limiter.narrow(None)
        assert limiter.width == width
    with limiter:
        pass


def test_retry_after_stops_every_thread_of_the_task():
    time = FakeTime()
    limiter = RequestLimiter(4, clock=time.clock, sleep=time.sleep)
    limiter.narrow(30.0)
    with limiter:
        assert sum(time.naps) == 30
