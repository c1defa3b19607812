"""What the tasks of one run do at one moment, in whichever processes they are."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_we360.hooks.we360 import We360Hook

DAY = dt.date.fromisoformat(os.environ["FLEET_DAY"])
FOLDER = Path(os.environ["FLEET_FOLDER"])
NUMBERS = list(range(int(os.environ["FLEET_TASKS"])))
PATIENCE_S = 180.0
GET_READY_S = 0.5


def wait_for(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def meet_as(number: int, run_id: str, place: str) -> None:
    """Comes back when all tasks of the run are at this place; in all of them at one moment."""
    folder = FOLDER / run_id / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(number)).write_text(f"{os.getpid()} {os.environ.get('FLEET_WORKER', '')}")
    wait_for(lambda: len(list(folder.iterdir())) == len(NUMBERS), f"not all tasks came to {place}")
    time.sleep(
        max(0.0, max(file.stat().st_mtime for file in folder.iterdir()) + GET_READY_S - time.time())
    )


def people(hook: We360Hook) -> int:
    """How many rows the day has: one request."""
    return sum(len(batch) for batch in hook.iter_batches(window=(DAY, DAY)))
