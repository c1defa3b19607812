"""Probe: a fingerprint of how one tenant's API really answers, for what no document tells. Names and forms, never a value.

It asks for the last seven days, some twenty times. What it may say of a text is its form (``H:MM:SS``, ``UUID``, ``text``), of
an answer its fields' names and types, of a count whether it is what was asked for. A customer can read it and send it in.
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
from airflow_provider_we360.rows.values import NOTHING

VERSION = 1
LIMITS = (1, 2, 100, 500, 501, 1000, 10_000)
NO_SUCH_COLUMN = "we360_probe_no_such_column"
NOBODY = "00000000-0000-0000-0000-000000000000"

_FORMS = (
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


def build_fingerprint(trial: ConnectionTest) -> dict[str, Any]:
    """All of it. The trial must be good for a report.

    :raises We360Error: no token, or no answer at all.
    """
    questions = _Questions(trial)
    everything = questions.ask()
    return {
        "fingerprint": VERSION,
        "provider": __version__,
        "connection": _connection(trial),
        "token": _token(trial),
        "answer": _shape(everything),
        "headers": sorted({name.lower() for name in everything.headers}),
        "columns": questions.columns(everything),
        "rows": questions.order(everything),
        "limits": questions.limits(everything),
        "past_the_end": questions.past_the_end(),
        "short_dates": _verdict(
            questions.ask(
                start_date=questions.first.isoformat(), end_date=questions.last.isoformat()
            )
        ),
        "summary": _verdict(questions.ask(mode="summary", columns=["identity_id"])),
        "errors": questions.errors(),
    }


class _Questions:
    """Questions of one tenant over the same seven days, all in the default columns unless they say otherwise."""

    def __init__(self, trial: ConnectionTest) -> None:
        self._trial = trial
        self._report: Report = reports.get("dynamic_report")
        self.last = trial.yesterday
        self.first = self.last - dt.timedelta(days=6)
        mode = self._report.modes["detailed"]
        self._key, self._asked = mode.key, mode.default_columns
        self._body = self._report.body(Query(self.first, self.last, "detailed", self._asked))

    def ask(self, **changes: Any) -> httpx.Response:
        return self._trial.post(self._report.path, self._body | changes)

    def columns(self, everything: httpx.Response) -> dict[str, list[str]]:
        """The forms in which values of each column come. Of columns that nobody asked for, only that there are some."""
        rows = _rows(everything)
        forms = {
            name: sorted({_form(row[name]) if name in row else "absent" for row in rows})
            for name in self._asked
        }
        return forms | (
            {"(not asked for)": ["present"]}
            if any(set(row) - set(self._asked) for row in rows)
            else {}
        )

    def order(self, everything: httpx.Response) -> dict[str, Any]:
        """Whether two equal questions bring rows in one order, and whether that is an order by the key."""
        first, second = self._keys(everything), self._keys(self.ask())
        days = [key[0] for key in first]
        return {
            "any": bool(first),
            "the_same_twice": first == second,
            "the_same_set_twice": sorted(first) == sorted(second),
            "sorted_by_day": days == sorted(days),
            "sorted_by_key": first == sorted(first),
            "keys_twice": len(first) != len(set(first)),
            "total_is_their_number": _total_is(everything, len(first)),
        }

    def limits(self, everything: httpx.Response) -> dict[str, str]:
        """What comes for each size of page: as many, all there are, or a cap."""
        there = len(_rows(everything))
        whole = "all" if not there or not self._follows(everything, there) else f"capped at {there}"
        told = {"0": whole if there else "no rows"}
        for limit in LIMITS:
            response = self.ask(page=1, limit=limit)
            count = len(_rows(response))
            if not response.is_success or (not count and there):
                told[str(limit)] = _verdict(response)
            elif count == limit:
                told[str(limit)] = (
                    "as many"
                    if limit <= there
                    else "as many, and more than limit 0 gave: that is capped"
                )
            else:
                told[str(limit)] = (
                    whole
                    if count == there
                    else f"capped at {count}"
                    if count < limit
                    else "more than asked"
                )
        return told

    def _follows(self, everything: httpx.Response, there: int) -> bool:
        """Whether a second page holds rows that an answer without limit did not: it was cut off, whatever it said."""
        return bool(set(self._keys(self.ask(page=2, limit=there))) - set(self._keys(everything)))

    def past_the_end(self) -> str:
        """What a page far behind the last one holds."""
        response = self.ask(page=1_000_000, limit=2)
        return "rows: the last page is repeated" if _rows(response) else _verdict(response)

    def errors(self) -> dict[str, Any]:
        """The shapes of refusals."""
        wrong: dict[str, dict[str, Any]] = {
            "unknown column": {"columns": [*self._key, NO_SUCH_COLUMN], "limit": 1},
            "unknown mode": {"mode": "we360_probe", "limit": 1},
            "unknown user_id": {"user_id": NOBODY, "limit": 1},
            "user_id that is no UUID": {"user_id": "we360-probe", "limit": 1},
            "end before start": {
                "start_date": self._body["end_date"],
                "end_date": self._body["start_date"],
                "limit": 1,
            },
            "day column in summary": {"mode": "summary", "columns": list(self._key), "limit": 1},
        }
        return {name: self._refusal(self.ask(**changes)) for name, changes in wrong.items()}

    def _refusal(self, response: httpx.Response) -> dict[str, Any]:
        names_it = NO_SUCH_COLUMN in response.text
        return _shape(response) | ({"names_the_column": True} if names_it else {})

    def _keys(self, response: httpx.Response) -> list[tuple[str, ...]]:
        return [tuple(str(row.get(name)) for name in self._key) for row in _rows(response)]


def _connection(trial: ConnectionTest) -> dict[str, Any]:
    settings = trial.settings
    usual = (httpx.URL(DEFAULT_HOST), httpx.URL(DEFAULT_AUTH_URL), DEFAULT_REALM)
    return {
        "usual_hosts_and_realm": (settings.api_url.host, settings.auth_url.host, settings.realm)
        == (usual[0].host, usual[1].host, usual[2]),
        "timezone": settings.timezone,
    }


def _token(trial: ConnectionTest) -> dict[str, Any]:
    """What the token says of the server's ways: names of claims, no value of one but ``typ`` and the lifetime."""
    token = trial.login()
    access, refresh = unverified_claims(token.access_token), unverified_claims(token.refresh_token)
    return {
        "lifetime_s": round(token.lifetime_s),
        "claims": sorted(access),
        "refresh_token": None
        if token.refresh_token is None
        else {
            "typ": _word(refresh.get("typ")),
            "ends": "exp" in refresh,
            "works_once": "reuse_id" in refresh,
        },
    }


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z]{1,20}", value) else None


