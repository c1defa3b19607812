"""A task's context, read into plain facts, whichever Airflow made it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_we360.run_context import build_run_id, read_run_facts

EVENTS = {
    "one": [SimpleNamespace(extra={"window": ["2026-04-01", "2026-04-02"], "rows": 3})],
    "two": [
        SimpleNamespace(extra={"window": ["2026-04-05", "2026-04-05"]}),
        SimpleNamespace(extra=None),
    ],
}


WINDOWS = (["2026-04-01", "2026-04-02"], ["2026-04-05", "2026-04-05"], None)


def test_windows_of_all_triggering_events_are_found():
    assert read_run_facts({"triggering_asset_events": EVENTS}).event_windows == WINDOWS


def test_event_of_a_watcher_holds_its_window_in_the_payload():
    window = ["2026-04-01", "2026-04-01"]
    sent = {"from_trigger": True, "payload": {"report": "dynamic_report", "window": window}}
    events = {"one": [SimpleNamespace(extra=sent), SimpleNamespace(extra=sent | {"payload": "x"})]}
    assert read_run_facts({"triggering_asset_events": events}).event_windows == (window, None)


def test_airflow_2_datasets_are_read_only_if_triggered():
    """There the context is lazy: to look is to ask the database."""

    class Lazy(dict):
        def get(self, name, default=None):
            assert (
                name != "triggering_dataset_events"
                or self["dag_run"].run_type == "dataset_triggered"
            )
            return super().get(name, default)

    def facts(run_type):
        return read_run_facts(
            Lazy(dag_run=SimpleNamespace(run_type=run_type), triggering_dataset_events=EVENTS)
        )

    assert facts("dataset_triggered").event_windows == WINDOWS
    assert facts("scheduled").event_windows == ()


def test_run_without_events_has_no_windows():
    assert read_run_facts({}).event_windows == ()


@pytest.mark.parametrize(
    ("map_index", "name"), [(-1, "dag|run|task"), (None, "dag|run|task"), (7, "dag|run|task|7")]
)
def test_run_id_is_the_same_for_every_try(map_index, name):
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=map_index)
    assert build_run_id({"ti": ti}) == name
