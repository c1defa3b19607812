"""Whatever bytes a server sends for an answer: rows, or an error of ours; soon, and in bounded memory."""

from __future__ import annotations

import json
import time
import tracemalloc

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_we360.client import reports
from airflow_provider_we360.client.response import ReportPage, parse_response
from airflow_provider_we360.errors import We360Error
from airflow_provider_we360.rows.decode import RowDecoder
from airflow_provider_we360.transport.retry import parse_retry_after
from support.examples import examples

REPORT = reports.get("dynamic_report")
NAMES = (
    *REPORT.modes["detailed"].key,
    "punch_in",
    "online_duration",
    "active_percent",
    "key_presses",
    "employee_id",
)
DECODER = RowDecoder([REPORT.column(name) for name in NAMES], "Asia/Kolkata")
ROW = {
    "attendance_date": "2026-04-01",
    "identity_id": "a",
    "punch_in": "2026-04-01 09:00:00",
    "online_duration": "8:05:09",
    "active_percent": 97.5,
    "key_presses": 17,
    "employee_id": "0007",
}
REAL = json.dumps(
    {"data": [ROW] * 3, "pagination": {"total_records": 3, "has_next": False}}
).encode()
SPITE = [
    b"[" * 200_000,
    b'{"data":' + b"[" * 200_000,
    b'{"data":[' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b"]}",
    b'{"data":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"data":[{"online_duration":' + b"9" * 100_000 + b"}]}",
    b'{"data":[],"total":' + b"9" * 5_000 + b"}",
    b'{"data":[],"total":1e999,"status":1e999}',
    b'{"data":[{"active_percent":1e999}]}',
    b'{"data":[{"active_percent":NaN,"key_presses":Infinity}]}',
    b'{"data":[],"total":NaN}',
    json.dumps({"data": [], **{f"k{number}": number for number in range(100_000)}}).encode(),
    json.dumps({"data": [{f"k{number}": number for number in range(100_000)}]}).encode(),
    b'{"data":[{"identity_id":"\\ud800"}]}',
    b'{"\\ud800":1,"data":[]}',
    b'{"message":"\\ud800\\udc00\\ud800","status":"error"}',
    b'{"data":[{"identity_id":"a\\u0000b"}]}',
    b'{"data":[{"identity_id":"a\0b"}]}',
    b'{"data":[{"identity_id":"a","identity_id":"b"}],"data":[]}',
    json.dumps({"data": [ROW]}).encode("utf-16"),
    json.dumps({"data": [ROW]}).encode("utf-32-le"),
    b"\xef\xbb\xbf" + REAL,
    b'{"data":[{"identity_id":"' + b"x" * 3_000_000 + b'"}]}',
    b'{"data":[{"identity_id":"\xff\xfe"}]}',
    b'{"data":"[]"}',
    b'{"data":{}}',
    b'{"data":[[]]}',
    b'{"data":[null]}',
    b'{"data":1',
    b'{"status":{"a":[1]},"message":{"b":[]},"errors":[[[]]],"data":null}',
    b'{"data":[{"attendance_date":"2026-04-01T99:99:99+99:99","punch_in":"0001-01-01 00:00:00+23:59"}]}',
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
field_names = st.sampled_from(
    [
        "data",
        "status",
        "success",
        "ok",
        "code",
        "message",
        "error",
        "errors",
        "detail",
        "total",
        "has_next",
        "pagination",
        "x",
    ]
)
rows = st.lists(st.dictionaries(st.sampled_from(NAMES), json_values, max_size=5), max_size=4)
objects = st.builds(
    lambda fields, data: {**fields, "data": data},
    st.dictionaries(field_names, json_values),
    rows | json_values,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real answer after bytes were changed, cut out, doubled or put in."""
    body = bytearray(REAL)
    for _ in range(draw(st.integers(1, 6))):
        at, length = draw(st.integers(0, max(0, len(body) - 1))), draw(st.integers(0, 12))
        piece = draw(
            st.sampled_from(
                [
                    b"",
                    bytes(body[at : at + length]),
                    b'"',
                    b"{",
                    b"]",
                    b"\\u",
                    b"\0",
                    b"\xff",
                    b"1e9",
                    b",",
                ]
            )
        )
        body[at : at + length] = piece
    return bytes(body)


def parse(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> ReportPage | We360Error:
    try:
        return parse_response(httpx.Response(status, headers=headers or {}, content=body), DECODER)
    except We360Error as error:
        str(error)
        return error


@pytest.mark.parametrize(
    "body", SPITE, ids=lambda body: body[:40].decode("latin-1").encode("unicode_escape").decode()
)
def test_hostile_answers_end_in_bounded_time_and_memory(body):
    tracemalloc.start()
    began = time.process_time()
    parse(body)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 10
    assert peak < 20_000_000 + 40 * len(body)


@settings(max_examples=examples(400), deadline=None)
@given(
    objects, st.sampled_from([200, 200, 200, 201, 206, 400, 401, 403, 404, 413, 429, 500, 503, 302])
)
def test_any_json_ends_as_rows_or_an_error_of_ours(content, status):
    parse(json.dumps(content).encode(), status)


@settings(max_examples=examples(600), deadline=None)
@given(damaged())
def test_a_damaged_answer_ends_as_rows_or_an_error_of_ours(body):
    parse(body)


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=300), st.sampled_from([200, 404, 500]))
@example(b"", 200)
def test_any_bytes_end_as_rows_or_an_error_of_ours(body, status):
    parse(body, status, {"content-type": "text/html", "x-request-id": body[:20].hex()})


@settings(max_examples=examples(300), deadline=None)
@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
@example("Fri, 31 Dec 9999 23:59:59 -9999")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Thu, 01 Jan 1970 00:00:00 +99999999999999999999")
@example("1e400")
@example("-7")
@example("nan")
def test_any_retry_after_is_a_bounded_wait_or_none(value):
    wait = parse_retry_after({"retry-after": value, "date": value}, clock=lambda: 1_780_000_000.0)
    assert wait is None or 0 <= wait < float("inf")


def test_lenient_json_is_read_and_nan_is_named():
    assert parse(b"\xef\xbb\xbf" + REAL).rows.num_rows == parse(REAL).rows.num_rows == 3
    assert parse(json.dumps({"data": [ROW]}).encode("utf-16")).rows.num_rows == 1
    told = str(parse(b'{"data":[{"active_percent":NaN}]}'))
    assert "column 'active_percent', row 1" in told
    assert "is no JSON" in str(parse(REAL[:-9]))
