"""Runs the operator's ``execute`` in a process of its own for each line on standard input, as Airflow's workers do: by fork.

Tells the process' id at once, then how it ended: a signal's number below zero, 0, or 1.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import traceback
from types import SimpleNamespace
from typing import Any


def run_task(told: dict[str, Any]) -> None:
    """One try of a task, with the real hook, the real wire and the real target."""
    from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator
    from airflow_provider_we360.transfers.we360_to_object_storage import (
        We360ToObjectStorageOperator,
    )
    from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

    os.environ.update(told["environment"])
    kind: Any = We360ToSqlOperator
    if "path" in told["arguments"]:
        kind = We360ToObjectStorageOperator
    if "lakehouse_conn_id" in told["arguments"]:
        kind = We360ToLakehouseOperator
    moment = dt.datetime(2026, 7, 1, 6, 30, tzinfo=dt.UTC)
    context: Any = {
        "ti": SimpleNamespace(dag_id="dag", task_id="load", run_id=told["run_id"], map_index=-1),
        "dag_run": SimpleNamespace(run_after=moment, start_date=moment),
        "outlet_events": {},
    }
    kind(task_id="load", **told["arguments"]).execute(context)


def warm_up() -> None:
    """What a worker has loaded before it forks: nothing but code, no thread, no connection."""
    import pyarrow.parquet  # noqa: F401
    import pyiceberg.io.pyarrow  # noqa: F401

    import airflow_provider_we360.client.client
    import airflow_provider_we360.hooks.we360
    import airflow_provider_we360.transfers.we360_to_object_storage
    import airflow_provider_we360.transfers.we360_to_sql  # noqa: F401


def main() -> None:
    warm_up()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Airflow prints goes to standard error
    answers.write("ready\n")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                run_task(json.loads(line))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        answers.write(f"{pid}\n")
        _, ended = os.waitpid(pid, 0)
        answers.write(f"{os.waitstatus_to_exitcode(ended)}\n")


if __name__ == "__main__":
    main()
