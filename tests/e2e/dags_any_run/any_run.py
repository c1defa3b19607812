"""Runs that do not go straight: cleared and run again, two at once, killed in the middle, woken by the triggerer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

FIRST, LAST = os.environ["ANY_RUN_WINDOW"].split()
MEETING = Path(os.environ["ANY_RUN_MEETING"])
KILL_AFTER_S = 2.0


def meet(context: Mapping[str, Any]) -> None:
    """Come back when two runs are here."""
    (MEETING / context["run_id"]).touch()
    end = time.monotonic() + 120
    while len(list(MEETING.iterdir())) < 2:
        if time.monotonic() > end:
            raise TimeoutError("the other run never came")
        time.sleep(0.05)


def kill_the_first_try(context: Mapping[str, Any]) -> None:
    """As the machine would that runs out of memory: no handler runs, nothing is told."""
    if context["ti"].try_number == 1:
        timer = threading.Timer(KILL_AFTER_S, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


def load(table: str, **arguments: Any) -> We360ToSqlOperator:
    return We360ToSqlOperator(
        task_id="load",
        sql_conn_id="warehouse",
        table=table,
        load_log_table=f"{table}_log",
        window_start=FIRST,
        window_end=LAST,
        **arguments,
    )


with DAG("cleared", schedule=None):
    load("cleared")

with DAG("together", schedule=None, max_active_runs=2):
    load("together", pre_execute=meet)

with DAG("killed", schedule=None):
    load("killed", retries=1, retry_delay=timedelta(seconds=1), pre_execute=kill_the_first_try)

with DAG("waiting", schedule=None):

    @task
    def loaded_at() -> float:
        """When the task below the sensor began."""
        return get_current_context()["ti"].start_date.timestamp()

    wait = We360ReportSensor(
        task_id="wait",
        deferrable=True,
        poke_interval=2.0,
        timeout=300.0,
        window_start=FIRST,
        window_end=LAST,
        settle_hours=os.environ["ANY_RUN_SETTLE_HOURS"],
    )
    wait >> loaded_at()

BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=21)
with DAG(
    "paused", schedule="@daily", start_date=BEGIN, catchup=False, is_paused_upon_creation=True
):
    We360ToSqlOperator(
        task_id="load",
        sql_conn_id="warehouse",
        table="paused",
        load_log_table="paused_log",
        complete_since=BEGIN.date(),
    )
