"""The API side: the Dynamic Report, its rows, pages and refusals."""

from __future__ import annotations

import gzip
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulator.company import Company, Entry
from simulator.config import Account, SimulatorConfig
from simulator.encoding import ABSENT, writer
from simulator.http import Answer, Request, json_answer, text_answer
from simulator.report_request import Invalid, Question, body_of, question
from simulator.rng import dice

_STYLES = {"200": 200, "400": 400, "422": 422}


class ReportApi:
    """Answers report requests of whoever holds a good token.

    :param holder_of: tells whose an access token is, None for nobody's.
    """

    def __init__(self, company: Company, holder_of: Callable[[str], Account | None]) -> None:
        self._company = company
        self._holder_of = holder_of
        self._asked = 0
        self._lock = threading.Lock()

    def answer(self, request: Request, config: SimulatorConfig) -> Answer:
        """The answer as this configuration plays it."""
        if request.method != "POST":
            return error_answer(
                config, 405, "Method not allowed", "METHOD_NOT_ALLOWED"
            ).with_headers([("Allow", "POST")])
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        account = self._holder_of(token.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            return unauthorized(config)
        if refused := self._wrong_tenant(request, config):
            return refused
        try:
            asked = question(body_of(request.body), self._company, config)
            return _compressed(self._rows(asked, account, config), request, config)
        except Invalid as invalid:
            return error_answer(config, _STYLES[config.error_style], invalid.message, invalid.code)

    @staticmethod
    def _wrong_tenant(request: Request, config: SimulatorConfig) -> Answer | None:
        tenant = request.headers.get("x-tenant-id")
        if config.tenant_header == "ignored" or tenant == config.customer_id:
            return None
        if tenant is None and config.tenant_header == "optional":
            return None
        return error_answer(config, 403, "X-Tenant-Id is missing or not your tenant", "FORBIDDEN")

    def _rows(self, asked: Question, account: Account, config: SimulatorConfig) -> Answer:
        with self._lock:
            self._asked += 1
            turn = self._asked
        entries = [
            entry
            for entry in self._company.entries(asked.first_day, asked.last_day, asked.mode)
            if _in(entry, asked, account)
        ]
        entries = _ordered(entries, config, turn)
        if config.duplicate_every:
            entries = [
                twin for n, entry in enumerate(entries, 1) for twin in _twins(entry, n, config)
            ]
        entries = _moved(entries, asked.page, config)
        total = len(entries)
        limit, page = asked.limit or total, asked.page
        if config.cap is not None:
            limit = min(limit, config.cap)
        pages = math.ceil(total / limit) if limit else 0
        if page > max(pages, 1):
            if config.past_end == "refused":
                raise Invalid(f"page must not exceed {pages}")
            page = pages if config.past_end == "clamped" else page
        shown = entries[(page - 1) * limit : page * limit]
        if config.cap is not None and config.cap_hidden:
            total, pages = len(shown), page
        content = {"data": _on_the_wire(shown, asked, config)}
        told_limit = asked.limit if config.cap is None else limit
        told = total + config.total_offset + config.total_drift * (turn - 1)
        content |= _pagination(config, page=page, limit=told_limit, total=told, pages=pages)
        return replace(json_answer(200, content), facts={"rows": len(shown)})


def unauthorized(config: SimulatorConfig) -> Answer:
    """401: no token, one that is not ours, expired, or of a session that was ended."""
    return error_answer(config, 401, "Unauthorized", "UNAUTHORIZED").with_headers(
        [("WWW-Authenticate", "Bearer")]
    )


def error_answer(config: SimulatorConfig, status: int, message: str, code: str) -> Answer:
    """An error in the shape that ``error_body`` names: the real shapes are not documented."""
    if config.error_body == "plain":
        return text_answer(status, message)
    if config.error_body == "html":
        return text_answer(
            status, f"<html><body><h1>{status}</h1><p>{message}</p></body></html>", "text/html"
        )
    if config.error_body == "detail":
        return json_answer(status, {"detail": message})
    return json_answer(status, {"status": False, "message": message, "error_code": code})


def _in(entry: Entry, asked: Question, account: Account) -> bool:
    person = entry.person
    group_id = person.group.id if person.group else None
    return (
        (account.sees is None or (person.group is not None and person.group.name in account.sees))
        and (not asked.group_ids or group_id in asked.group_ids)
        and (not asked.user_ids or person.identity_id in asked.user_ids)
        and (not asked.shift_ids or person.shift.id in asked.shift_ids)
    )


def _ordered(entries: list[Entry], config: SimulatorConfig, turn: int) -> list[Entry]:
    if config.order == "by_person":
        return sorted(entries, key=lambda entry: entry.person.number)
    if config.order in {"shuffled", "unstable"}:
        dice(config.seed, "order", turn if config.order == "unstable" else 0).shuffle(entries)
    return entries


def _twins(entry: Entry, number: int, config: SimulatorConfig) -> list[Entry]:
    if number % config.duplicate_every:
        return [entry]
    if not config.duplicates_differ:
        return [entry, entry]
    return [entry, Entry(entry.person, _one_key_more(entry.row))]


def _one_key_more(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "key_presses": (row["key_presses"] or 0) + 1,
        "active_duration": (row["active_duration"] or 0) + 1,
    }


def _moved(entries: list[Entry], page: int, config: SimulatorConfig) -> list[Entry]:
    """What a walk over pages meets when rows come, go or change after its first page."""
    if config.shift_between_pages == "insert":
        return entries[1:] if page == 1 else entries
    if page == 1 or config.shift_between_pages == "none":
        return entries
    if config.shift_between_pages == "delete":
        return entries[1:]
    return [Entry(entry.person, _one_key_more(entry.row)) for entry in entries]


def _on_the_wire(
    entries: list[Entry], asked: Question, config: SimulatorConfig
) -> list[dict[str, Any]]:
    writers = [
        (name, writer(name, config), place)
        for place, name in enumerate(asked.columns)
        if name not in config.drop_columns
    ]
    data = []
    for number, entry in enumerate(entries, 1):
        row, day = entry.row, entry.row.get("attendance_date")
        salt = entry.person.number + (
            day.toordinal() if day is not None and hasattr(day, "toordinal") else 0
        )
        cells = ((name, write(row.get(name), salt + place)) for name, write, place in writers)
        line = {name: cell for name, cell in cells if cell is not ABSENT} | dict(
            config.extra_columns
        )
        if config.null_key_every and not number % config.null_key_every and "identity_id" in line:
            line["identity_id"] = "-"
        data.append(line)
    return data


def _pagination(
    config: SimulatorConfig, *, page: int, limit: int, total: int, pages: int
) -> dict[str, Any]:
    """What stands beside the rows. Only the name ``pagination`` and its ``has_next`` were seen; the rest is a guess."""
    text: Callable[[Any], Any] = str if config.totals_as_text else lambda value: value
    more, before = page < pages, page > 1
    forms: dict[str, dict[str, Any]] = {
        "full": {
            "pagination": {
                "page": text(page),
                "limit": text(limit),
                "total_records": text(total),
                "total_pages": text(pages),
                "has_next": more,
                "has_previous": before,
            }
        },
        "has_next": {"pagination": {"has_next": more}},
        "total_pages": {"pagination": {"page": text(page), "total_pages": text(pages)}},
        "camel": {"pagination": {"page": text(page), "totalRecords": text(total), "hasNext": more}},
        "short": {
            "pagination": {"page": text(page), "per_page": text(limit), "total": text(total)}
        },
        "top_level": {"total_records": text(total), "page": text(page), "limit": text(limit)},
        "null": {"pagination": None},
        "absent": {},
    }
    return forms[config.pagination] | (
        {"meta": {"generated_in_ms": 12, "version": "sandbox"}} if config.meta else {}
    )


def _compressed(answer: Answer, request: Request, config: SimulatorConfig) -> Answer:
    if not config.compress or "gzip" not in request.headers.get("accept-encoding", ""):
        return answer
    return replace(answer, body=gzip.compress(answer.body, 1)).with_headers(
        [("Content-Encoding", "gzip")]
    )
