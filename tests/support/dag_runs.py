"""A run of a Dag that stands in no file, in this process, with Airflow's own database."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from support.airflow_line import AIRFLOW


class OneEvent:
    """``outlet_events`` with the same event for every outlet. Not a dict: an asset of Airflow 3.0 has no hash."""

    def __init__(self, event: Any) -> None:
        self._event = event

    def __getitem__(self, outlet: Any) -> Any:
        return self._event


def run_here(dag: Any, **arguments: Any) -> Any:
    """The run, when it has ended.

    :param arguments: as ``DAG.test`` takes them.
    """
    if AIRFLOW >= (3, 0):  # which runs no Dag that its database does not know
        make_known(dag)
    return dag.test(**arguments)


def make_known(dag: Any) -> None:
    """Write the Dag, and the assets that it names, into Airflow's database, as its processor of Dag files does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    with tempfile.TemporaryDirectory() as empty:
        DagBundlesManager().sync_bundles_to_db()
        if AIRFLOW >= (3, 2):
            from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

            bag = BundleDagBag(dag_folder=empty, bundle_path=Path(empty), bundle_name="dags-folder")
            bag.bag_dag(dag)
            sync_bag_to_db(bag, "dags-folder", None)
        else:
            from airflow.models import dagbag

            older: Any = dagbag.DagBag(dag_folder=empty, include_examples=False)
            dag.relative_fileloc = dag.relative_fileloc or "in_no_file.py"
            older.bag_dag(dag)
            older.sync_to_db("dags-folder", None)


@contextlib.contextmanager
def woken_by(events: Sequence[int]) -> Iterator[None]:
    """Runs that are made meanwhile are as if these asset events, by their ids in Airflow's database, had woken them."""
    from airflow.models.asset import association_table
    from airflow.models.dagrun import DagRun
    from sqlalchemy import event

    def link(mapper: Any, connection: Any, run: Any) -> None:
        connection.execute(
            association_table.insert(),
            [{"dag_run_id": run.id, "event_id": number} for number in events],
        )

    event.listen(DagRun, "after_insert", link)
    try:
        yield
    finally:
        event.remove(DagRun, "after_insert", link)
