"""The Dynamic Report with every shape of answer that was seen or must be expected."""

from __future__ import annotations

import gzip
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_we360.sandbox.company import COLUMNS, Company, ReportRow
from airflow_provider_we360.sandbox.http import Request, Response, json_response, text_response
from airflow_provider_we360.sandbox.people import rng_for
from airflow_provider_we360.sandbox.report_request import (
    InvalidRequest,
    ReportRequest,
    parse_request,
)
from simulator.config import Account, SimulatorConfig
from simulator.encoding import encode_rows


class ReportApi:
    """Answers report requests that carry a valid token.

    :param account_of: returns the account of an access token, None for an invalid one.
    """

    def __init__(self, company: Company, account_of: Callable[[str], Account | None]) -> None:
        self._company = company
        self._account_of = account_of
        self._requests = 0
        self._lock = threading.Lock()

    def answer(self, request: Request, config: SimulatorConfig) -> Response:
        """Return the answer in the shape that the configuration names."""
        if request.method != "POST":
            refusal = error_response(config, 405, "Method not allowed", "METHOD_NOT_ALLOWED")
            return refusal.with_headers([("Allow", "POST")])
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        account = self._account_of(token.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            return unauthorized(config)
        if not _is_tenant_accepted(request, config):
            message = "X-Tenant-Id is missing or not your tenant"
            return error_response(config, 403, message, "FORBIDDEN")
        try:
            requested = _parse(request.body, self._company, config)
            return _compress(self._answer_rows(requested, account, config), request, config)
        except InvalidRequest as invalid:
            return error_response(config, int(config.error_style), invalid.message, invalid.code)

    def _answer_rows(
        self, requested: ReportRequest, account: Account, config: SimulatorConfig
    ) -> Response:
        with self._lock:
            self._requests += 1
            turn = self._requests
        rows = _order(requested.select_rows(self._company, account), config, turn)
        if config.duplicate_every:
            rows = [twin for n, one in enumerate(rows, 1) for twin in _duplicate(one, n, config)]
        rows = _move(rows, requested.page, config)
        total, limit, page = len(rows), requested.limit or len(rows), requested.page
        if config.cap is not None:
            limit = min(limit, config.cap)
        pages = math.ceil(total / limit) if limit else 0
        if page > max(pages, 1):
            if config.past_end == "refused":
                raise InvalidRequest(f"page must not exceed {pages}")
            page = pages if config.past_end == "clamped" else page
        shown = rows[(page - 1) * limit : page * limit]
        if config.cap is not None and config.cap_hidden:
            total, pages = len(shown), page
        shown_limit = requested.limit if config.cap is None else limit
        shown_total = total + config.total_offset + config.total_drift * (turn - 1)
        content = {"data": encode_rows(shown, requested.columns, config)} | _pagination(
            config, page=page, limit=shown_limit, total=shown_total, pages=pages
        )
        return json_response(200, content).with_notes(rows=len(shown))


def unauthorized(config: SimulatorConfig) -> Response:
    """Return 401: no token, an invalid or expired one, or one of a session that has ended."""
    return error_response(config, 401, "Unauthorized", "UNAUTHORIZED").with_headers(
        [("WWW-Authenticate", "Bearer")]
    )


def error_response(config: SimulatorConfig, status: int, message: str, code: str) -> Response:
    """Return an error in the shape of ``error_body``: the real shapes are not documented."""
    if config.error_body == "plain":
        return text_response(status, message)
    if config.error_body == "html":
        page = f"<html><body><h1>{status}</h1><p>{message}</p></body></html>"
        return text_response(status, page, "text/html")
    if config.error_body == "detail":
        return json_response(status, {"detail": message})
    return json_response(status, {"status": False, "message": message, "error_code": code})


def _is_tenant_accepted(request: Request, config: SimulatorConfig) -> bool:
    tenant = request.headers.get("x-tenant-id")
    return (
        config.tenant_header == "ignored"
        or tenant == config.customer_id
        or (tenant is None and config.tenant_header == "optional")
    )


def _parse(raw: bytes, company: Company, config: SimulatorConfig) -> ReportRequest:
    columns = (set(COLUMNS) - set(config.refuse_columns)) | set(config.extra_columns)
    requested = parse_request(raw, company, columns, config.default_limit)
    if config.max_days and (requested.last_day - requested.first_day).days >= config.max_days:
        raise InvalidRequest(f"Date range must not exceed {config.max_days} days")
    if requested.limit == 0 and config.zero_limit == "refused":
        raise InvalidRequest("limit must be greater than 0")
    if requested.limit == 0 and config.zero_limit == "default":
        return replace(requested, limit=config.default_limit)
    return requested


def _order(rows: list[ReportRow], config: SimulatorConfig, turn: int) -> list[ReportRow]:
    if config.order == "by_person":
        return sorted(rows, key=lambda one: one.person.number)
    if config.order in {"shuffled", "unstable"}:
        rng_for(config.seed, "order", turn if config.order == "unstable" else 0).shuffle(rows)
    return rows


def _duplicate(one: ReportRow, number: int, config: SimulatorConfig) -> list[ReportRow]:
    if number % config.duplicate_every:
        return [one]
    return [one, _changed(one) if config.duplicates_differ else one]


def _changed(one: ReportRow) -> ReportRow:
    row: dict[str, Any] = one.row
    changes = {name: (row[name] or 0) + 1 for name in ("key_presses", "active_duration")}
    return ReportRow(one.person, {**row, **changes})


def _move(rows: list[ReportRow], page: int, config: SimulatorConfig) -> list[ReportRow]:
    """Insert, delete or change rows between the first page and the others."""
    if config.shift_between_pages == "insert":
        return rows[1:] if page == 1 else rows
    if page == 1 or config.shift_between_pages == "none":
        return rows
    if config.shift_between_pages == "delete":
        return rows[1:]
    return [_changed(one) for one in rows]


def _pagination(
    config: SimulatorConfig, *, page: int, limit: int, total: int, pages: int
) -> dict[str, Any]:
    """Return the fields next to the rows.

    Live clients have seen the name ``pagination`` and its ``has_next``; the rest is a guess.
    """
    convert: Callable[[Any], Any] = str if config.totals_as_text else lambda value: value
    more = page < pages
    shown_page, shown_limit = convert(page), convert(limit)
    shown_total, shown_pages = convert(total), convert(pages)
    full = {
        "page": shown_page,
        "limit": shown_limit,
        "total_records": shown_total,
        "total_pages": shown_pages,
        "has_next": more,
        "has_previous": page > 1,
    }
    camel = {"page": shown_page, "totalRecords": shown_total, "hasNext": more}
    short = {"page": shown_page, "per_page": shown_limit, "total": shown_total}
    forms: dict[str, dict[str, Any]] = {
        "full": {"pagination": full},
        "has_next": {"pagination": {"has_next": more}},
        "total_pages": {"pagination": {"page": shown_page, "total_pages": shown_pages}},
        "camel": {"pagination": camel},
        "short": {"pagination": short},
        "top_level": {"total_records": shown_total, "page": shown_page, "limit": shown_limit},
        "null": {"pagination": None},
        "absent": {},
    }
    meta = {"meta": {"generated_in_ms": 12, "version": "simulator"}} if config.meta else {}
    return forms[config.pagination] | meta


def _compress(answer: Response, request: Request, config: SimulatorConfig) -> Response:
    if not config.compress or "gzip" not in request.headers.get("accept-encoding", ""):
        return answer
    return replace(answer, body=gzip.compress(answer.body, 1)).with_headers(
        [("Content-Encoding", "gzip")]
    )
