"""Fuzzes the answer's decoder, led by which lines each input reaches: ``make fuzz ARGS='-max_total_time=600'``.

What falls is written to ``crash-...``, and the bytes are worth a place in tests/property/test_answer_laws.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped]

with atheris.instrument_imports(include=["airflow_provider_we360"]):
    from airflow_provider_we360.client.response import parse_response
    from airflow_provider_we360.errors import We360Error
    from airflow_provider_we360.rows.decode import RowDecoder

import httpx

from airflow_provider_we360.client import reports

REPORT = reports.get("dynamic_report")
NAMES = (
    *REPORT.modes["detailed"].key,
    "punch_in",
    "online_duration",
    "active_percent",
    "key_presses",
    "employee_id",
)
DECODER = RowDecoder([REPORT.column(name) for name in NAMES], "Asia/Kolkata")
STATUSES = (200, 200, 200, 200, 206, 302, 400, 401, 403, 404, 413, 429, 500, 504)


def one_input(data: bytes) -> None:
    """The first byte chooses the status, the rest is the body."""
    status = STATUSES[data[0] % len(STATUSES)] if data else 200
    try:
        answer = parse_response(httpx.Response(status, content=data[1:]), DECODER)
    except We360Error as error:
        str(error)
    else:
        answer.rows.validate(full=True)


def main() -> None:
    row = {
        "attendance_date": "2026-04-01",
        "identity_id": "a",
        "punch_in": "2026-04-01 09:00:00",
        "online_duration": "8:05:09",
    }
    seeds = [
        {"data": [row, row], "pagination": {"total_records": 2, "has_next": False}},
        {"data": [], "total": "0"},
        {"data": None, "total": 0},
        {"data": [{"active_percent": "97.5", "key_presses": 17, "employee_id": "-"}]},
        {"status": False, "message": "no", "error_code": "VALIDATION_ERROR"},
    ]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(b"\0" + json.dumps(seed).encode())
        limits = ["-timeout=10", "-rss_limit_mb=1500", "-max_len=4096"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[1:], corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
