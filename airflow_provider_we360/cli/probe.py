"""A fingerprint of how one tenant's API answers: names and formats, never a value of a row.

It reads the last seven days about twenty times. Of a text it reports the format (``H:MM:SS``,
``UUID``, ``text``), of an answer the names and types of its fields, of a count whether it is the
requested one. A customer can read it before attaching it to an issue.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from airflow_provider_we360 import __version__
from airflow_provider_we360.auth.token import unverified_claims
from airflow_provider_we360.client import reports
from airflow_provider_we360.client.report import Query, Report
from airflow_provider_we360.connection import DEFAULT_AUTH_URL, DEFAULT_HOST, DEFAULT_REALM
from airflow_provider_we360.hooks.connection_test import ConnectionTest
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.rows.values import NOTHING

VERSION = 1
# Around 500, the documented maximum, and far above it: servers cap silently.
LIMITS = (1, 2, 100, 500, 501, 1000, 10_000)
# Names that no tenant has. The API's reaction to them is a fact of its own.
NO_SUCH_COLUMN = "we360_probe_no_such_column"
NO_SUCH_USER = "00000000-0000-0000-0000-000000000000"

# The first that fits is reported. Nothing of the value itself is, and anything else is "text".
_FORMATS = (
    ("H:MM:SS", r"\d+:\d\d:\d\d"),
    ("MM:SS", r"\d{1,2}:\d\d"),
    ("text of an integer", r"-?\d+"),
    ("text of a number", r"-?\d*\.\d+"),
    ("YYYY-MM-DD", r"\d{4}-\d\d-\d\d"),
    ("YYYY-MM-DD HH:MM:SS", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    ("YYYY-MM-DDTHH:MM:SS", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"),
    ("a moment of another form", r"\d{4}-\d\d-\d\d[T ].*"),
    ("UUID", r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
)
_TYPES = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
    type(None): "null",
}


def build_fingerprint(test: ConnectionTest) -> dict[str, Any]:
    """Return the whole fingerprint. The account must be able to read a report.

    :raises We360Error: there is no token, or no answer at all.
    """
    probe = _Probe(test)
    everything = probe.send()
    plain_dates = {"start_date": probe.first.isoformat(), "end_date": probe.last.isoformat()}
    return {
        "fingerprint": VERSION,
        "provider": __version__,
        "connection": _describe_connection(test),
        "token": _describe_token(test),
        "answer": _describe_shape(everything),
        # Fields around the rows that the client cannot judge: they may say that rows are missing.
        "unknown_fields": sorted(foreign_text(name, 40) for name in test.fetch_one_row().unknown),
        "headers": sorted({name.lower() for name in everything.headers}),
        "columns": probe.describe_columns(everything),
        "rows": probe.describe_order(everything),
        "limits": probe.describe_limits(everything),
        "past_the_end": probe.describe_last_page(),
        "short_dates": _judge(probe.send(**plain_dates)),
        "summary": _judge(probe.send(mode="summary", columns=["identity_id"])),
        "errors": probe.describe_errors(),
    }


class _Probe:
    """Requests for the same seven days, with the default columns unless a change says otherwise."""

    def __init__(self, test: ConnectionTest) -> None:
        self._test = test
        self._report: Report = reports.get("dynamic_report")
        self.last = test.yesterday
        self.first = self.last - dt.timedelta(days=6)
        mode = self._report.modes["detailed"]
        self._key, self._columns = mode.key, mode.default_columns
        self._body = self._report.body(Query(self.first, self.last, "detailed", self._columns))

    def send(self, **changes: Any) -> httpx.Response:
        return self._test.post(self._report.path, self._body | changes)

    def describe_columns(self, everything: httpx.Response) -> dict[str, list[str]]:
        """Return the formats of each column's values.

        Of columns that were not requested, only that there are some: their names could be any.
        """
        # A column can come in several formats, such as a punch time that is null on days off.
        rows = _rows_of(everything)
        formats = {
            name: sorted({_format_of(row[name]) if name in row else "absent" for row in rows})
            for name in self._columns
        }
        has_more = any(set(row) - set(self._columns) for row in rows)
        return formats | ({"(not requested)": ["present"]} if has_more else {})

    def describe_order(self, everything: httpx.Response) -> dict[str, Any]:
        """Return whether two equal requests bring rows in one order, and which order that is."""
        first, second = self._keys_of(everything), self._keys_of(self.send())
        days = [key[0] for key in first]
        return {
            "any": bool(first),
            "the_same_twice": first == second,
            "the_same_set_twice": sorted(first) == sorted(second),
            "sorted_by_day": days == sorted(days),
            "sorted_by_key": first == sorted(first),
            "keys_twice": len(first) != len(set(first)),
            "total_is_their_number": _names_with_value(everything, len(first)),
        }

    def describe_limits(self, everything: httpx.Response) -> dict[str, str]:
        """Return what comes for each page size: as many rows, all there are, or a cap."""
        total = len(_rows_of(everything))
        complete = (
            "all" if not total or not self._has_second_page(everything) else f"capped at {total}"
        )
        found = {"0": complete if total else "no rows"}
        for limit in LIMITS:
            response = self.send(page=1, limit=limit)
            count = len(_rows_of(response))
            if not response.is_success or (not count and total):
                found[str(limit)] = _judge(response)
            elif count == limit <= total:
                found[str(limit)] = "as many"
            elif count == limit:
                found[str(limit)] = "as many, and more than limit 0 gave: that is capped"
            elif count == total:
                found[str(limit)] = complete
            else:
                found[str(limit)] = f"capped at {count}" if count < limit else "more than asked"
        return found

    def _has_second_page(self, everything: httpx.Response) -> bool:
        """Return True if a second page holds more rows: the answer without limit was cut off."""
        second = self.send(page=2, limit=len(_rows_of(everything)))
        return bool(set(self._keys_of(second)) - set(self._keys_of(everything)))

    def describe_last_page(self) -> str:
        """Return what a page far behind the last one holds."""
        response = self.send(page=1_000_000, limit=2)
        return "rows: the last page is repeated" if _rows_of(response) else _judge(response)

    def describe_errors(self) -> dict[str, Any]:
        """Return the shapes of refusals."""
        wrong: dict[str, dict[str, Any]] = {
            "unknown column": {"columns": [*self._key, NO_SUCH_COLUMN], "limit": 1},
            "unknown mode": {"mode": "we360_probe", "limit": 1},
            "unknown user_id": {"user_id": NO_SUCH_USER, "limit": 1},
            "user_id that is no UUID": {"user_id": "we360-probe", "limit": 1},
            "end before start": {
                "start_date": self._body["end_date"],
                "end_date": self._body["start_date"],
                "limit": 1,
            },
            "day column in summary": {"mode": "summary", "columns": list(self._key), "limit": 1},
        }
        found = {}
        for name, changes in wrong.items():
            response = self.send(**changes)
            names_it = {"names_the_column": True} if NO_SUCH_COLUMN in response.text else {}
            found[name] = _describe_shape(response) | names_it
        return found

    def _keys_of(self, response: httpx.Response) -> list[tuple[str, ...]]:
        return [tuple(str(row.get(name)) for name in self._key) for row in _rows_of(response)]


def _describe_connection(test: ConnectionTest) -> dict[str, Any]:
    settings = test.settings
    usual = (httpx.URL(DEFAULT_HOST).host, httpx.URL(DEFAULT_AUTH_URL).host, DEFAULT_REALM)
    given = (settings.api_url.host, settings.auth_url.host, settings.realm)
    return {"usual_hosts_and_realm": given == usual, "timezone": settings.timezone}


def _describe_token(test: ConnectionTest) -> dict[str, Any]:
    """Return the names of the claims, and no value of one but ``typ`` and the lifetime."""
    token = test.login()
    claims = unverified_claims(token.refresh_token)
    typ = claims.get("typ")
    is_word = isinstance(typ, str) and re.fullmatch(r"[A-Za-z]{1,20}", typ)
    refresh = {
        "typ": typ if is_word else None,
        "ends": "exp" in claims,
        "works_once": "reuse_id" in claims,
    }
    return {
        "lifetime_s": round(token.lifetime_s),
        "claims": sorted(unverified_claims(token.access_token)),
        "refresh_token": None if token.refresh_token is None else refresh,
    }


def _describe_shape(response: httpx.Response) -> dict[str, Any]:
    """Return status, content type, and names and types of all fields around the rows."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = _decode(response)
    fields: Any = _type_of(body)
    if isinstance(body, dict):
        fields = {name: _type_of(part) for name, part in body.items()} | {
            name: {inner: _type_of(value) for inner, value in part.items()}
            for name, part in body.items()
            if isinstance(part, dict) and name != "data"
        }
    return {"status": response.status_code, "content_type": kind, "fields": fields}


