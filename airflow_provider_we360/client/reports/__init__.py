"""The reports, one file each. A file ``NAME.py`` here that holds a ``REPORT`` is all it takes to add one."""

from __future__ import annotations

import importlib
import pkgutil

from airflow_provider_we360.client.report import Report
from airflow_provider_we360.errors import We360ConfigError


def names() -> tuple[str, ...]:
    """Names of all reports, sorted; found by looking into this folder, none is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def get(name: str) -> Report:
    """The report of that name.

    :raises We360ConfigError: where there is no such file.
    """
    if name not in names():
        raise We360ConfigError(f"report: {name!r} is unknown; use one of {', '.join(names())}")
    report = importlib.import_module(f"{__name__}.{name}").REPORT
    assert isinstance(report, Report)
    return report
