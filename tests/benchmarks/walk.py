"""python -m benchmarks.walk: how many calls of this package one token and one row take.

``sys.setprofile`` counts each call and each resumption of a generator. A hop is two successive
calls in different files. Code outside the package is not counted.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

DAY = dt.date(2026, 4, 1)
HEAD = "| walk | calls | functions | files | hops between files |"


def count_calls(work: Callable[[], object], root: str) -> list[CodeType]:
    """Return the code objects below ``root`` that the work called, in order."""
    calls: list[CodeType] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        name = code.co_filename
        is_ours = name.startswith(root) and not name.startswith(f"{root}sandbox")
        if event == "call" and is_ours and code.co_name != "<module>":
            calls.append(code)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return calls


def format_row(name: str, calls: list[CodeType]) -> str:
    """Return one line of the table."""
    files = [code.co_filename for code in calls]
    hops = sum(one != other for one, other in itertools.pairwise(files))
    figures = (len(calls), len(set(calls)), len(set(files)), hops)
    return f"| {name} | " + " | ".join(f"{figure:,}" for figure in figures) + " |"


def main() -> None:
    """Print the table."""
    home = tempfile.mkdtemp(prefix="we360-walk-")
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": f"{home}/w.db"}),
    }
    logging.disable(logging.CRITICAL)
    measure(Path(home))


def measure(home: Path) -> None:
    """Walk through a server in this process, with Variables in memory."""
    from types import SimpleNamespace

    import airflow_provider_we360
    from airflow_provider_we360 import _compat
    from airflow_provider_we360.hooks.we360 import We360Hook
    from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
    from simulator.app import Simulator, SimulatorConfig
    from simulator.server import serve
    from support.variables import FakeVariables

    root = str(Path(airflow_provider_we360.__file__).parent) + os.sep
    variables = FakeVariables()
    in_memory = SimpleNamespace(
        get=lambda name, default=None: variables.get(name) or default,
        set=lambda name, value, description=None: variables.set(name, value, description or ""),
        delete=variables.delete,
    )
    vars(_compat)["Variable"] = in_memory
    config = SimulatorConfig(employees=50)
    with serve(Simulator(config)) as server:
        account = {
            "conn_type": "we360",
            "host": server.url,
            "login": config.login,
            "password": config.password,
            "extra": {
                "customer_id": config.customer_id,
                "auth_url": server.url,
                "allow_http": True,
            },
        }
        os.environ["AIRFLOW_CONN_WALK"] = json.dumps(account)

        def request(hook: We360Hook) -> None:
            hook.get_conn().post("/query/external/reports/dynamic_report", json={})

        def load(table: str) -> None:
            operator = We360ToSqlOperator(
                task_id="load",
                we360_conn_id="walk",
                sql_conn_id="warehouse",
                table=table,
                window_start=DAY.isoformat(),
                window_end=DAY.isoformat(),
            )
            moment = dt.datetime(2026, 5, 27, 6, 30, tzinfo=dt.UTC)
            task = SimpleNamespace(
                dag_id="dag", task_id="load", run_id="run", map_index=-1, task=operator
            )
            run = SimpleNamespace(run_after=moment, start_date=moment, logical_date=moment)
            context: Any = {"ti": task, "dag_run": run, "outlets": [], "outlet_events": {}}
            operator.execute(context)

        print(HEAD)
        print("| --- | ---: | ---: | ---: | ---: |")
        load("warm_up")  # imports, once
        variables.values.clear()
        cold = We360Hook("walk", sleep=lambda _: None)
        first = count_calls(lambda: request(cold), root)
        print(format_row("first request, cold login, Variable", first))
        later = count_calls(lambda: request(cold), root)
        warm = We360Hook("walk", sleep=lambda _: None)
        found = count_calls(lambda: request(warm), root)
        print(format_row("first request, token in the Variable", found))
        print(format_row("every later request", later))
        cold.close()
        warm.close()
        variables.values.clear()
        row = count_calls(lambda: load("rows"), root)
        print(format_row("one day, 50 rows, SQLite, with login", row))


if __name__ == "__main__":
    main()
