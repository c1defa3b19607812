"""Read Airflow's task context: what decides the window, and what identifies the load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_we360.window import RunFacts


def read_run_facts(context: Mapping[str, Any]) -> RunFacts:
    """Return what the context knows about the run.

    Most of it is absent in manual and asset-triggered runs of Airflow 3.
    """
    dag_run = context.get("dag_run")
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return RunFacts(
        partition_date=context.get("partition_date"),
        partition_key=context.get("partition_key"),
        data_interval=(start, end) if start is not None and end is not None else None,
        event_windows=tuple(_event_windows(context)),
        logical_date=context.get("logical_date"),
        run_after=getattr(dag_run, "run_after", None),
        started_at=getattr(dag_run, "start_date", None),
    )


def build_run_id(context: Mapping[str, Any]) -> str:
    """Return the ID of this load: Dag, run, task and, if the task is mapped, its map index.

    It is the same for every try, so that a retry can find the rows of an earlier one.
    """
    ti = context["ti"]
    parts = [ti.dag_id, ti.run_id, ti.task_id]
    map_index = getattr(ti, "map_index", None)
    if map_index not in (None, -1):
        parts.append(str(map_index))
    return "|".join(parts)


def _event_windows(context: Mapping[str, Any]) -> Iterator[object]:
    # Airflow 2.11 calls assets datasets and queries its database on each access: only do so if a
    # dataset triggered the run.
    if getattr(context.get("dag_run"), "run_type", None) == "dataset_triggered":
        events = context.get("triggering_dataset_events") or {}
    else:
        events = context.get("triggering_asset_events") or {}
    for events_of_asset in events.values():
        for event in events_of_asset:
            extra = event.extra or {}
            # The event of an asset watcher holds what its trigger sent under "payload".
            payload = extra.get("payload") if extra.get("from_trigger") else None
            yield (payload if isinstance(payload, dict) else extra).get("window")
