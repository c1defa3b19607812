"""A run of a Dag that stands in no file, in this process, with Airflow's own database."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def run_here(dag: Any, **arguments: Any) -> Any:
    """The run, when it has ended.

    :param arguments: as ``DAG.test`` takes them.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    with tempfile.TemporaryDirectory() as empty:
        bag = BundleDagBag(dag_folder=empty, bundle_path=Path(empty), bundle_name="dags-folder")
        bag.bag_dag(dag)
        DagBundlesManager().sync_bundles_to_db()
        sync_bag_to_db(bag, "dags-folder", None)
    return dag.test(**arguments)


@contextlib.contextmanager
def woken_by(events: Sequence[int]) -> Iterator[None]:
    """Runs that are made meanwhile are as if these asset events, by their ids in Airflow's database, had woken them."""
    from airflow.models.asset import association_table
    from airflow.models.dagrun import DagRun
    from sqlalchemy import event

    def link(mapper: Any, connection: Any, run: Any) -> None:
        connection.execute(association_table.insert(), [{"dag_run_id": run.id, "event_id": number} for number in events])

    event.listen(DagRun, "after_insert", link)
    try:
        yield
    finally:
        event.remove(DagRun, "after_insert", link)
