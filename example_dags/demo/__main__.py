"""The demo: real Airflow loads thirty days of a made-up company into a DuckDB file.

Run it with ``make demo``. It writes only into ``.demo/``, which git ignores: a private
AIRFLOW_HOME, the DuckDB file, logs and a report for the browser.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
from cryptography.fernet import Fernet

from airflow_provider_we360.sandbox.people import Roster
from html_report import write_report

REPO = Path(__file__).resolve().parents[2]
HOME = REPO / ".demo"
DATABASE = HOME / "we360.duckdb"
REPORT = HOME / "report.html"
LAST_RUN = HOME / "last_run.json"
DAG_ID, TABLE = "we360_to_duckdb", "we360_days"
DAYS, EMPLOYEES, SEED = 30, 50, 360
TIMEZONE = "Asia/Kolkata"
READY = re.compile(
    r"ready on (?P<url>\S+)\s+customer_id=(?P<customer_id>\S+)"
    r"\s+login=(?P<login>\S+)\s+password=(?P<password>\S+)"
)
BEGINS = re.compile(r"(?:\x1b\[\d*m)*\d{4}-\d\d-\d\dT")
SHOWN = re.compile(r"\[(?:\x1b\[[\d;]*m)*[\w.]*airflow_provider_we360|\[(?:\x1b\[[\d;]*m)*error")
"""Records that appear on the screen: the provider's, and errors. ``.demo/load.log`` has all."""

started = time.monotonic()


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - started:5.1f} s  {text}", flush=True)


