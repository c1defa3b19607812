"""Hook lineage: what a task has read and written, told to Airflow's own collector, for whichever plugin reads it."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import Any

from airflow_provider_we360 import assets

log = getLogger(__name__)


def tell_of_report(hook: Any, customer_id: str, report: str) -> None:
    """A report was read through this hook."""
    _tell(hook, "add_input_asset", lambda: assets.report_uri(customer_id, report))


def tell_of_target(hook: Any, uri: Callable[[], str | None]) -> None:
    """Rows that were read through this hook have landed.

    :param uri: of the table or folder; asked for only where somebody listens.
    """
    _tell(hook, "add_output_asset", uri)


def _tell(hook: Any, method: str, uri: Callable[[], str | None]) -> None:
    """Lineage is about the load, never a part of it: whatever goes wrong here stays here."""
    from airflow_provider_we360 import _compat

    try:
        if (collector := _compat.hook_lineage_collector()) is not None and (named := uri()):
            getattr(collector, method)(context=hook, uri=named)
    except Exception as error:  # noqa: BLE001
        log.info("Hook lineage was not told of this load (%s)", type(error).__name__)
