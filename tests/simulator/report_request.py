"""The body of a report request, read and checked as the server checks it."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.company import COLUMNS, PER_DAY_COLUMNS, Company
from simulator.config import SimulatorConfig

_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})([T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?")


class Invalid(Exception):
    """The request is refused. The message names the field, and is shown to whoever asked."""

    def __init__(self, message: str, code: str = "VALIDATION_ERROR") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for. Empty filters mean everybody."""

    first_day: dt.date
    last_day: dt.date
    mode: str
    columns: tuple[str, ...]
    page: int
    limit: int
    group_ids: frozenset[str]
    user_ids: frozenset[str]
    shift_ids: frozenset[str]


def body_of(raw: bytes) -> dict[str, Any]:
    """The JSON object.

    :raises Invalid: where it is none.
    """
    try:
        body = json.loads(raw)
    except ValueError:
        raise Invalid("Request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Invalid("Request body must be a JSON object")
    return body


def question(body: dict[str, Any], company: Company, config: SimulatorConfig) -> Question:
    """The checked question.

    :raises Invalid: for the first thing that is wrong.
    """
    first_day, last_day = _day(body, "start_date"), _day(body, "end_date")
    if last_day < first_day:
        raise Invalid("end_date must not be before start_date")
    if config.max_days and (last_day - first_day).days >= config.max_days:
        raise Invalid(f"Date range must not exceed {config.max_days} days")
    mode = body.get("mode")
    if mode not in {"summary", "detailed"}:
        raise Invalid("mode must be one of: summary, detailed")
    limit = _whole_number(body, "limit", config.default_limit, at_least=0)
    if limit == 0 and config.zero_limit == "refused":
        raise Invalid("limit must be greater than 0")
    if limit == 0 and config.zero_limit == "default":
        limit = config.default_limit
    return Question(
        first_day,
        last_day,
        str(mode),
        _columns(body.get("columns"), str(mode), config),
        _whole_number(body, "page", 1, at_least=1),
        limit,
        _ids(body, "group_id", (group.id for group in company.groups)),
        _ids(body, "user_id", (person.identity_id for person in company.people)),
        _ids(body, "shift", (shift.id for shift in company.shifts)),
    )


def _day(body: dict[str, Any], name: str) -> dt.date:
    value = body.get(name)
    if not value:
        raise Invalid(f"{name} is required")
    try:
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise ValueError
        return dt.datetime.fromisoformat(value).date()
    except ValueError:
        raise Invalid(
            f"{name} must be YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, without a time zone"
        ) from None


def _whole_number(body: dict[str, Any], name: str, default: int, at_least: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise Invalid(f"{name} must be a whole number, {at_least} or more")
    return value


def _columns(value: object, mode: str, config: SimulatorConfig) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise Invalid("columns is required: a list of column names")
    known = set(COLUMNS) - set(config.refuse_columns) | set(config.extra_columns)
    if unknown := [name for name in value if name not in known]:
        raise Invalid(f"Invalid columns: {', '.join(map(str, unknown))}", "INVALID_COLUMN")
    if mode == "summary" and (daily := [name for name in value if name in PER_DAY_COLUMNS]):
        raise Invalid(f"Columns not allowed in summary mode: {', '.join(daily)}", "INVALID_COLUMN")
    return tuple(dict.fromkeys(value))


def _ids(body: dict[str, Any], name: str, known: Iterable[str]) -> frozenset[str]:
    """Comma-separated text, or a list: the documents show text for two filters and a list for the third."""
    value = body.get(name) or []
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise Invalid(f"{name} must hold UUIDs", "FILTER_VALIDATION_ERROR")
    wanted = frozenset(part.strip() for part in parts if part.strip())
    if strange := wanted - set(known):
        raise Invalid(f"Invalid {name}: {', '.join(sorted(strange))}", "FILTER_VALIDATION_ERROR")
    return wanted
