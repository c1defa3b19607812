"""Compute yesterday's hours of each team in a task of your own, every day at noon, without a
warehouse.

``We360Hook().iter_batches`` yields typed rows, one day at a time. Durations are whole seconds; a
person who was not online has None. The task keeps only sums. Rows must never go to XCom, where
everyone who can see the Dag can read them. The result has the number of people and hours of each
team, and omits teams of fewer than five, whose sum would reveal individuals.

It needs the Connection ``we360_default`` (type We360).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from contextlib import closing
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, get_current_context, task

log = logging.getLogger(__name__)

with DAG(
    dag_id="we360_taskflow",
    schedule="0 12 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3},
    doc_md=__doc__,
    tags=["we360"],
) as dag:

    @task
    def team_hours() -> list[dict[str, Any]]:
        """Return people and online hours of each team, yesterday in India."""
        from airflow_provider_we360.hooks.we360 import We360Hook

        context = get_current_context()
        # A manual run has no interval in Airflow 3, and no run_after in Airflow 2.11.
        moment = context.get("data_interval_end") or context["dag_run"].run_after
        yesterday = pendulum.instance(moment).in_timezone("Asia/Kolkata").date().subtract(days=1)

        people: Counter[Any] = Counter()
        seconds: dict[Any, Any] = defaultdict(int)
        with closing(We360Hook("we360_default")) as hook:
            for batch in hook.iter_batches(
                window=(yesterday, yesterday), columns=["group_name", "online_duration"]
            ):
                for row in batch.rows:
                    people[row["group_name"]] += 1
                    seconds[row["group_name"]] += row["online_duration"] or 0
        return [
            {"team": team or "no team", "people": count, "hours": round(seconds[team] / 3600, 1)}
            for team, count in people.most_common()
            if count >= 5
        ]

    @task
    def report(teams: list[dict[str, Any]]) -> None:
        """Replace this with a message to your chat or mail."""
        for one in teams:
            log.info("%s: %d people, %.1f hours online", one["team"], one["people"], one["hours"])

    report(team_hours())
