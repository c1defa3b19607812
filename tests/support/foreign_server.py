"""A second server of the same API, written from the API's facts and not from the simulator.

The two share no code, so they share no mistake. If the API is undocumented, this server behaves
unlike the simulator: metadata come before the rows, columns in reverse order, rows by person and
not by day, and every request that the documents do not name is refused. Standard library only.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import random
import re
import secrets
import threading
import time
import urllib.parse
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

CUSTOMER_ID, USERNAME, PASSWORD = "blue-heron-mills", "etl@blueheron.example", "pa ss+w&rd=%20ü"
REALM, REPORT = "/realms/ind-prod/protocol/openid-connect", "/query/external/reports/dynamic_report"
FIELDS = {
    "start_date",
    "end_date",
    "mode",
    "columns",
    "page",
    "limit",
    "group_id",
    "user_id",
    "shift",
}
SPENT = ("punch", "online", "active", "idle", "break", "productive", "unproductive", "neutral")
COUNTS = ("online_in_sec", "key_presses", "mouse_clicks")
NAMES = (
    "Aarav Sharma|आराध्या वर्मा|தமிழ் செல்வி|Zoë O'Brien|李 小龙|محمد خان|Ravi|Ravi Kumar|"
    "𝒜da Lovelace|Nguyễn Hoa|👩🏽‍💻 Dev|José Ñandú|ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ|Björk Ðóttir|שרה לוי|"
    "Åsa Öberg|한 지민|Sofía Ω|Ngũgĩ Wa|Null None|N/A Nil|Иван Ёлкин|"
    "ఆదిత్య రెడ్డి"
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """What this server does if the documents leave it open.

    :param faults: pairs of a data request's number, from 1, and its fault: ``503``, ``429``,
        ``slow``, ``dead_token``, ``truncated`` (with a matching length) or ``cut_off`` (without).
    """

    pagination: Literal["full", "renamed", "has_next", "total_pages", "top_level", "absent"] = (
        "full"
    )
    totals_as_text: bool = False
    zero: Literal["all", "refuse_400"] = "all"
    cap: int | None = None
    past_end: Literal["empty", "last_page", "404"] = "empty"
    order: Literal["by_person", "shuffled"] = "by_person"
    """``shuffled``: another order for each first page."""
    duplicate_every: int = 0
    durations: Literal["h_mm_ss", "mm_ss", "seconds", "seconds_text", "mixed"] = "h_mm_ss"
    nothing: Literal["-", "\u2013", "\u2014", "", "null", "absent", "mixed"] = "-"
    punches: Literal["blank", "t", "offset", "utc", "mixed"] = "blank"
    numbers: Literal["number", "text", "mixed"] = "number"
    extra_column: bool = False
    errors: Literal["plain", "html", "json", "status_false"] = "plain"
    expires_in: Literal["number", "text", "zero", "absent"] = "number"
    access_lifetime: int = 36_000
    refresh_lifetime: int = 0
    """0: no end, and none is reported."""
    rotating: bool = False
    jwt: bool = True
    bad_login_status: int = 400
    empty_scope: bool = False
    slow_seconds: float = 1.0
    faults: tuple[tuple[int, str], ...] = ()


VARIANTS: Mapping[str, Variant] = {
    "plain": Variant(),
    "capped": Variant(
        "renamed",
        totals_as_text=True,
        cap=17,
        order="shuffled",
        numbers="text",
        nothing="\u2013",
        punches="t",
        expires_in="text",
    ),
    "no_metadata": Variant(
        "absent",
        durations="seconds",
        nothing="absent",
        punches="offset",
        jwt=False,
        expires_in="absent",
    ),
    "no_metadata_capped": Variant(
        "absent", cap=17, past_end="last_page", durations="seconds_text", nothing="null"
    ),
    "refuses_zero": Variant(
        "top_level",
        zero="refuse_400",
        past_end="404",
        errors="html",
        durations="mm_ss",
        nothing="\u2014",
        punches="utc",
    ),
    "rotating": Variant(
        rotating=True,
        access_lifetime=60,
        refresh_lifetime=60,
        bad_login_status=401,
        nothing="",
        errors="json",
    ),
    "rough": Variant(
        "has_next",
        duplicate_every=5,
        durations="mixed",
        nothing="mixed",
        punches="mixed",
        numbers="mixed",
        extra_column=True,
        faults=((2, "503"), (4, "429"), (6, "truncated"), (8, "dead_token")),
    ),
    "empty_scope": Variant(empty_scope=True, expires_in="zero", errors="status_false"),
}


class Company:
    """23 people over some days, the same for a seed; no one works on Sundays, 17 on Saturdays."""

    def __init__(self, seed: int, first_day: dt.date, days: int) -> None:
        self.seed, self.first_day, self.last_day = (
            seed,
            first_day,
            first_day + dt.timedelta(days=days - 1),
        )
        self._ids = random.Random(seed)
        self.groups, self.shifts = (
            [self._uuid() for _ in range(3)],
            [self._uuid() for _ in range(2)],
        )
        self.people = [
            self._person(number, *name.partition(" ")[::2])
            for number, name in enumerate(NAMES.split("|"))
        ]

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def _person(self, number: int, first: str, last: str) -> Row:
        names = {
            "first_name": first,
            "last_name": last or None,
            "manager": "Zoë" if number else None,
            "keka_department": None,
        }
        contact = {
            "phone_number": f"+91 98{number:08}",
            "email": None if number in (4, 11) else f"p{number}@blueheron.example",
            "gender": None,
        }
        company = {
            "employee_id": f"{number:04}",
            "group_name": ("Weberei Süd", "कताई", "Ops — night")[number % 3],
        }
        other = {
            "secondary_email": None,
            "designation": 'Weaver, "B"',
            "created_date": "2024-02-29",
        }
        ids = {
            "identity_id": self._uuid(),
            "_group": self.groups[number % 3],
            "_shift": self.shifts[number % 3 == 2],
        }
        return {**ids, **names, **contact, **company, **other, "c_cost_centre": f"00{number % 4}"}

    def detailed(self, first: dt.date, last: dt.date) -> list[Row]:
        """Return typed rows of the days, by day and person."""
        first, last = max(first, self.first_day), min(last, self.last_day)
        days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
        rows = [
            row
            for day in days
            for number in range(len(self.people))
            if (row := self._day(day, number))
        ]
        return sorted(rows, key=lambda row: (row["attendance_date"], row["identity_id"]))

    def _day(self, day: dt.date, number: int) -> Row | None:
        rng, saturday, night = (
            random.Random(f"{self.seed}/{day}/{number}"),
            day.weekday() == 5,
            number % 3 == 2,
        )
        chance = rng.random()
        if day.weekday() == 6 or (saturday and number >= 17) or (not saturday and chance < 0.05):
            return None
        parts = [rng.randrange(12_000), rng.choice((0, 59, 3_599, 3_600)), rng.randrange(4_000)]
        idle, pause = rng.randrange(5_000), rng.choice((0, 61, 1_800))
        online, start = (
            sum(parts) + idle,
            dt.datetime.combine(day, dt.time(22 if night else 9, rng.randrange(60), 7)),
        )
        spent = dict(
            zip(SPENT, (online + pause, online, sum(parts), idle, pause, *parts), strict=True)
        )
        row = {
            **_durations(spent),
            **_percents(spent),
            **dict(zip(COUNTS, (online, parts[0] * 3, parts[2]), strict=True)),
        }
        row |= {
            "top_application_duration": parts[0],
            "top_url_duration": parts[2],
            "punch_in_location": "Unit 4, Surat",
        }
        row |= {
            "punch_date": day,
            "punch_in": start,
            "punch_out": start + dt.timedelta(seconds=online + pause),
        }
        row |= {
            "top_application_used": "Учёт 🧵",
            "top_url_used": "https://example.com/?a=1&b=%F0",
            "punch_out_location": None,
        }
        row["active_percent"] = 101.3 if number == 3 else row["active_percent"]
        if 0.05 <= chance < 0.1:  # on leave: a row that holds nothing
            row = dict.fromkeys(row)
        shift = {
            "shift_name": ("Day", "Night")[night],
            "shift_start_dt": f"{day} 09:00:00",
            "shift_end_dt": None,
        }
        return {**self.people[number], **shift, "attendance_date": day, **row}

    def summary(self, first: dt.date, last: dt.date) -> list[Row]:
        """Return typed rows, one for each person with any row in the days."""
        every, rows = self.detailed(first, last), []
        for person in sorted(self.people, key=lambda person: str(person["identity_id"])):
            if own := [row for row in every if row["identity_id"] == person["identity_id"]]:
                spent = {name: sum(row[f"{name}_duration"] or 0 for row in own) for name in SPENT}
                average = {
                    name.replace("uctive", ""): spent[name] // len(own) for name in SPENT[1:]
                }
                counts = {name: sum(row[name] or 0 for row in own) for name in COUNTS}
                rows.append(
                    {
                        **person,
                        **_durations(spent),
                        **_durations(average, "avg_"),
                        **counts,
                        **_percents(spent),
                    }
                )
        return rows


def _durations(spent: Mapping[str, int], prefix: str = "") -> Row:
    return {f"{prefix}{name}_duration": seconds for name, seconds in spent.items()}


def _percents(spent: Mapping[str, int]) -> Row:
    pairs = {"active": "online", "idle": "online", "productive": "active"}
    return {
        f"{a}_percent": round(100 * spent[a] / spent[b], 1) if spent[b] else None
        for a, b in pairs.items()
    }


def _hours(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


FORMS: Mapping[str, Mapping[str, Callable[[Any], object]]] = {
    "durations": {
        "h_mm_ss": _hours,
        "mm_ss": lambda s: _hours(s).removeprefix("0:"),
        "seconds": int,
        "seconds_text": str,
    },
    "punches": {
        "blank": str,
        "t": lambda moment: moment.isoformat(),
        "offset": lambda moment: f"{moment.isoformat()}+05:30",
        "utc": lambda moment: f"{(moment - dt.timedelta(hours=5, minutes=30)).isoformat()}Z",
    },
    "numbers": {"number": _number, "text": lambda value: str(_number(value))},
    "nothing": {
        "null": lambda _: None,
        "absent": str,
        "-": lambda _: "-",
        "\u2013": lambda _: "\u2013",
        "\u2014": lambda _: "\u2014",
        "": lambda _: "",
    },
}


def _on_the_wire(variant: Variant, row: Row, columns: list[str]) -> Row:
    cells: Row = {"row_colour_hint": "teal"} if variant.extra_column else {}
    for name in reversed(columns):
        value = row[name]
        number = "durations" if name.endswith("_duration") else "numbers"
        kinds = {type(None): "nothing", dt.datetime: "punches", int: number, float: number}
        if (kind := kinds.get(type(value))) is None:
            cells[name] = str(value)
            continue
        form = str(getattr(variant, kind))
        if form == "mixed":
            own = zlib.crc32(f"{row['identity_id']}{row.get('attendance_date')}{name}".encode())
            form = list(FORMS[kind])[own % len(FORMS[kind])]
        if form != "absent":
            cells[name] = FORMS[kind][form](value)
    return cells


@dataclass(frozen=True)
class Reply:
    """One answer. ``sent`` is the share of the body that is sent before the connection is cut."""

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: float = 1.0


class Refused(Exception):
    """Ends a request: ``code`` and ``text`` at the token endpoint, ``text`` at the report."""

    def __init__(self, status: int, text: str, code: str = "invalid_request") -> None:
        super().__init__(text)
        self.status, self.text, self.code = status, text, code


@dataclass
class Session:
    """One login and its state."""

    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: Literal["live", "logged_out", "detached"] = "live"
    newest: str = ""


class Identity:
    """Token and logout endpoint of a Keycloak that refuses every parameter it does not need."""

    def __init__(self, variant: Variant, clock: Callable[[], float]) -> None:
        self.variant, self._clock = variant, clock
        self._access: dict[str, tuple[Session, float]] = {}
        self._refresh: dict[str, tuple[Session, float]] = {}
        self._sessions: list[Session] = []
        self.logins = self.refreshes = self.logouts = 0  # those that succeeded

    @property
    def live_sessions(self) -> int:
        """Sessions that can still be refreshed."""
        return sum(
            each.state == "live" and self._refresh[each.newest][1] > self._clock()
            for each in self._sessions
        )

    def _holds(self, access_token: str) -> bool:
        session, until = self._access.get(access_token, (Session(), 0.0))
        return session.state == "live" and self._clock() < until

    def _identity_answer(self, path: str, pairs: list[tuple[str, str]]) -> Reply:
        try:
            if len(form := dict(pairs)) < len(pairs):
                raise Refused(400, "duplicated parameter")
            content = self._logout(form) if path == f"{REALM}/logout" else self._grant(form)
        except Refused as no:
            return Reply(no.status, json.dumps({"error": no.code, "error_description": no.text}))
        return Reply(200, json.dumps(content)) if content else Reply(204)

    def _grant(self, form: Mapping[str, str]) -> Row:
        if "grant_type" not in form:
            raise Refused(400, "Missing form parameter: grant_type")
        if form["grant_type"] == "refresh_token":
            _check_form(form, "grant_type", "refresh_token")
            session = self._refreshable(form)
            self.refreshes += 1
        elif form["grant_type"] == "password":
            _check_form(form, "grant_type", "username", "password")
            if "username" not in form:
                raise Refused(401, "Missing parameter: username")
            if (form["username"], form.get("password")) != (USERNAME, PASSWORD):
                raise Refused(
                    self.variant.bad_login_status, "Invalid user credentials", "invalid_grant"
                )
            self._sessions.append(session := Session())
            self.logins += 1
        else:
            raise Refused(400, "Unsupported grant_type", "unsupported_grant_type")
        return self._issue(session)

    def _session(self, form: Mapping[str, str]) -> tuple[Session, float]:
        if "refresh_token" not in form:
            raise Refused(400, "No refresh token")
        if form["refresh_token"] not in self._refresh:
            raise Refused(400, "Invalid refresh token", "invalid_grant")
        return self._refresh[form["refresh_token"]]

    def _refreshable(self, form: Mapping[str, str]) -> Session:
        session, until = self._session(form)
        if until <= self._clock():
            raise Refused(400, "Token is not active", "invalid_grant")
        if session.state != "live":
            why = {
                "logged_out": "Offline user session not found",
                "detached": "Session doesn't have required client",
            }
            raise Refused(400, why[session.state], "invalid_grant")
        if self.variant.rotating and form["refresh_token"] != session.newest:
            session.state = "detached"
            raise Refused(400, "Maximum allowed refresh token reuse exceeded", "invalid_grant")
        return session

    def _logout(self, form: Mapping[str, str]) -> Row:
        _check_form(form, "refresh_token")
        session, _ = self._session(form)
        self.logouts += session.state == "live"
        session.state = "logged_out"
        return {}

    def _issue(self, session: Session) -> Row:
        now, life, rest = self._clock(), self.variant.access_lifetime, self.variant.refresh_lifetime
        access = self._token(
            session, typ="Bearer", exp=int(now) + life, preferred_username=USERNAME
        )
        reuse = {"reuse_id": str(uuid.uuid4())} if self.variant.rotating else {}
        session.newest = self._token(
            session, typ="Offline", **({"exp": int(now) + rest} if rest else {}), **reuse
        )
        self._access[access], self._refresh[session.newest] = (
            (session, now + life),
            (session, now + (rest or math.inf)),
        )
        lifetimes = {"expires_in": life, "refresh_expires_in": rest}
        encode: Mapping[str, Callable[[int], object]] = {
            "number": int,
            "text": str,
            "zero": lambda _: 0,
        }
        form = self.variant.expires_in
        reported = (
            {name: encode[form](value) for name, value in lifetimes.items()}
            if form in encode
            else {}
        )
        pair = {
            "access_token": access,
            "refresh_token": session.newest,
            "token_type": "Bearer",
            "not-before-policy": 0,
        }
        return {
            **pair,
            **reported,
            "session_state": session.key,
            "scope": "email profile offline_access",
        }

    def _token(self, session: Session, **claims: object) -> str:
        if not self.variant.jwt:
            return secrets.token_urlsafe(40)
        claims |= {
            "iat": int(self._clock()),
            "jti": str(uuid.uuid4()),
            "azp": CUSTOMER_ID,
            "sid": session.key,
        }
        parts = (
            json.dumps({"alg": "HS256", "typ": "JWT"}).encode(),
            json.dumps(claims).encode(),
            secrets.token_bytes(32),
        )
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _check_form(form: Mapping[str, str], *allowed: str) -> None:
    if more := sorted(form.keys() - {"client_id", *allowed}):
        raise Refused(400, f"Unexpected form parameter: {more[0]}")
    if form.get("client_id") != CUSTOMER_ID:
        raise Refused(401, "Invalid client or Invalid client credentials", "invalid_client")


class ForeignServer(Identity):
    """The server, in threads of this process: ``with ForeignServer("rough") as server: ... server.url``.

    :param clock: seconds since the epoch; tokens age by it.
    """

    def __init__(
        self,
        variant: str | Variant = "plain",
        *,
        days: int = 10,
        first_day: dt.date = dt.date(2026, 6, 1),
        seed: int = 7,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(VARIANTS[variant] if isinstance(variant, str) else variant, clock)
        self.company, self.data_requests = Company(seed, first_day, days), 0
        week = Company(0, first_day, 7)
        rows = {
            "detailed": week.detailed(first_day, week.last_day)[0],
            "summary": week.summary(first_day, week.last_day)[0],
        }
        self._valid = {
            mode: {name for name in row if not name.startswith("_")} for mode, row in rows.items()
        }
        self._orders: dict[str, float] = {}
        self._lock, self._random = threading.Lock(), random.Random(seed)
        self._http = ThreadingHTTPServer(
            ("127.0.0.1", port), type("BoundHandler", (_Handler,), {"foreign": self})
        )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def truth(
        self, first: dt.date | None = None, last: dt.date | None = None, mode: str = "detailed"
    ) -> list[Row]:
        """Return the rows that the account may see, typed, with every column, by day and person."""
        rows = self._rows(mode, first or self.company.first_day, last or self.company.last_day)
        return [
            {name: value for name, value in row.items() if not name.startswith("_")} for row in rows
        ]

    def _rows(self, mode: str, first: dt.date, last: dt.date) -> list[Row]:
        ask = self.company.summary if mode == "summary" else self.company.detailed
        return [] if self.variant.empty_scope else ask(first, last)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return the answer to one request."""
        kind = headers.get("Content-Type", "").partition(";")[0].lower()
        if path == REPORT and method == "POST":
            return self._report(headers, body if kind == "application/json" else b"")
        if path in (f"{REALM}/token", f"{REALM}/logout") and method == "POST":
            is_form = kind == "application/x-www-form-urlencoded"
            pairs = urllib.parse.parse_qsl(body.decode() if is_form else "", True)
            with self._lock:
                return self._identity_answer(path, pairs)
        error = "Realm does not exist" if path.startswith("/realms/") else "not found"
        return Reply(404, json.dumps({"error": error}))

    def _report(self, headers: Mapping[str, str], body: bytes) -> Reply:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        with self._lock:
            self.data_requests += 1
            fault = dict(self.variant.faults).get(self.data_requests, "")
            if fault == "dead_token":
                self._access.pop(token, None)
            allowed = self._holds(token)
        if fault == "503":
            return Reply(
                503, "<html><h1>503 Service Temporarily Unavailable</h1></html>", "text/html"
            )
        if fault == "429":
            return Reply(429, "slow down", "text/plain", {"Retry-After": "1"})
        time.sleep(self.variant.slow_seconds if fault == "slow" else 0)
        try:
            if not allowed:
                raise Refused(401, "token not accepted")
            if headers.get("X-Tenant-Id") != CUSTOMER_ID:
                raise Refused(400, "X-Tenant-Id: not this tenant")
            content = json.dumps(self._page(_parse_query(body)), ensure_ascii=False)
        except Refused as no:
            return _error_page(self.variant.errors, no)
        if fault == "truncated":
            return Reply(200, content[: len(content) * 2 // 3])
        return Reply(200, content, sent=0.5 if fault == "cut_off" else 1.0)

    def _page(self, query: Row) -> Row:
        page, limit = query.get("page", 1), query.get("limit", 50)
        if type(page) is not int or type(limit) is not int or page < 1 or limit < 0:
            raise Refused(400, "page from 1, limit from 0, whole numbers")
        if limit == 0 and self.variant.zero == "refuse_400":
            raise Refused(400, "limit: 0 is too few")
        rows, total = self._found(query)
        size = limit or max(1, len(rows))
        size = min(size, self.variant.cap or size)
        pages = max(1, math.ceil(len(rows) / size))
        if page > pages and self.variant.past_end == "404":
            raise Refused(404, "page: past the last")
        page = min(page, pages) if self.variant.past_end == "last_page" else page
        return {
            **self._metadata(page, size, total, pages),
            "data": rows[(page - 1) * size : page * size],
        }

    def _metadata(self, page: int, size: int, total: int, pages: int) -> Row:
        shape = self.variant.pagination
        counts: Row = {"page": page, "limit": size, "total_records": total, "total_pages": pages}
        if self.variant.totals_as_text:
            counts = {name: str(number) for name, number in counts.items()}
        full = {**counts, "has_next": page < pages, "has_previous": page > 1}
        if shape in ("absent", "top_level"):
            return full if shape == "top_level" else {}
        if shape == "renamed":
            full = dict(
                zip(
                    ("current_page", "per_page", "total", "last_page"), counts.values(), strict=True
                )
            )
        return {"pagination": {shape: full[shape]} if shape in full else full}

    def _found(self, query: Row) -> tuple[list[Row], int]:
        """Return all encoded rows of a request in their order, and the total to report."""
        mode, columns, shift = (
            query.get("mode"),
            query.get("columns"),
            query.get("shift", []),
        )
        first, last = (
            self._day(query.get("start_date"), "T00:00:00"),
            self._day(query.get("end_date"), "T23:59:59"),
        )
        if mode not in ("summary", "detailed"):
            raise Refused(400, "mode: summary or detailed")
        if (
            not isinstance(columns, list)
            or not columns
            or not all(name in self._valid[mode] for name in map(str, columns))
        ):
            raise Refused(400, f"columns: empty, or one is not valid in mode {mode}")
        filters = {
            "_group": _ids("group_id", str(query.get("group_id", "")).split(",")),
            "identity_id": _ids("user_id", str(query.get("user_id", "")).split(",")),
            "_shift": _ids("shift", shift if isinstance(shift, list) else ["no list"]),
        }
        wanted = {name: ids for name, ids in filters.items() if ids}
        rows = [
            row
            for row in self._rows(mode, first, last)
            if all(row[name] in ids for name, ids in wanted.items())
        ]
        ordered = self._ordered(
            rows, f"{mode}{first}{last}{filters}", fresh=query.get("page", 1) == 1
        )
        wire = [_on_the_wire(self.variant, row, columns) for row in ordered]
        repeated = wire[:: self.variant.duplicate_every] if self.variant.duplicate_every else []
        return wire + repeated, len(wire)

    def _day(self, text: object, tail: str) -> dt.date:
        match = re.fullmatch(rf"(\d{{4}}-\d\d-\d\d)({tail})", str(text))
        if not match:
            raise Refused(400, f"start_date, end_date: expected YYYY-MM-DD{tail}")
        return dt.date.fromisoformat(match[1])

    def _ordered(self, rows: list[Row], query: str, *, fresh: bool) -> list[Row]:
        if self.variant.order == "by_person":
            return sorted(rows, key=lambda row: str(row["identity_id"]))
        with self._lock:
            if fresh or query not in self._orders:
                self._orders[query] = self._random.random()
            return random.Random(self._orders[query]).sample(rows, len(rows))


def _ids(field_name: str, texts: Iterable[str]) -> list[str]:
    try:
        return [str(uuid.UUID(text)) for text in texts if text]
    except (ValueError, AttributeError):
        raise Refused(400, f"{field_name}: no such filter") from None


def _parse_query(body: bytes) -> Row:
    try:
        query = json.loads(body)
    except ValueError:
        query = None
    if not isinstance(query, dict) or query.keys() - FIELDS:
        raise Refused(400, "expected a JSON object of the fields that the documents name")
    return query


def _error_page(form: str, no: Refused) -> Reply:
    if no.status == 200 or (form == "status_false" and no.status != 401):
        return Reply(
            200, json.dumps({"status": False, "message": no.text, "error_code": "REFUSED"})
        )
    if form == "html":
        return Reply(
            no.status,
            f"<!doctype html><title>Error</title><p>{no.text}</p>",
            "text/html; charset=utf-8",
        )
    if form == "json":
        return Reply(no.status, json.dumps({"errors": [{"detail": no.text}]}))
    return Reply(no.status, no.text, "text/plain")


class _Handler(BaseHTTPRequestHandler):
    foreign: ForeignServer
    protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, -1

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.foreign.answer(self.command, self.path, dict(self.headers.items()), sent)
        body = reply.body.encode()
        self.send_response(reply.status)
        own = (
            {"Content-Type": reply.content_type, "Content-Length": str(len(body))}
            if reply.status != 204
            else {}
        )
        for name, value in {**own, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: int(len(body) * reply.sent)])
        self.close_connection = self.close_connection or reply.sent < 1

    do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - what http.server calls

    def log_message(self, *_: object) -> None:
        """Print nothing."""
