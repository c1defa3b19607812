"""The asset events of the outlets: what was loaded, and its days as partitions (Airflow 3.3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.arguments.values import read_flag
from airflow_provider_we360.errors import We360ConfigError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_we360.transfers.result import WindowLoad
    from airflow_provider_we360.types import Window


def check_partition_events(partition_events: object, mode: object) -> None:
    """Raise if the argument is wrong.

    :raises We360ConfigError: if it is neither True nor False, or the report has no days.
    """
    if read_flag(partition_events, "partition_events") and str(mode).strip() == "summary":
        raise We360ConfigError(
            "partition_events: mode 'summary' sums a whole window and has no days; leave it out"
        )


def fill_events(
    operator: Any, context: Context, loads: Iterable[WindowLoad], facts: Mapping[str, Any]
) -> None:
    """Write what was loaded into the event of each outlet of an operator.

    :param facts: the ``extra`` of the events.
    """
    windows = [load.extract.window for load in loads]
    for outlet in operator.outlets:
        # An asset alias has no URI and takes no extra of its own.
        if not getattr(outlet, "uri", None):
            continue
        event = context["outlet_events"][outlet]
        event.extra.update(deepcopy(dict(facts)))
        if operator.partition_events:
            add_days(event, windows, operator.log)


def add_days(event: Any, windows: Iterable[Window], log: Any) -> None:
    """Add each day of the windows to an outlet's event, as a partition key (ISO date).

    :param event: what ``context["outlet_events"][asset]`` returns.
    """
    if not hasattr(event, "add_partitions"):
        log.info("partition_events needs Airflow 3.3; the event of the asset has no partitions")
        return
    for first, last in windows:
        days = range((last - first).days + 1)
        event.add_partitions([str(first + dt.timedelta(days=number)) for number in days])
