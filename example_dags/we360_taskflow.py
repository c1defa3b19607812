"""Every day at noon: yesterday's hours of each team, computed in a task of your own, without a warehouse.

``We360Hook().iter_batches`` hands out typed rows, a day at a time: durations are whole seconds, a person who was not online has
None. The task keeps the sums alone. Rows never go to XCom, where everybody who may see the Dag could read them: what does is a
number of people and hours for each team, and a team of fewer than five, whose sum would tell of persons, is left out.

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
        """People and hours online of each team, yesterday in India."""
        from airflow_provider_we360.hooks.we360 import We360Hook

        context = get_current_context()
        # A manual run of Airflow 3 has no interval, and Airflow 2.11 has no run_after.
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
    def tell(teams: list[dict[str, Any]]) -> None:
        """Put a message to your chat or mail here."""
        for one in teams:
            log.info("%s: %d people, %.1f hours online", one["team"], one["people"], one["hours"])

    tell(team_hours())
