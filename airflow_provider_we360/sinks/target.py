"""Target: where a load goes, and the means to wait for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from typing import Any, TypeVar

from airflow_provider_we360.errors import SinkBusy
from airflow_provider_we360.sinks.table import TableName
from airflow_provider_we360.types import Clock, Sleep

log = getLogger(__name__)
T = TypeVar("T")

TELL_EVERY_S = 15.0
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes.

    :param hook: the Connection's official Airflow hook.
    :param conn_id: the Connection's id, for messages.
    :param clock: any clock that only goes forward, in seconds.
    :param patience_s: how long a target that another holds is waited for.
    """

    hook: Any
    table: TableName
    conn_id: str
    sleep: Sleep
    clock: Clock
    patience_s: float = 600.0

    def __str__(self) -> str:
        return str(self.table)

    def wait_for(self, attempt: Callable[[], T | None], *, what: str) -> T:
        """What ``attempt`` answers once it is not None; it is asked again and again while another load holds the target.

        :param what: what is waited for, for the log.
        :raises SinkBusy: when patience ends.
        """
        began = told = self.clock()
        pause = FIRST_PAUSE_S
        while (answer := attempt()) is None:
            now = self.clock()
            if now - began >= self.patience_s:
                raise SinkBusy(
                    f"{what} was held by others for {self.patience_s:.0f} s; nothing was changed. Run the task again when they "
                    "are done; an Airflow pool of one slot keeps loads of one database from meeting"
                )
            if now - told >= TELL_EVERY_S:
                told = now
                log.info("Waiting for %s, held by another, for %.0f s now", what, now - began)
            # Of unequal length, so that two who wait do not meet again and again.
            self.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_S, pause * 1.5)
        return answer