@contextlib.contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """Run the sandbox on a free port of this machine, and yield how to reach it."""
    options = ["--port", "0", "--employees", str(EMPLOYEES), "--seed", str(SEED), "--verbose"]
    command = [sys.executable, "-m", "airflow_provider_we360.sandbox", *options]
    with (HOME / "sandbox.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPO)
        try:
            line = process.stdout.readline() if process.stdout else ""
            ready = READY.search(line)
            if ready is None:
                sys.exit(f"The sandbox did not start; see {HOME / 'sandbox.log'}")
            yield ready.groupdict()
        finally:
            process.terminate()
            process.wait(10)


def build_environment(we360: dict[str, str]) -> dict[str, str]:
    """Return the variables of a private Airflow with two Connections."""
    key_file = HOME / "fernet.key"
    if not key_file.exists():
        key_file.write_bytes(Fernet.generate_key())
    connection = {
        "conn_type": "we360",
        "login": we360["login"],
        "password": we360["password"],
        "host": we360["url"],
        "extra": {
            "customer_id": we360["customer_id"],
            "auth_url": we360["url"],
            "allow_http": True,
        },
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(HOME / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": key_file.read_text(),
        "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps({"conn_type": "duckdb", "host": str(DATABASE)}),
    }


def run_airflow(*arguments: str, env: dict[str, str], log_name: str) -> None:
    """Run an ``airflow`` command: all output goes to a file, the provider's lines to the screen."""
    log = HOME / log_name
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with log.open("w") as file:
        for record in read_records(process.stdout or ()):
            file.write(record)
            if SHOWN.search(record):
                say(f"   {message_of(record)}")
    if process.wait() != 0:
        print("".join(log.read_text().splitlines(keepends=True)[-30:]))
        sys.exit(f"airflow {' '.join(arguments)} failed; its output is in {log}")


def read_records(lines: Iterable[str]) -> Iterator[str]:
    """Yield log records; a message of several lines is one record."""
    record = ""
    for line in lines:
        if record and BEGINS.match(line):
            yield record
            record = ""
        record += line
    yield record


def message_of(record: str) -> str:
    """Return a record without its colours, time, level, logger and location."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", record).strip()
    plain = re.sub(r"^\S*\d\d:\d\d:\d\d\S*\s+", "", plain)
    plain = re.sub(r"\[(info|warning|error)\s*\]\s*", "", plain)
    plain = re.sub(r"\s+(\[[\w.]+\]\s*)?(\w+=\S+\s*)*$", "", plain).strip()
    return plain.replace("\n", "\n" + " " * 12)


def count_requests() -> str:
    """Return a sentence about the requests that the sandbox answered."""
    log = (HOME / "sandbox.log").read_text()
    tokens = len(re.findall(r'"POST \S+/token ', log))
    ends = len(re.findall(r'"POST \S+/logout ', log))
    reports = len(re.findall(r'"POST /query/', log))
    parts = [f"{DAYS} for the {DAYS} days"]
    if reports > DAYS:
        parts.append(f"{reports - DAYS} to verify that the days are complete")
    parts.append(f"{tokens} for a token" if tokens else "none for a token: the last run's is valid")
    parts += [f"{ends} to log out"] if ends else []
    return f"Requests: {reports + tokens + ends}, of them {', '.join(parts)}."


def describe_people(first: dt.date, last: dt.date, with_rows: int) -> str:
    """Return how many of the company's people have rows, and why the others have none."""
    people = Roster(SEED, EMPLOYEES, "acme-demo.example.com").people
    left = sum(1 for one in people if one.last_day and one.last_day < first)
    later = sum(1 for one in people if one.first_day > last)
    away = EMPLOYEES - with_rows - left - later
    parts = [f"{left} had left before {first:%-d %B}", f"{later} start after {last:%-d %B}"]
    parts += [f"{away} were away"] if away else []
    return f"People: {EMPLOYEES} in the company. {with_rows} have rows, {', '.join(parts)}."


def print_table(first: dt.date, last: dt.date) -> tuple[int, int, str]:
    """Print what was loaded, by week; return rows, people and a digest of the rows."""
    window = f"attendance_date BETWEEN DATE '{first}' AND DATE '{last}'"
    weeks = f"""
        SELECT CAST(date_trunc('week', attendance_date) AS DATE) AS week, count(*),
               count(DISTINCT identity_id), sum(online_duration) / 3600,
               sum(productive_duration) / 3600, sum(idle_duration) / 3600
        FROM {TABLE} WHERE {window} GROUP BY ROLLUP (1) ORDER BY week NULLS LAST"""
    digest = f"""
        SELECT left(md5(string_agg(line, '|' ORDER BY line)), 8) FROM (
            SELECT CAST(loaded AS VARCHAR) AS line FROM (
                SELECT COLUMNS('^[^_]')
                FROM {TABLE} WHERE {window}) AS loaded)"""
    with duckdb.connect(str(DATABASE), read_only=True) as warehouse:
        lines = warehouse.execute(weeks).fetchall()
        (fingerprint,) = warehouse.execute(digest).fetchone() or ("",)
    print("\n week of       rows  people  online h  productive h   idle h")
    for week, rows, people, *hours in lines:
        online, productive, idle = (value or 0 for value in hours)
        name = str(week) if week else "all weeks "
        print(f" {name}  {rows:6,}  {people:6}  {online:8,.0f}  {productive:12,.0f}  {idle:7,.0f}")
    print(" People are counted once in each line; all other columns add up.\n")
    return lines[-1][1], lines[-1][2], fingerprint


def compare_with_last_run(first: dt.date, last: dt.date, rows: int, digest: str) -> str:
    """Return whether this run left the same rows as the last one, and remember it."""
    this_run = {"first": str(first), "last": str(last), "rows": rows, "digest": digest}
    before = json.loads(LAST_RUN.read_text()) if LAST_RUN.exists() else None
    LAST_RUN.write_text(json.dumps(this_run))
    if before == this_run:
        return (
            f"The same {rows:,} rows as in the last run: each day was replaced (digest {digest})."
        )
    if before and before["first"] == this_run["first"]:
        return f"{rows:,} rows; the last run left {before['rows']:,} (digest {digest})."
    return (
        f"{rows:,} rows (digest {digest}). Run make demo again: the same rows, not twice as many."
    )


def next_steps(last: dt.date) -> str:
    """Return what to do with a real account."""
    ninety = last - dt.timedelta(days=89)
    return f"""
With your own We360 account:
  1. Install the provider next to your Airflow, and create the two Connections:
       pip install "airflow-provider-we360[duckdb]"
       airflow connections add we360_default --conn-type we360 --conn-port 443 \\
         --conn-login YOU@COMPANY --conn-password '...' \\
         --conn-extra '{{"customer_id": "YOUR-CUSTOMER-ID"}}'
       airflow connections add duckdb_default --conn-type duckdb --conn-host /path/to/we360.duckdb
     The We360 portal shows the Customer ID under the profile icon, top right.
  2. Copy example_dags/we360_to_duckdb.py into your Dags folder and unpause the Dag.
  3. Load the last 90 days in one run:
       airflow dags trigger {DAG_ID} \\
         --conf '{{"window_start": "{ninety}", "window_end": "{last}"}}'

Files:  {REPORT.relative_to(REPO)}     hours and completeness, for the browser
        {DATABASE.relative_to(REPO)}    the table {TABLE}
        {(HOME / "load.log").relative_to(REPO)}        Airflow's whole output"""


def main() -> None:
    HOME.mkdir(exist_ok=True)
    last = dt.datetime.now(zoneinfo.ZoneInfo(TIMEZONE)).date() - dt.timedelta(days=1)
    first = last - dt.timedelta(days=DAYS - 1)
    with sandbox() as we360:
        say(f"The sandbox runs at {we360['url']}: a company of {EMPLOYEES}, no account needed")
        env = build_environment(we360)
        say("Preparing a private Airflow in .demo/airflow (about ten seconds)")
        run_airflow("db", "migrate", env=env, log_name="migrate.log")
        say(f"airflow dags test {DAG_ID}, {first} to {last} (Airflow takes a few seconds to start)")
        days = json.dumps({"window_start": first.isoformat(), "window_end": last.isoformat()})
        run_airflow("dags", "test", DAG_ID, "--conf", days, env=env, log_name="load.log")
    rows, people, digest = print_table(first, last)
    if rows == 0:
        sys.exit("No row was loaded; see .demo/load.log")
    facts = [describe_people(first, last, people), count_requests()]
    print("\n".join([*facts, compare_with_last_run(first, last, rows, digest)]), "\n")
    write_report(DATABASE, first, last, " ".join(facts), REPORT)
    say(f"Report written. Open {REPORT.as_uri()}")
    print(next_steps(last))


if __name__ == "__main__":
    main()
