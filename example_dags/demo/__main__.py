"""The demo: real Airflow pulls thirty days of a made-up company from the sandbox into a DuckDB file.

Run by ``make demo``. All it writes is in ``.demo/``, which git ignores: a private AIRFLOW_HOME, the DuckDB file, a picture.
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
from collections.abc import Iterator
from pathlib import Path

import duckdb
from cryptography.fernet import Fernet

from picture import draw

REPO = Path(__file__).resolve().parents[2]
HOME = REPO / ".demo"
DATABASE = HOME / "we360.duckdb"
PICTURE = HOME / "hours.png"
DAG_ID, TABLE = "we360_to_duckdb", "we360_days"
DAYS, EMPLOYEES = 30, 50
READY = re.compile(
    r"ready on (?P<url>\S+)\s+customer_id=(?P<customer_id>\S+)\s+login=(?P<login>\S+)\s+password=(?P<password>\S+)"
)
OURS = re.compile(
    r"We360 token|Window: |Reason: |Source: |Target: |Loaded |Created table|ERROR|Error|error"
)

began = time.monotonic()


def say(text: str) -> None:
    """One line, with the seconds since the start."""
    print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)


@contextlib.contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """The simulator of We360 on a free port of this machine: how to reach it."""
    command = [
        sys.executable,
        "-m",
        "airflow_provider_we360.sandbox",
        "--port",
        "0",
        "--employees",
        str(EMPLOYEES),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPO)
    try:
        line = process.stdout.readline() if process.stdout else ""
        ready = READY.search(line)
        if ready is None:
            sys.exit(f"the sandbox did not start; it said: {line!r}")
        yield ready.groupdict()
    finally:
        process.terminate()
        process.wait(10)


def environment(we360: dict[str, str]) -> dict[str, str]:
    """A private Airflow with two Connections, as environment variables."""
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


def airflow(*arguments: str, env: dict[str, str], log_name: str) -> None:
    """Run an ``airflow`` command: the whole output into a file, our own lines on the screen as they come."""
    log = HOME / log_name
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with log.open("w") as whole:
        for line in process.stdout or ():
            whole.write(line)
            if OURS.search(line):
                say(f"   {message(line)}")
    if process.wait() != 0:
        print("".join(log.read_text().splitlines(keepends=True)[-30:]))
        sys.exit(f"airflow {' '.join(arguments)} failed; its whole output is in {log}")


def message(line: str) -> str:
    """What a log line says, without time, logger and place."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
    plain = re.sub(r"^\S*\d\d:\d\d:\d\d\S*\s+", "", plain)
    plain = re.sub(r"\[(info|warning|error)\s*\]\s*", "", plain)
    return re.sub(r"\s+(\[[\w.]+\]\s*)?(\w+=\S+\s*)*$", "", plain).strip()


def show() -> int:
    """What landed: weeks, in hours."""
    with duckdb.connect(str(DATABASE), read_only=True) as warehouse:
        (total,) = warehouse.execute(f"SELECT count(*) FROM {TABLE}").fetchone() or (0,)
        (digest,) = warehouse.execute(
            f"""SELECT left(md5(string_agg(line, '|' ORDER BY line)), 8) FROM (
                    SELECT loaded::VARCHAR AS line
                    FROM (SELECT * EXCLUDE (_we360_run_id, _we360_loaded_at) FROM {TABLE}) AS loaded)"""
        ).fetchone() or ("",)
        weeks = warehouse.execute(
            f"""SELECT date_trunc('week', attendance_date)::DATE AS week, count(*), count(DISTINCT identity_id),
                       sum(online_duration) / 3600, sum(productive_duration) / 3600, sum(idle_duration) / 3600,
                       avg(productive_percent)
                FROM {TABLE} GROUP BY 1 ORDER BY 1"""
        ).fetchall()
    print("\n week of       rows  people   online h  productive h   idle h  productive %")
    for week, rows, people, online, productive, idle, percent in weeks:
        print(
            f" {week}  {rows:6}  {people:6}  {online:9.0f}  {productive:12.0f}  {idle:7.0f}  {percent:12.1f}"
        )
    print(f"\nrows landed: {total} (digest {digest}; run it again: the same)")
    return int(total)


def next_steps(first: dt.date) -> str:
    """What to do with a real account."""
    ninety = first - dt.timedelta(days=60)
    last = first + dt.timedelta(days=DAYS - 1)
    return f"""
What now, with your own We360 account:
  1. pip install "airflow-provider-we360[duckdb]" into your Airflow, and create the two Connections:
       airflow connections add we360_default --conn-type we360 --conn-login YOU@COMPANY --conn-password '...' \\
         --conn-extra '{{"customer_id": "YOUR-CUSTOMER-ID"}}'
       airflow connections add duckdb_default --conn-type duckdb --conn-host /path/to/warehouse.duckdb
     (The portal shows the Customer ID under the profile icon, top right.)
  2. Copy example_dags/we360_to_duckdb.py into your dags folder, and unpause it.
  3. Load the last 90 days at once:
       airflow dags trigger {DAG_ID} --conf '{{"window_start": "{ninety}", "window_end": "{last}"}}'

Look around:  the table   {DATABASE.relative_to(REPO)}  ({TABLE})
              the picture {PICTURE.relative_to(REPO)}
              the log     {(HOME / "load.log").relative_to(REPO)}"""


def main() -> None:
    HOME.mkdir(exist_ok=True)
    yesterday = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date() - dt.timedelta(days=1)
    first = yesterday - dt.timedelta(days=DAYS - 1)
    with sandbox() as we360:
        say(f"sandbox up at {we360['url']}: a company of {EMPLOYEES}, no We360 account needed")
        env = environment(we360)
        say("preparing a private Airflow in .demo/airflow (about ten seconds)")
        airflow("db", "migrate", env=env, log_name="migrate.log")
        say(f"airflow dags test {DAG_ID}: {first} to {yesterday} (Airflow takes its time to start)")
        days = json.dumps({"window_start": first.isoformat(), "window_end": yesterday.isoformat()})
        airflow("dags", "test", DAG_ID, "--conf", days, env=env, log_name="load.log")
    if show() == 0:
        sys.exit("nothing landed; see .demo/load.log")
    draw(DATABASE, TABLE, PICTURE)
    say(f"picture written: {PICTURE.relative_to(REPO)}")
    print(next_steps(first))


if __name__ == "__main__":
    main()
