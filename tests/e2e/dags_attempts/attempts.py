"""Runs with a session of their own whose login task runs more than once."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.operators.session import We360LoginOperator, We360LogoutOperator

DAY = dt.date(2026, 4, 1)
OPEN = Path(os.environ["ATTEMPTS_GATE"])


@task
def read() -> int:
    with closing(We360Hook()) as hook:
        return sum(len(batch.rows) for batch in hook.iter_batches(window=(DAY, DAY)))


@task
def gate() -> None:
    """Hold the run until the test opens the gate."""
    end = time.monotonic() + 300
    while not OPEN.exists():
        if time.monotonic() > end:
            raise TimeoutError("the gate was never opened")
        time.sleep(0.2)


def fail_the_first_try(context: Mapping[str, Any], result: Any = None) -> None:
    """The session is kept by now: the next try finds an earlier attempt's."""
    if context["ti"].try_number == 1:
        raise RuntimeError("after the login")


with DAG("cleared", schedule=None):
    login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
    login >> gate() >> read() >> logout
    login >> logout

with DAG("retried", schedule=None):
    login = We360LoginOperator(
        task_id="login",
        retries=1,
        retry_delay=dt.timedelta(seconds=1),
        post_execute=fail_the_first_try,
    )
    logout = We360LogoutOperator(task_id="logout")
    login >> read() >> logout
    login >> logout


@task_group
def session():
    login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
    login >> read() >> logout
    login >> logout


@task_group
def reading():
    read()


# Airflow 3.4 and later; mypy reads the types of 3.3.
loops: Any = (session, reading)
if hasattr(session, "loop"):
    with DAG("session_in_loop", schedule=None):
        loops[0].loop(max_iterations=2)

    with DAG("loop_in_session", schedule=None):
        login, logout = We360LoginOperator(task_id="login"), We360LogoutOperator(task_id="logout")
        login >> loops[1].loop(max_iterations=2) >> logout
        login >> logout
