"""The example Dag, run by the real command line against a server that shares no code with us."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from support.airflow_line import AIRFLOW, without_debug_of_3_0
from support.foreign_server import CUSTOMER_ID, PASSWORD, USERNAME, ForeignServer

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"


def dags_test(first, last, **environment):
    """Output of ``airflow dags test``."""
    command = [sys.executable, "-m", "airflow", "dags", "test", "we360_to_duckdb", "--conf"]
    conf = json.dumps({"window_start": first.isoformat(), "window_end": last.isoformat()})
    env = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES)} | environment
    if (3, 0) <= AIRFLOW < (3, 2):  # which take no asset of a Dag that their database does not know
        subprocess.run(
            [sys.executable, "-m", "airflow", "dags", "reserialize"],
            env=env,
            capture_output=True,
            check=True,
        )
    done = subprocess.run([*command, conf], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def table(path):
    with duckdb.connect(str(path), read_only=True) as warehouse:
        found = warehouse.execute(
            "SELECT * EXCLUDE (_we360_run_id, _we360_loaded_at) FROM we360_days ORDER BY attendance_date, identity_id"
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.long
@pytest.mark.usefixtures("airflow_db")
def test_ten_days_loaded_twice_are_the_foreign_servers_truth(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with ForeignServer("capped") as server:
        first = server.company.first_day
        last = first + dt.timedelta(days=9)
        connections = {
            "AIRFLOW_CONN_WE360_DEFAULT": json.dumps(
                {
                    "conn_type": "we360",
                    "host": server.url,
                    "login": USERNAME,
                    "password": PASSWORD,
                    "extra": {
                        "customer_id": CUSTOMER_ID,
                        "auth_url": server.url,
                        "allow_http": "true",
                    },
                }
            ),
            "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps({"conn_type": "duckdb", "host": str(path)}),
        }
        once = dags_test(first, last, **connections)
        rows = table(path)
        twice = dags_test(first, last, **connections)
        assert table(path) == rows
        truth = {
            (row["attendance_date"], row["identity_id"]): row for row in server.truth(first, last)
        }
        assert len(rows) == len(truth) > 0
        for row in rows:
            expected = truth[row["attendance_date"], row["identity_id"]] | {
                "_we360_tenant": CUSTOMER_ID
            }
            assert row == {name: expected[name] for name in row}
        assert (server.logins, server.live_sessions) == (1, 1)
        people = {
            str(row[name])
            for row in truth.values()
            for name in ("first_name", "email", "identity_id")
            if row.get(name)
        }
        secrets = {PASSWORD, USERNAME, *people, "eyJ"}
        told = without_debug_of_3_0(once + twice)
        assert not {secret for secret in secrets if secret in told}
