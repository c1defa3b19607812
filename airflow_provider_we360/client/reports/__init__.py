"""The reports, one file each: a file ``NAME.py`` with a ``REPORT`` adds a report."""

from __future__ import annotations

import importlib
import pkgutil

from airflow_provider_we360.client.report import Report
from airflow_provider_we360.errors import We360ConfigError


def names() -> tuple[str, ...]:
    """Return the names of all reports, sorted. Lists this folder; imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Report:
    """Return the report of that name.

    :raises We360ConfigError: there is no such report.
    """
    if name not in names():
        raise We360ConfigError(f"report: {name!r} is unknown; use one of {', '.join(names())}")
    report = importlib.import_module(f"{__name__}.{name}").REPORT
    assert isinstance(report, Report)
    return report
