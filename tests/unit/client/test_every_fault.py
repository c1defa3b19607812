"""Every fault F23 to F29 by name: how a load ends where it strikes once, how where it stays, and what the table holds then."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_we360.client.report_api import TRIES, TimedOut
from airflow_provider_we360.client.response import Declined, Refused, TooLarge
from airflow_provider_we360.errors import (
    AccessDenied,
    EmptyDayRefused,
    PaginationInconsistent,
    RequestRejected,
    RetryableApiError,
    ValueDoesNotFit,
    We360DataError,
)
from airflow_provider_we360.sandbox.company import Company
from simulator.app import SimulatorConfig
from simulator.faults import FAULTS
from simulator.server import serve
from support.engines import SQLite
from support.proof import COLUMNS, TODAY, Stage, to_engine, trimmed

FIRST, LAST = dt.date(2026, 5, 18), dt.date(2026, 5, 20)
WINDOW = {"window_start": str(FIRST), "window_end": str(LAST)}
NUMBERS = {f"F{number}" for number in range(23, 30)}


@dataclass(frozen=True)
class Ends:
    """How a load ends.

    :param error: None: it succeeds, and the table is the truth; otherwise the table is as it was.
    :param says: what the error tells.
    :param but: a known difference between the table and the truth.
    """

    error: type[Exception] | tuple[type[Exception], ...] | None = None
    says: str = ""
    but: str = ""


WHOLE = Ends()
IN_TROUBLE = Ends(RetryableApiError, "The API is in trouble")
REFUSED = Ends((Refused, Declined), "We360 refused the request")
BROKE = Ends(RetryableApiError, "the connection broke")
NO_JSON = Ends(RetryableApiError, "The answer is no JSON")
NOT_EQUAL = Ends(PaginationInconsistent, "never agreed|has shown")
LONG_WAIT = Ends(RetryableApiError, "retry after 86400 s")
NO_FIT = Ends(ValueDoesNotFit, "column 'active_duration', row 1 ")
DENIED = Ends(AccessDenied, "The account may not read this report")
PAGE = Ends(Declined, "Received a web page in place of")


@dataclass(frozen=True)
class Case:
    fault: str
    once: Ends
    always: Ends
    args: dict[str, Any] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join(
            [
                self.fault,
                *(f"{name}={value}" for name, value in {**self.args, **self.server}.items()),
            ]
        )


SMALL = {"cap": 7}
CASES = [
    # F23: gateways, proxies and the wire
    *(
        Case(name, WHOLE, IN_TROUBLE)
        for name in ("http_502", "http_503", "html_500", "html_502", "html_503")
    ),
    *(
        Case(name, WHOLE, Ends(TimedOut, "The API is in trouble"))
        for name in ("http_504", "html_504")
    ),
    Case(
        "http_504",
        Ends(RetryableApiError, "retry after 3600 s"),
        Ends(RetryableApiError),
        {"retry_after": "3600"},
    ),
    Case("redirect", *[Ends(Declined, "redirect")] * 2),
    Case("html_200", WHOLE, Ends(RetryableApiError, "a web page in place of")),
    Case("empty_200", WHOLE, Ends(RetryableApiError, "The answer is empty")),
    Case("truncated_json", WHOLE, NO_JSON),
    Case("truncated_json", WHOLE, NO_JSON, {"keep": 0.999}),
    Case("gzip_junk", WHOLE, Ends(RetryableApiError, "compressed in a way")),
    Case("gzip_cut", WHOLE, Ends(RetryableApiError, "compressed in a way")),
    Case("gzip_bomb", WHOLE, Ends(TooLarge, "larger than 256 MiB")),
    Case("other_json", WHOLE, NO_JSON),
    Case(
        "other_json",
        WHOLE,
        Ends(RetryableApiError, "no field 'data'"),
        {"content": {"hello": "world"}},
    ),
    Case(
        "other_json",
        WHOLE,
        Ends(RetryableApiError, "no list of objects"),
        {"content": {"data": "x"}},
    ),
    Case("wrong_content_type", WHOLE, WHOLE),
    Case("not_utf8", WHOLE, WHOLE),
    Case("delay", WHOLE, WHOLE),
    Case("other_packing", WHOLE, Ends(RetryableApiError, "compressed in a way")),
    Case("drip", WHOLE, WHOLE, {"pause_s": 0.001, "chunk": 4096}),
    *(
        Case(name, WHOLE, BROKE)
        for name in ("reset", "reset_after_commit", "close", "close_after_commit", "cut_off")
    ),
    Case("not_http", WHOLE, BROKE),
    # F24: too many requests
    Case("http_429", WHOLE, Ends(RetryableApiError, "status 429")),
    Case("http_429", WHOLE, Ends(RetryableApiError, "retry after 7 s"), {"retry_after": "7"}),
    Case(
        "http_429", WHOLE, Ends(RetryableApiError, "retry after 30 s"), {"retry_after_date_s": 30}
    ),
    Case("http_429", WHOLE, Ends(RetryableApiError, "retry after 20 s"), {"reset_epoch_s": 20}),
    Case("http_429", LONG_WAIT, LONG_WAIT, {"retry_after": "86400"}),
    Case("http_429", WHOLE, Ends(RetryableApiError, "status 429"), {"retry_after": "soon"}),
    # F25: words of the logout endpoint; at the report they are a refusal like any other
    Case("no_refresh_token_sent", WHOLE, REFUSED),
    Case("revoke_unknown_token", WHOLE, REFUSED),
    # F27: what the API refuses
    *(Case(name, WHOLE, REFUSED) for name in ("http_400", "http_404", "http_422", "refusal")),
    Case("http_401", WHOLE, Ends(Declined, "a token that was just renewed")),
    Case("http_403", DENIED, DENIED),
    Case("http_403", PAGE, PAGE, {"form": "html"}),
    Case("http_404", PAGE, PAGE, {"form": "html"}),
    *(Case(name, WHOLE, IN_TROUBLE) for name in ("http_408", "http_500", "http_501")),
    Case("http_500", WHOLE, IN_TROUBLE, {"form": "plain"}),
    Case("http_413", WHOLE, Ends(TooLarge, "too large")),
    Case("column_refused", Ends(Refused, "active_duration"), Ends(but="active_duration")),
    # F28: data
    Case("variant", WHOLE, WHOLE, {"zero_limit": "refused", "past_end": "refused"}),
    Case("no_rows", WHOLE, Ends(EmptyDayRefused, "We360 returned 0")),
    Case("rows_missing", WHOLE, NOT_EQUAL),
    Case("rows_missing", WHOLE, NOT_EQUAL, {}, {"pagination": "absent"}),
    Case("total_wrong", WHOLE, NOT_EQUAL),
    Case("total_wrong", WHOLE, NOT_EQUAL, {"by": -1}),
    Case("total_as_text", WHOLE, WHOLE),
    Case("total_missing", WHOLE, WHOLE),
    Case("total_drifts", WHOLE, NOT_EQUAL, {}, SMALL),
    Case("limit_capped", WHOLE, WHOLE, {"rows": 7}),
    Case("limit_capped", WHOLE, WHOLE, {"rows": 7}, {"pagination": "absent"}),
    Case("limit_capped_hidden", WHOLE, WHOLE, {"rows": 7}),
    Case("zero_limit_refused", WHOLE, WHOLE),
    Case("past_end_clamped", WHOLE, WHOLE, {}, {"pagination": "absent"}),
    Case("unstable_order", WHOLE, NOT_EQUAL, {}, SMALL),
    # Its total counts the duplicates: that could as well be a row that is missing.
    Case("duplicate_rows", WHOLE, NOT_EQUAL),
    Case("duplicate_rows", WHOLE, WHOLE, {}, {"pagination": "absent"}),
    Case("differing_duplicates", *[Ends(We360DataError, "rows 10 and 11 .* have one key")] * 2),
    Case("null_keys", *[Ends(We360DataError, "row 10 of the answer has no identity_id")] * 2),
    Case("rows_inserted", WHOLE, NOT_EQUAL, {}, SMALL),
    Case("rows_deleted", WHOLE, NOT_EQUAL, {}, SMALL),
    Case("rows_updated", WHOLE, Ends(but="as each was when asked"), {}, SMALL),
    Case("column_missing", Ends(but="active_duration"), Ends(but="active_duration")),
    Case("column_new", WHOLE, WHOLE),
    *(
        Case("type_flip", NO_FIT, NO_FIT, {"to": to})
        for to in ("garbage", "object", "list", "boolean", "negative", "nan")
    ),
    Case("type_flip", WHOLE, WHOLE, {"to": "number"}),
    Case("not_a_number", *[Ends(ValueDoesNotFit, "column 'active_percent', row 1 ")] * 2),
]


def test_every_fault_of_the_simulator_is_in_the_table():
    known = {name for name, fault in FAULTS.items() if fault.number in NUMBERS}
    assert {case.fault for case in CASES} == known
    # F26 is no fault but the request_log, F29 no fault of one answer: test_late_rows_... below.
    assert {FAULTS[case.fault].number for case in CASES} | {"F26", "F29"} == NUMBERS


@pytest.fixture
def engine(tmp_path):
    return SQLite(tmp_path)


@pytest.fixture(scope="module")
def earlier_loads(tmp_path_factory):
    """Return the file that an earlier load left, by the kind of server: it is loaded once."""
    files = {}

    def of(server):
        if (key := str(server)) not in files:
            before = SQLite(tmp_path_factory.mktemp("earlier"))
            hold_something_else(stage_of(server), before)
            files[key] = before.path
        return files[key]

    return of


def stage_of(server):
    stage = Stage(SimulatorConfig(employees=30, seed=363, today=TODAY, **server))
    stage.connect()
    return stage


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_ends_as_the_table_says(case, times, engine, earlier_loads, caplog):
    caplog.set_level(logging.INFO, logger="airflow_provider_we360")
    shutil.copy(earlier_loads(case.server), engine.path)
    before = engine.rows("days", COLUMNS)
    stage = stage_of(case.server)
    stage.sandbox.faults.add("report", case.fault, times=times, **case.args)
    expected = case.once if times else case.always
    on_a_socket = FAULTS[case.fault].socket
    if on_a_socket:
        with serve(stage.sandbox) as server:
            stage.connect(server.url)
            failure = outcome(stage, engine, on_a_socket=True)
    else:
        failure = outcome(stage, engine)
    sent = len(stage.sandbox.request_log.requests)
    held, truth = engine.rows("days", COLUMNS), trimmed(stage.sandbox.company.rows(FIRST, LAST))
    if expected.error:
        assert isinstance(failure, expected.error), failure
        assert held == before != truth
        assert_told(failure, expected, case)
    else:
        assert failure is None
        assert (held == truth) is not bool(expected.but)
    if expected.but:
        assert_differs_in(expected.but, held, truth, caplog)
    if times and expected is WHOLE and "rows" not in case.args:
        pages = 20 if "cap" in case.server else 0  # each day of such a server is read in pages
        assert sent <= 3 * TRIES + 10 + pages, "a fault that passes costs a few requests"


def hold_something_else(stage, engine):
    """Leave what an earlier load left in the table: the same people and days, other numbers."""
    stage.run(to_engine(engine, "days", **WINDOW), "earlier")
    engine.execute(
        "UPDATE days SET online_duration = coalesce(online_duration, 0) + 1,"
        " active_duration = coalesce(active_duration, 0) + 1"
    )


def outcome(stage, engine, **how):
    try:
        stage.run(to_engine(engine, "days", max_parallel_requests=1, **WINDOW), "this", **how)
    except Exception as failure:
        return failure
    return None


def assert_told(failure, expected, case):
    """The error names what is needed to find it again: report, slice, and where an answer came its status and id."""
    import re

    assert re.search(expected.says, str(failure)), failure
    if isinstance(failure, RequestRejected | RetryableApiError | AccessDenied):
        assert (failure.report, failure.days) == ("dynamic_report", str(FIRST))
        came = not re.search(
            "the connection broke|compressed in a way|no answer in time|larger than 256 MiB",
            str(failure),
        )
        assert (failure.status is not None, failure.request_id is not None) == (came, came)
    if not isinstance(failure, EmptyDayRefused):
        assert (
            str(FIRST) in str(failure)
            or str(LAST) in str(failure)
            or str(FIRST + dt.timedelta(1)) in str(failure)
        )
    assert isinstance(failure, AirflowFailException) is isinstance(
        failure, RequestRejected | AccessDenied
    )


def assert_differs_in(what, held, truth, caplog):
    if what == "active_duration":  # NULL where the server sent none, never what was there before
        expected = {(row["attendance_date"], row["identity_id"]): row[what] for row in truth}
        assert keys(held) == keys(truth)
        assert all(
            row[what] in (None, expected[row["attendance_date"], row["identity_id"]])
            for row in held
        )
        others = [{**row, what: None} for row in truth]
        assert [{**row, what: None} for row in held] == others
        assert what in caplog.text
    else:
        assert keys(held) == keys(truth)
        assert len(held) == len(truth)


def keys(rows):
    return {(row["attendance_date"], row["identity_id"]) for row in rows}


@pytest.mark.parametrize("night_rows_on", ["start", "end"])
def test_late_and_restated_rows_land_with_the_next_load(engine, night_rows_on):
    """F29: rows of a day that appear days later, values restated, night shifts under either of their days."""
    day = dt.date(2026, 5, 26)
    stage = Stage(SimulatorConfig(employees=60, today=day, night_rows_on=night_rows_on))
    stage.connect()
    stage.run(to_engine(engine, "days", window_start=str(day), window_end=str(day)))
    first = engine.rows("days", COLUMNS)
    assert first == trimmed(stage.sandbox.company.rows(day, day))
    stage.sandbox.fixed_today = day + dt.timedelta(days=4)
    later = str(day + dt.timedelta(days=3))
    stage.run(to_engine(engine, "days", window_start=later, window_end=later, lookback_days=3))
    held = engine.rows("days", COLUMNS)
    assert held == trimmed(stage.sandbox.company.rows(day, day + dt.timedelta(days=3)))
    assert [row for row in held if row["attendance_date"] == day] != first, (
        "this company restates nothing: the test is void"
    )


def test_what_changed_in_the_columns_is_said_once_an_extract(engine, caplog):
    caplog.set_level(logging.INFO, logger="airflow_provider_we360")
    config = SimulatorConfig(
        employees=30, today=TODAY, drop_columns=("active_duration",), extra_columns={"x_new": 1}
    )
    stage = Stage(config)
    stage.connect()
    stage.run(to_engine(engine, "days", **WINDOW))
    assert (
        caplog.text.count("lacks requested column active_duration")
        == caplog.text.count("ignoring column x_new")
        == 1
    )


def test_a_company_of_other_people_is_another_truth():
    """The comparison above can fail: two seeds do not agree."""
    one, two = (Company(seed=seed, employees=30, today=lambda: TODAY) for seed in (1, 2))
    assert trimmed(one.rows(FIRST, LAST)) != trimmed(two.rows(FIRST, LAST))