def _shape(response: httpx.Response) -> dict[str, Any]:
    """Status and content type of an answer, and names and types of all that stands beside its rows."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return {"status": response.status_code, "content_type": kind, "fields": _fields(response)}


def _fields(response: httpx.Response) -> Any:
    body = _json(response)
    if not isinstance(body, dict):
        return _type(body)
    parts = {name: part for name, part in body.items() if isinstance(part, dict) and name != "data"}
    types = {name: _type(part) for name, part in body.items()}
    return types | {
        name: {inner: _type(value) for inner, value in part.items()} for name, part in parts.items()
    }


def _verdict(response: httpx.Response) -> str:
    """How a question was taken, in few words."""
    body = _json(response)
    if not response.is_success:
        return f"refused (HTTP {response.status_code})"
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return "refused (HTTP 200, without rows)"
    return "rows" if body["data"] else "empty"


def _rows(response: httpx.Response) -> list[dict[str, Any]]:
    body = _json(response)
    data = body.get("data") if isinstance(body, dict) else None
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def _total_is(response: httpx.Response, count: int) -> list[str]:
    """Names of the metadata whose number is the number of rows."""
    body = _json(response)
    parts: Iterable[Mapping[str, Any]] = [body, *body.values()] if isinstance(body, dict) else []
    numbers = [
        (name, value) for part in parts if isinstance(part, dict) for name, value in part.items()
    ]
    return sorted(
        {
            name
            for name, value in numbers
            if str(value) == str(count) and not isinstance(value, bool)
        }
    )


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _type(value: object) -> str:
    names = {
        bool: "boolean",
        int: "number",
        float: "number",
        str: "text",
        list: "list",
        dict: "object",
        type(None): "null",
    }
    return names[type(value)]


def _form(value: object) -> str:
    """The form of a value, which tells nothing of it."""
    if not isinstance(value, str):
        return _type(value)
    if value in NOTHING:
        return f"nothing (U+{ord(value):04X})" if value else "nothing (empty text)"
    return next((name for name, pattern in _FORMS if re.fullmatch(pattern, value)), "text")
