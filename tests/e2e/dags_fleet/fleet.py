"""Eight tasks of one account each, which wait for one another before they ask for their first row."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from e2e.dags_fleet.deferred import AskOperator
from e2e.dags_fleet.together import DAY, FOLDER, NUMBERS, meet_as, people, wait_for

AWAKE_S = float(os.environ["FLEET_AWAKE_S"])
ASLEEP_S = float(os.environ["FLEET_ASLEEP_S"])


def meet(context: Mapping[str, Any], place: str) -> None:
    meet_as(context["ti"].map_index, context["run_id"], place)


@task(retry_delay=dt.timedelta(seconds=1))
def read(conn_id, number):
    """Each asks once, all at the same moment."""
    with closing(We360Hook(conn_id)) as hook:
        hook.get_conn()  # whatever has to be imported is
        meet(get_current_context(), "start")
        return [people(hook)]


@task
def hold_on(conn_id, number):
    """Each asks every second or two for longer than two tokens live; then sleeps through the end of the third; asks again."""
    context = get_current_context()
    with closing(We360Hook(conn_id)) as hook:
        meet(context, "start")
        found, end = [], time.monotonic() + AWAKE_S
        while time.monotonic() < end:
            found.append(people(hook))
            time.sleep(1.5)
        time.sleep(ASLEEP_S)
        meet(context, "awake again")
        return [*found, people(hook)]


@task
def outlive_the_session(conn_id, number):
    """Between its two requests somebody ends the session on the server."""
    context = get_current_context()
    with closing(We360Hook(conn_id)) as hook:
        meet(context, "start")
        found = [people(hook)]
        meet(context, "before the end")
        wait_for((FOLDER / context["run_id"] / "ended").exists, "nobody ended the session")
        return [*found, people(hook)]


with DAG("cold", schedule=None):
    read.partial(conn_id="we360_cold").expand(number=NUMBERS)

with DAG("deferred", schedule=None):
    AskOperator.partial(task_id="ask", conn_id="we360_deferred").expand(
        where=["worker" if number % 2 else "triggerer" for number in NUMBERS]
    )

with DAG("expiry", schedule=None):
    hold_on.partial(conn_id="we360_expiry").expand(number=NUMBERS)

with DAG("ended", schedule=None):
    outlive_the_session.partial(conn_id="we360_ended").expand(number=NUMBERS)

with DAG("refused", schedule=None, default_args={"retries": 3}):
    read.partial(conn_id="we360_refused").expand(number=NUMBERS)

with DAG("guarded", schedule=None):
    We360ToSqlOperator.partial(
        task_id="load",
        we360_conn_id="we360_guarded",
        table="days",
        window_start=DAY.isoformat(),
        window_end=DAY.isoformat(),
        pre_execute=lambda context: meet(context, "start"),
    ).expand(sql_conn_id=[f"warehouse_{number}" for number in NUMBERS])
