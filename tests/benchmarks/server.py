"""An API that costs nothing: every day's answer is written before the first request, in the forms of the live API."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from airflow_provider_we360.client.reports.dynamic_report import REPORT

FIRST_DAY = dt.date(2025, 4, 1)
COLUMNS = REPORT.modes["detailed"].default_columns


def clock_text(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def day_rows(
    day: dt.date, people: list[tuple[str, str, str]], dice: random.Random
) -> list[dict[str, Any]]:
    """One row a person; one in eight is away, and has nothing but a key."""
    rows = []
    for number, (identity, employee, group) in enumerate(people):
        row: dict[str, Any] = dict.fromkeys(COLUMNS, "-")
        row |= {
            "attendance_date": day.isoformat(),
            "identity_id": identity,
            "employee_id": employee,
            "group_name": group,
        }
        if number % 8:
            online = dice.randint(14_000, 36_000)
            active = int(online * dice.uniform(0.4, 0.97))
            productive = int(active * dice.uniform(0.3, 0.95))
            unproductive = int((active - productive) * dice.random())
            spent = {
                "punch": online + 1800,
                "online": online,
                "active": active,
                "idle": online - active,
                "break": dice.randint(0, 5400),
                "productive": productive,
                "unproductive": unproductive,
                "neutral": active - productive - unproductive,
            }
            row |= {f"{name}_duration": clock_text(seconds) for name, seconds in spent.items()}
            row |= {
                "shift_name": "General",
                "punch_in": f"{day} 09:{dice.randint(0, 59):02d}:{dice.randint(0, 59):02d}",
                "punch_out": f"{day} 18:{dice.randint(0, 59):02d}:{dice.randint(0, 59):02d}",
                "active_percent": round(100 * active / online, 2),
                "idle_percent": round(100 - 100 * active / online, 2),
                "productive_percent": round(100 * productive / active, 2),
            }
        rows.append(row)
    return rows


def answers(days: int, employees: int) -> dict[str, bytes]:
    """The whole answer of each day, by its date."""
    dice = random.Random(360)
    groups = ("Engineering", "Support", "Sales", "Finance", "Human Resources", "Operations, East")
    people = [
        (str(uuid.UUID(int=dice.getrandbits(128))), f"EMP{i:05d}", dice.choice(groups))
        for i in range(employees)
    ]
    written = {}
    for number in range(days):
        day = FIRST_DAY + dt.timedelta(days=number)
        rows = day_rows(day, people, dice)
        pages = {
            "page": 1,
            "limit": 0,
            "total_records": len(rows),
            "total_pages": 1,
            "has_next": False,
        }
        written[day.isoformat()] = json.dumps({"data": rows, "pagination": pages}).encode()
    return written


def keys_of(answer: bytes) -> bytes:
    """Return the rows of an answer with nothing but their key columns, without the brackets."""
    names = ("attendance_date", "identity_id")
    rows = [{name: row[name] for name in names} for row in json.loads(answer)["data"]]
    return json.dumps(rows).encode()[1:-1]


class Handler(BaseHTTPRequestHandler):
    """Answers from memory; a second page is empty."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    by_day: dict[str, bytes]
    keys_by_day: dict[str, bytes]
    page_after: bytes
    latency_s: float
    requests = 0

    def do_GET(self) -> None:
        """How many data requests came since the last such question."""
        answer = json.dumps(Handler.requests).encode()
        Handler.requests = 0
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/logout"):
            self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        if "openid-connect" in self.path:
            answer = b'{"access_token": "bench", "refresh_token": "bench", "expires_in": 36000, "token_type": "Bearer"}'
        else:
            Handler.requests += 1
            time.sleep(self.latency_s)
            answer = self.report(json.loads(body))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        self.wfile.write(head.encode() + answer)

    def report(self, asked: dict[str, Any]) -> bytes:
        """Return the whole answer of a day, or the keys of several, which are joined from bytes."""
        if asked["page"] > 1:
            return self.page_after
        if len(asked.get("columns", COLUMNS)) > 2:  # other tools name no columns
            return self.by_day[asked["start_date"][:10]]
        first, last = asked["start_date"][:10], asked["end_date"][:10]
        parts = [keys for day, keys in self.keys_by_day.items() if first <= day <= last]
        total = sum(part.count(b"{") for part in parts)
        about = json.dumps({"total_records": total, "has_next": False}).encode()
        return b'{"data": [' + b", ".join(parts) + b'], "pagination": ' + about + b"}"

    def log_request(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, required=True)
    parser.add_argument("--employees", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    arguments = parser.parse_args()
    Handler.by_day = answers(arguments.days, arguments.employees)
    Handler.keys_by_day = {day: keys_of(whole) for day, whole in Handler.by_day.items()}
    pages = {
        "page": 2,
        "limit": arguments.employees,
        "total_records": arguments.employees,
        "has_next": False,
    }
    Handler.page_after = json.dumps({"data": [], "pagination": pages}).encode()
    Handler.latency_s = arguments.latency_ms / 1000
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