def _judge(response: httpx.Response) -> str:
    """Return how the API took a request, in few words."""
    body = _decode(response)
    if not response.is_success:
        return f"refused (HTTP {response.status_code})"
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return "refused (HTTP 200, without rows)"
    return "rows" if body["data"] else "empty"


def _rows_of(response: httpx.Response) -> list[dict[str, Any]]:
    body = _decode(response)
    data = body.get("data") if isinstance(body, dict) else None
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def _names_with_value(response: httpx.Response, count: int) -> list[str]:
    """Return the names of the metadata whose number is the number of rows."""
    body = _decode(response)
    parts: Iterable[Mapping[str, Any]] = [body, *body.values()] if isinstance(body, dict) else []
    return sorted(
        {
            name
            for part in parts
            if isinstance(part, dict)
            for name, value in part.items()
            if str(value) == str(count) and not isinstance(value, bool)
        }
    )


def _decode(response: httpx.Response) -> Any:
    # The standard library, not the client's decoder: the probe must see what the client would not.
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _type_of(value: object) -> str:
    return _TYPES[type(value)]


def _format_of(value: object) -> str:
    """Return the format of a value, which reveals nothing of it."""
    if not isinstance(value, str):
        return _type_of(value)
    if value in NOTHING:
        return f"nothing (U+{ord(value):04X})" if value else "nothing (empty text)"
    return next((name for name, pattern in _FORMATS if re.fullmatch(pattern, value)), "text")
