"""Check arguments that are not templates while the Dag is parsed.

A mistake then is an import error that Airflow shows within seconds, not a failed task at night. The
same functions check the rendered values again when the task runs, so the two cannot differ.
Arguments that contain a template are left to the run. Nothing heavy is imported here: Dag files are
parsed every few seconds.
"""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from airflow_provider_we360.arguments.values import (
    is_absent,
    is_template,
    read_mapping,
    read_names,
    read_text,
)
from airflow_provider_we360.client import reports
from airflow_provider_we360.client.extract import Extract, parse_extract, require_ids
from airflow_provider_we360.errors import NoDayInInterval, We360ConfigError
from airflow_provider_we360.rows.schema import parse_kinds, require_column_names
from airflow_provider_we360.types import Window
from airflow_provider_we360.window import (
    RunFacts,
    parse_edge,
    parse_lookback,
    parse_timezone,
    resolve_window,
)

ROW_ARGUMENTS = (
    "report",
    "mode",
    "columns",
    "group_ids",
    "user_ids",
    "shift_ids",
    "report_params",
    "column_types",
)
"""Arguments that together say which rows of a report are read, apart from the window."""
_FILTERS = ("group_ids", "user_ids", "shift_ids")
_ANY_WINDOW: Window = (dt.date(2000, 1, 1), dt.date(2000, 1, 1))
_CLOSE = 0.8
"""Similarity from which an unknown column counts as a misspelling of a known one, 0 to 1."""


def find_literals(operator: object, names: Iterable[str]) -> dict[str, Any]:
    """Return those arguments of an operator that hold no template.

    Empty if the operator's Dag has its own Jinja delimiters: templates cannot be recognized then.
    """
    if getattr(getattr(operator, "_dag", None), "jinja_environment_kwargs", None):
        return {}
    # Airflow renders attributes in place, so here, in __init__, they still hold the templates.
    values = {name: getattr(operator, name) for name in names}
    return {name: value for name, value in values.items() if not is_template(value)}


def build_extract(values: Mapping[str, Any], window: Window) -> Extract:
    """Return the rows that the arguments select, checked as a whole.

    :param values: ``ROW_ARGUMENTS`` by name; a missing one counts as not given.
    :raises We360ConfigError: for the first argument that is wrong; the message names it.
    """
    return parse_extract(
        read_text(values.get("report"), "report") or "dynamic_report",
        window=window,
        mode=read_text(values.get("mode"), "mode") or "detailed",
        columns=read_names(values.get("columns"), "columns"),
        report_params=read_mapping(values.get("report_params"), "report_params"),
        column_types=read_mapping(values.get("column_types"), "column_types"),
        **{name: read_names(values.get(name), name) or () for name in _FILTERS},
    )


def check_rows(values: Mapping[str, Any]) -> Extract | None:
    """Check literal ``ROW_ARGUMENTS``.

    :param values: the arguments without a template, by name.
    :returns: what they select, over an arbitrary window; None if one of them is a template.
    :raises We360ConfigError: for the first argument that is wrong; the message names it.
    """
    if all(name in values for name in ROW_ARGUMENTS):
        return build_extract(values, _ANY_WINDOW)
    # What depends on a templated argument is left to the run; each of the others is checked alone.
    if not is_absent(values.get("report")):
        reports.get(str(values["report"]))
    if (columns := read_names(values.get("columns"), "columns")) is not None:
        require_column_names(columns)
    for name in _FILTERS:
        require_ids(read_names(values.get(name), name), name)
    read_mapping(values.get("report_params"), "report_params")
    parse_kinds(read_mapping(values.get("column_types"), "column_types"))
    return None


def check_window(values: Mapping[str, Any]) -> None:
    """Check literal ``window_start``, ``window_end``, ``timezone`` and ``lookback_days``.

    :param values: the arguments without a template, by name.
    :raises We360ConfigError: for the first argument that is wrong; the message names it.
    """
    zone = values.get("timezone")
    zone = "UTC" if is_absent(zone) else parse_timezone(zone)
    parse_lookback(values.get("lookback_days"))
    edges = {name: values[name] for name in ("window_start", "window_end") if name in values}
    given = [parse_edge(value, name) for name, value in edges.items()]
    if len(edges) == 2 and any(edge is not None for edge in given):
        # Two datetimes between which no day ends are no mistake: such a run is skipped.
        with suppress(NoDayInInterval):
            resolve_window(RunFacts(), timezone=zone, **edges)


def check_lookback(extract: Extract, lookback_days: object) -> None:
    """Raise if ``lookback_days`` is combined with a mode that has no rows per day."""
    if not extract.mode.is_daily and parse_lookback(lookback_days):
        raise We360ConfigError(
            f"lookback_days: cannot be used with mode {extract.mode_name!r}, which sums the whole"
            " window into one row per person: a longer window is another sum; give window_start"
            " and window_end"
        )


def describe_misspelled_columns(extract: Extract) -> list[str]:
    """Return a sentence for each requested column that resembles a documented one.

    The list of columns is open: the server may know more than this package does, so an unknown name
    is a warning, not an error.
    """
    known = extract.report.columns
    found = []
    for name in (column.name for column in extract.columns if column.name not in known):
        if close := get_close_matches(name.lower(), known, n=1, cutoff=_CLOSE):
            found.append(
                f"columns: report {extract.report.name} documents no column {name!r}; it is"
                f" requested as text. Did you mean {close[0]!r}?"
            )
    return found


def warn_of_misspelled_columns(extract: Extract) -> None:
    """Warn at the line of the Dag file that creates the operator; Airflow shows import warnings."""
    # Python 3.11 has no skip_file_prefixes: find the first frame outside Airflow and this package.
    level, frame = 1, sys._getframe()  # noqa: SLF001 - warnings count frames the same way
    while frame.f_back is not None and _is_internal(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    for sentence in describe_misspelled_columns(extract):
        warnings.warn(sentence, UserWarning, stacklevel=level)


def _is_internal(module: str) -> bool:
    return module.partition(".")[0] in ("airflow", "airflow_provider_we360")
