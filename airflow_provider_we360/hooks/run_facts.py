"""Airflow's task context, read into the plain facts that decide a window and name a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_we360.window import RunFacts


def run_facts(context: Mapping[str, Any]) -> RunFacts:
    """What the context knows of the run. In Airflow 3 most of it is absent for manual and asset-triggered runs."""
    dag_run = context.get("dag_run")
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return RunFacts(
        partition_date=context.get("partition_date"),
        partition_key=context.get("partition_key"),
        data_interval=(start, end) if start is not None and end is not None else None,
        event_windows=tuple(_event_windows(_triggering_events(context))),
        logical_date=context.get("logical_date"),
        run_after=getattr(dag_run, "run_after", None),
        started_at=getattr(dag_run, "start_date", None),
    )


def run_id(context: Mapping[str, Any]) -> str:
    """Names this load, the same for every try of it: Dag, run, task, and map index where the task is mapped."""
    ti = context["ti"]
    map_index = getattr(ti, "map_index", None)
    parts = [
        ti.dag_id,
        ti.run_id,
        ti.task_id,
        *([] if map_index in (None, -1) else [str(map_index)]),
    ]
    return "|".join(parts)


def _triggering_events(context: Mapping[str, Any]) -> Any:
    """The events by asset. Airflow 2.11 calls assets datasets, and each look asks its database: only where one woke the run."""
    if getattr(context.get("dag_run"), "run_type", None) == "dataset_triggered":
        return context.get("triggering_dataset_events") or {}
    return context.get("triggering_asset_events") or {}


def _event_windows(events: Any) -> Iterator[object]:
    for of_asset in events.values():
        for event in of_asset:
            yield (event.extra or {}).get("window")
