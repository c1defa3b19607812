"""Report what a task reads and writes to Airflow's hook lineage, for any plugin that reads it."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import Any

from airflow_provider_we360 import assets

log = getLogger(__name__)


def record_input(hook: Any, customer_id: str, report: str) -> None:
    """Record that a report was read through this hook."""
    _record(hook, "add_input_asset", lambda: assets.report_uri(customer_id, report))


def record_output(hook: Any, build_uri: Callable[[], str | None]) -> None:
    """Record that rows read through this hook were loaded into a target.

    :param build_uri: returns the URI of the table or folder; called only if a plugin reads lineage.
    """
    _record(hook, "add_output_asset", build_uri)


def _record(hook: Any, method: str, build_uri: Callable[[], str | None]) -> None:
    from airflow_provider_we360 import _compat

    # Lineage describes the load and is no part of it: a failing plugin must not fail the load.
    try:
        if (collector := _compat.hook_lineage_collector()) is not None and (uri := build_uri()):
            getattr(collector, method)(context=hook, uri=uri)
    except Exception as error:  # noqa: BLE001
        log.info(
            "Hook lineage was not recorded (%s); the load is not affected", type(error).__name__
        )
