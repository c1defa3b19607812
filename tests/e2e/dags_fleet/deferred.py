"""A task that asks in its own process, or in the triggerer: in a thread, for the hook is not asynchronous."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import httpx
from airflow.providers.common.compat.sdk import BaseOperator, Context
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_we360.hooks.we360 import We360Hook
from e2e.dags_fleet.together import meet_as, people

log = logging.getLogger(__name__)


def ask(number: int, run_id: str, conn_id: str) -> int:
    """Asks once, when all others do, and says how many rows there are. Indiscreet: the token that it sends is logged."""
    with closing(We360Hook(conn_id)) as hook:
        hook.get_conn().event_hooks["request"].append(_tell)
        meet_as(number, run_id, "start")
        return people(hook)


def _tell(request: httpx.Request) -> None:
    if sent := request.headers.get("Authorization"):
        log.info("Sent: %s", sent)


class AskTrigger(BaseTrigger):
    """Its class is imported by the triggerer, which does not know the folder of Dags: it must be on PYTHONPATH."""

    def __init__(self, number: int, run_id: str, conn_id: str) -> None:
        super().__init__()
        self.facts = {"number": number, "run_id": run_id, "conn_id": conn_id}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.AskTrigger", self.facts

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(await asyncio.to_thread(ask, **self.facts))


class AskOperator(BaseOperator):
    """Each asks once, all at the same moment.

    :param where: ``worker`` or ``triggerer``.
    """

    def __init__(self, *, conn_id: str, where: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.where = where

    def execute(self, context: Context) -> list[int]:
        number, run_id = context["ti"].map_index, context["run_id"]
        if self.where == "triggerer":
            self.defer(trigger=AskTrigger(number, run_id, self.conn_id), method_name="go_on")
        return [ask(number, run_id, self.conn_id)]

    def go_on(self, context: Context, event: int) -> list[int]:
        return [event]
