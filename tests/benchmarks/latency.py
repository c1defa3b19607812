"""What a user waits for every night: few days, each answer a second or more away.

The server answers after a fixed time and costs no CPU, so the table is stable on any machine. The
token is cached; the rows are read to their end, which includes the proof that none is missing.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEAD = "| days | s an answer | metadata | ideal s | seconds (at most) | requests | to verify |"
RULE = "| ---: | ---: | --- | ---: | ---: | ---: | ---: |"
FIRST = dt.date(2026, 4, 1)
PEOPLE = 20
PARALLEL = 4


@dataclass(frozen=True)
class Scene:
    """One line of the table; ``goal`` is in seconds."""

    days: int
    latency_s: float
    metadata: bool
    goal: float


SCENES = (
    Scene(1, 1.0, True, 2.2),
    Scene(8, 1.0, True, 3.2),
    Scene(8, 1.0, False, 5.0),
    Scene(30, 1.0, True, 9.5),
    Scene(90, 0.3, True, 7.8),
)


def answer(asked: dict[str, Any], *, metadata: bool) -> dict[str, Any]:
    """Return all rows of the requested days; past the first page there are none."""
    first, last = (dt.date.fromisoformat(asked[name][:10]) for name in ("start_date", "end_date"))
    days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
    rows = [
        dict.fromkeys(asked["columns"], "-")
        | {"attendance_date": day.isoformat(), "identity_id": f"person-{person}"}
        for day in days
        for person in range(PEOPLE)
        if day.weekday() != 6
    ]
    shown = rows if asked["page"] == 1 else []
    about = {"pagination": {"total_records": len(rows), "has_next": False}} if metadata else {}
    return {"data": shown, **about}


@contextmanager
def slow_server(scene: Scene) -> Any:
    """Serve the scene in threads of this process; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            content: dict[str, Any] = {
                "access_token": "bench",
                "refresh_token": "bench",
                "expires_in": 36000,
                "token_type": "Bearer",
            }
            if "openid-connect" not in self.path:
                time.sleep(scene.latency_s)
                content = answer(json.loads(body), metadata=scene.metadata)
            text = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_request(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def measure(scene: Scene) -> str:
    """Return the line of a scene."""
    from airflow_provider_we360.client.extract import parse_extract
    from airflow_provider_we360.client.stats import ReadStats
    from airflow_provider_we360.hooks.we360 import We360Hook

    with slow_server(scene) as url:
        extra = {
            "customer_id": "bench",
            "auth_url": url,
            "allow_http": True,
            "token_cache": "memory",
        }
        os.environ["AIRFLOW_CONN_WE360_LATENCY"] = json.dumps(
            {"conn_type": "we360", "host": url, "login": "b", "password": "b", "extra": extra}
        )
        hook, stats = We360Hook("we360_latency"), ReadStats()
        hook.has_rows(day=FIRST)  # logs in
        window = (FIRST, FIRST + dt.timedelta(days=scene.days - 1))
        began = time.monotonic()
        extract = parse_extract("dynamic_report", window=window)
        with hook.read(extract, max_parallel_requests=PARALLEL, stats=stats) as rows:
            days = sum(1 for _ in rows)
        seconds = time.monotonic() - began
        hook.close()
    assert days == scene.days
    cells = [
        scene.days,
        scene.latency_s,
        "yes" if scene.metadata else "none",
        f"{-(-scene.days // PARALLEL) * scene.latency_s:.1f}",
        f"{seconds:.1f} ({scene.goal})",
        stats.requests,
        stats.verification_requests,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> list[str]:
    """Print the table and return it."""
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="we360-bench-"))
    measure(Scene(1, 0.0, True, 0.0))  # imports
    lines = [HEAD, RULE]
    print(*lines, sep="\n", flush=True)
    for scene in SCENES:
        lines.append(measure(scene))
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()
