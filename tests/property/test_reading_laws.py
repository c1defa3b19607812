"""Whatever a server answers: a load ends with the truth or with an error of ours.

The server of these tests has rows, and distorts each answer as Hypothesis likes: its status, its
envelope, its number of rows. The law: no load succeeds with other rows than the server's if any of
its answers showed a row that is missing, or reported the number of rows of a day.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_we360.client.client import We360Client
from airflow_provider_we360.client.extract import parse_extract
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.errors import We360Error
from support.examples import examples
from support.mini_api import FakeTime, api

FIRST = dt.date(2026, 6, 1)
ERRORS: list[dict[str, Any]] = [
    {"status": False, "message": "Internal server error"},
    {"Status": False, "data": []},
    {"success": 0, "data": []},
    {"hasError": True, "data": []},
    {"result": "error", "data": []},
    {"meta": {"status": False}, "data": []},
    {"message": "Internal Server Error", "data": []},
    {"fault": {"faultstring": "quota"}, "data": []},
    {"status": "gibberish", "data": []},
    {"rows": []},
    {},
]
COUNTS = ["all", "own", "none", "text", "more", "pages", "cursor"]
EMPTY = ["zero", "nothing", "has_next", "pages", "total"]


@dataclass(frozen=True)
class Distortion:
    """What happens to one answer.

    :param kind: ``honest``, ``cut``, ``empty``, ``error``, ``status``, ``broken``, ``doubled``.
    :param keep: rows that a cut answer keeps, from its begin or its end.
    :param says: what its metadata reports.
    """

    kind: str = "honest"
    keep: int = 0
    from_end: bool = False
    says: str = "all"
    status: int = 500
    error: int = 0


distortions = st.builds(
    Distortion,
    st.sampled_from(["honest", "honest", "cut", "empty", "error", "status", "broken", "doubled"]),
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from(COUNTS),
    st.sampled_from([206, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503, 504]),
    st.integers(0, len(ERRORS) - 1),
)


@dataclass
class Server:
    """A server with a truth, its habits, and a list of distortions for the first requests.

    :param cap: most rows of any answer; 0: none.
    :param wide_cap: most rows of an answer with more than the key columns, as of a cut by bytes.
    """

    days: list[int]
    metadata: str
    cap: int
    wide_cap: int
    queue: list[Distortion]
    from_zero: bool = False
    shown: dict[str, set[str]] = field(default_factory=dict)
    reported: set[tuple[str, int]] = field(default_factory=set)

    def truth(self) -> set[tuple[str, str]]:
        return {
            ((FIRST + dt.timedelta(days=number)).isoformat(), f"p{person}")
            for number, people in enumerate(self.days)
            for person in range(people)
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        way = self.queue.pop(0) if self.queue else Distortion()
        if way.kind == "status" and way.status != 206:
            return httpx.Response(way.status, json={"message": "no"})
        if way.kind == "error":
            return httpx.Response(200, json=ERRORS[way.error])
        first, last = asked["start_date"][:10], asked["end_date"][:10]
        rows = sorted(row for row in self.truth() if first <= row[0] <= last)
        page = asked["page"] if self.from_zero else asked["page"] - 1
        limit = asked["limit"] or max(len(rows), 1)
        for cap in (self.cap, self.wide_cap if len(asked["columns"]) > 2 else 0):
            limit = min(limit, cap or limit)
        shown = rows[page * limit :][:limit]
        has_next = (page + 1) * limit < len(rows)
        if way.kind == "cut":
            shown = shown[-way.keep :] if way.from_end and way.keep else shown[: way.keep]
        if way.kind == "empty":
            shown = []
        if way.kind == "doubled":
            shown = shown + shown[:1]
        says = way.says if way.kind in ("cut", "empty", "doubled") else self.metadata
        content = {"data": [self.row(row, asked["columns"]) for row in shown]}
        content |= self.about(says, len(rows), len(shown), has_next=has_next)
        body = json.dumps(content).encode()
        if way.kind == "broken":
            return httpx.Response(200, content=body[: len(body) * 2 // 3])
        for day, person in shown:
            self.shown.setdefault(day, set()).add(person)
        return httpx.Response(206 if way.kind == "status" else 200, content=body)

    def row(self, row: tuple[str, str], columns: list[str]) -> dict[str, str]:
        return dict.fromkeys(columns, "-") | {"attendance_date": row[0], "identity_id": row[1]}

    def about(self, says: str, total: int, own: int, *, has_next: bool) -> dict[str, Any]:
        """Return the metadata of an answer."""
        forms: dict[str, dict[str, Any]] = {
            "all": {"pagination": {"total_records": total, "has_next": has_next}},
            "own": {"pagination": {"total_records": own, "has_next": False}},
            "none": {},
            "text": {"total": str(total), "has_next": str(has_next).lower()},
            "next": {"pagination": {"has_next": has_next}},
            "more": {"pagination": {"has_next": True}},
            "pages": {"pagination": {"page": 1, "total_pages": 3}},
            "cursor": {"next_cursor": "abc", "pagination": {"total_records": own}},
        }
        return forms[says]


def load(server: Server) -> tuple[set[tuple[str, str]] | We360Error, ReadStats]:
    """Return the keys of all rows that a load of the server's days brings, or its error."""
    time, stats = FakeTime(), ReadStats()
    client = We360Client(
        api(server.answer),
        timezone="Asia/Kolkata",
        timeout_s=60,
        clock=time.clock,
        sleep=time.sleep,
    )
    last = FIRST + dt.timedelta(days=len(server.days) - 1)
    extract = parse_extract("dynamic_report", window=(FIRST, last), columns=["employee_id"])
    try:
        with client.read(extract, max_parallel_requests=1, stats=stats) as stream:
            return {
                (row["attendance_date"].isoformat(), row["identity_id"])
                for batch in stream
                for row in batch.rows
            }, stats
    except We360Error as error:
        str(error)
        return error, stats


servers = st.builds(
    Server,
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.sampled_from(["all", "own", "none", "text", "next"]),
    st.sampled_from([0, 0, 0, 2, 3]),
    st.sampled_from([0, 0, 0, 2]),
    st.lists(distortions, max_size=12),
    st.sampled_from([False, False, False, True]),
)


@settings(max_examples=examples(600), deadline=None)
@given(servers)
@example(Server([3], "own", 2, 0, []))
@example(Server([3], "own", 0, 2, []))
@example(Server([3, 2], "own", 0, 2, []))
@example(Server([4], "next", 0, 0, [], from_zero=True))
@example(Server([4], "all", 0, 0, [Distortion("empty", says="own"), Distortion()] * 6))
@example(Server([3], "all", 0, 0, [Distortion("empty", says="more")]))
def test_no_load_succeeds_without_a_row_that_was_shown(server):
    loaded, _ = load(server)
    if isinstance(loaded, We360Error):
        return
    truth = server.truth()
    assert loaded <= truth
    shown = {(day, person) for day, people in server.shown.items() for person in people}
    days = {(FIRST + dt.timedelta(days=n)).isoformat() for n in range(len(server.days))}
    assert {row for row in shown if row[0] in days} <= loaded


@settings(max_examples=examples(300), deadline=None)
@given(servers)
def test_a_server_that_stops_distorting_is_read_in_whole(server):
    """Closed is not stuck: after the faults, the next load brings the truth."""
    load(server)
    server.queue.clear()
    if server.from_zero or server.metadata == "own":
        return
    loaded, stats = load(server)
    assert loaded == server.truth(), loaded
    assert stats.requests < 40 + 10 * sum(server.days)
