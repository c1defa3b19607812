"""The body of a report request, read and checked as the server checks it."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from airflow_provider_we360.sandbox.company import COLUMNS, PER_DAY_COLUMNS, Company, ReportRow
from airflow_provider_we360.sandbox.config import Account

_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})([T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?")


class InvalidRequest(Exception):
    """The server refuses the request. The client sees message and code."""

    def __init__(self, message: str, code: str = "VALIDATION_ERROR") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """A checked request. An empty filter selects everyone."""

    first_day: dt.date
    last_day: dt.date
    mode: str
    columns: tuple[str, ...]
    page: int
    limit: int
    group_ids: frozenset[str]
    user_ids: frozenset[str]
    shift_ids: frozenset[str]

    def select_rows(self, company: Company, account: Account) -> list[ReportRow]:
        """Return the rows that the filters select and the account may see."""
        return [
            one
            for one in company.report_rows(self.first_day, self.last_day, self.mode)
            if self._selects(one, account)
        ]

    def _selects(self, one: ReportRow, account: Account) -> bool:
        person, group = one.person, one.person.group
        names = {group.name if group else None, person.columns["employee_id"]}
        return (
            (account.sees is None or not names.isdisjoint(account.sees))
            and (not self.group_ids or (group is not None and group.id in self.group_ids))
            and (not self.user_ids or person.identity_id in self.user_ids)
            and (not self.shift_ids or person.shift.id in self.shift_ids)
        )


def parse_request(
    raw: bytes,
    company: Company,
    columns: Collection[str] = COLUMNS,
    default_limit: int = 50,
) -> ReportRequest:
    """Return the checked request.

    :param columns: the names that the report knows.
    :raises InvalidRequest: for the first thing that is wrong.
    """
    try:
        body = json.loads(raw)
    except ValueError:
        raise InvalidRequest("Request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise InvalidRequest("Request body must be a JSON object")
    first_day, last_day = _parse_day(body, "start_date"), _parse_day(body, "end_date")
    if last_day < first_day:
        raise InvalidRequest("end_date must not be before start_date")
    mode = body.get("mode")
    if mode not in {"summary", "detailed"}:
        raise InvalidRequest("mode must be one of: summary, detailed")
    return ReportRequest(
        first_day,
        last_day,
        mode,
        _parse_columns(body.get("columns"), mode, columns),
        _parse_number(body, "page", 1, minimum=1),
        _parse_number(body, "limit", default_limit, minimum=0),
        _parse_ids(body, "group_id", (group.id for group in company.groups)),
        _parse_ids(body, "user_id", (person.identity_id for person in company.people)),
        _parse_ids(body, "shift", (shift.id for shift in company.shifts)),
    )


def _parse_day(body: dict[str, Any], name: str) -> dt.date:
    value = body.get(name)
    if not value:
        raise InvalidRequest(f"{name} is required")
    try:
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise ValueError
        return dt.datetime.fromisoformat(value).date()
    except ValueError:
        message = f"{name} must be YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, without a time zone"
        raise InvalidRequest(message) from None


def _parse_number(body: dict[str, Any], name: str, default: int, minimum: int) -> int:
    value = body.get(name, default)
    # bool is a subclass of int, and "page": true is not page 1.
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InvalidRequest(f"{name} must be a whole number, {minimum} or more")
    return value


def _parse_columns(value: object, mode: str, known: Collection[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest("columns is required: a list of column names")
    if unknown := [name for name in value if name not in known]:
        raise InvalidRequest(f"Invalid columns: {', '.join(map(str, unknown))}", "INVALID_COLUMN")
    if mode == "summary" and (daily := [name for name in value if name in PER_DAY_COLUMNS]):
        message = f"Columns not allowed in summary mode: {', '.join(daily)}"
        raise InvalidRequest(message, "INVALID_COLUMN")
    # A column that is requested twice comes once: JSON objects have no duplicates.
    return tuple(dict.fromkeys(value))


def _parse_ids(body: dict[str, Any], name: str, known: Iterable[str]) -> frozenset[str]:
    """Return the IDs of a filter. The documents show text for two filters, a list for the third."""
    value = body.get(name) or []
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise InvalidRequest(f"{name} must hold UUIDs", "FILTER_VALIDATION_ERROR")
    wanted = frozenset(part.strip() for part in parts if part.strip())
    if unknown := wanted - set(known):
        message = f"Invalid {name}: {', '.join(sorted(unknown))}"
        raise InvalidRequest(message, "FILTER_VALIDATION_ERROR")
    return wanted
