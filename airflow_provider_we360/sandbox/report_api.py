"""The Dynamic Report: rows in pages, in the forms that the live API uses."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sandbox.company import Company
from airflow_provider_we360.sandbox.config import Account
from airflow_provider_we360.sandbox.http import Request, Response, json_response
from airflow_provider_we360.sandbox.report_request import InvalidRequest, parse_request
from airflow_provider_we360.types import Value


def answer_report(
    request: Request, company: Company, account: Account | None, customer_id: str
) -> Response:
    """Response a report request.

    :param account: whose access token came with the request; None if no token or no valid one did.
    """
    if request.method != "POST":
        return error_response(405, "Method not allowed", "METHOD_NOT_ALLOWED", Allow="POST")
    if account is None:
        return error_response(401, "Unauthorized", "UNAUTHORIZED", WWW_Authenticate="Bearer")
    # Some live clients send no X-Tenant-Id, so only a wrong one is refused.
    if request.headers.get("x-tenant-id", customer_id) != customer_id:
        return error_response(403, "X-Tenant-Id is missing or not your tenant", "FORBIDDEN")
    try:
        requested = parse_request(request.body, company)
    except InvalidRequest as invalid:  # live answers report errors with status 200
        return error_response(200, invalid.message, invalid.code)
    rows = requested.select_rows(company, account)
    # Limit 0 requests all rows in one answer.
    limit = requested.limit or len(rows)
    pages = math.ceil(len(rows) / limit) if limit else 0
    shown = rows[(requested.page - 1) * limit : requested.page * limit]
    content = {
        "data": [
            {name: encode_value(name, one.row[name]) for name in requested.columns} for one in shown
        ],
        "pagination": {
            "page": requested.page,
            # The requested limit, not the number of rows shown: 0 stays 0.
            "limit": requested.limit,
            "total_records": len(rows),
            "total_pages": pages,
            "has_next": requested.page < pages,
            "has_previous": requested.page > 1,
        },
    }
    return json_response(200, content)


def error_response(status: int, message: str, code: str, **headers: str) -> Response:
    """Return an error in the shape that live clients have seen."""
    content = {"status": False, "message": message, "error_code": code}
    return json_response(status, content, **headers)


def encode_value(name: str, value: Value) -> Any:
    """Return what the JSON holds for a value of this column."""
    if value is None:
        return "-"
    if isinstance(value, int) and REPORT.column(name).kind is Kind.DURATION:
        return encode_duration(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, dt.date) else value


def encode_duration(seconds: int) -> str:
    """Return ``H:MM:SS``; hours have no upper bound."""
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
