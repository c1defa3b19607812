"""From typed value to what stands in the JSON, in each form that was seen or feared.

The salt makes "mixed" forms repeat themselves: a row's value has one form, whenever it is asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeAlias

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.types import Value
from simulator.config import SimulatorConfig

ABSENT = object()
"""Stands for a key that is left out."""
Writer: TypeAlias = Callable[[Any, int], Any]

_NOTHING: dict[str, Any] = {"null": None, "empty": "", "absent": ABSENT}
_MIXED_NOTHING = ("-", "\N{EN DASH}", "\N{EM DASH}", None, "", ABSENT)
_DURATION_FORMS = ("h_mm_ss", "mm_ss", "seconds", "seconds_text")
_FLIPS: dict[str, Callable[[Value], Any]] = {
    "number": lambda value: 17 if not isinstance(value, int | float) else value,
    "text": str,
    "boolean": bool,
    "object": lambda value: {"value": str(value)},
    "list": lambda value: [str(value)],
    "nan": lambda _: float("nan"),
    "negative": lambda _: -1,
    "garbage": lambda _: "25:61:7x",
}


def writer(name: str, config: SimulatorConfig) -> Writer:
    """The function that writes values of this column."""
    write = _by_kind(name, config)
    flip = _FLIPS[config.type_flips[name]] if name in config.type_flips else None

    def cell(value: Value, salt: int) -> Any:
        if value is None:
            return (
                _MIXED_NOTHING[salt % 6]
                if config.nothing == "mixed"
                else _NOTHING.get(config.nothing, config.nothing)
            )
        return flip(value) if flip else write(value, salt)

    return cell


def duration(seconds: int, form: str = "h_mm_ss") -> str | int:
    """Whole seconds in one of the forms; hours have no upper bound."""
    if form == "seconds":
        return seconds
    if form == "seconds_text":
        return str(seconds)
    hours, rest = divmod(seconds, 3600)
    short = f"{rest // 60:02d}:{rest % 60:02d}"
    return short if form == "mm_ss" and not hours else f"{hours}:{short}"


def _by_kind(name: str, config: SimulatorConfig) -> Writer:
    kind = REPORT.column(name).kind
    if kind is Kind.DURATION:
        if config.durations == "mixed":
            return lambda value, salt: duration(value, _DURATION_FORMS[salt % 4])
        return lambda value, _: duration(value, config.durations)
    if kind in {Kind.BIGINT, Kind.DOUBLE}:
        return lambda value, salt: (
            str(value)
            if config.numbers == "text" or (config.numbers == "mixed" and not salt % 3)
            else value
        )
    if kind is Kind.TIMESTAMP:
        return lambda value, salt: _moment(value, config, salt)
    if kind is Kind.DATE:
        return lambda value, _: value.isoformat()
    if name == "c_grade" and config.numbers != "text":
        return lambda value, _: int(value)
    return lambda value, _: value


def _moment(value: dt.datetime, config: SimulatorConfig, salt: int) -> str:
    form = ("blank", "t", "offset")[salt % 3] if config.punches == "mixed" else config.punches
    if form == "offset":
        import zoneinfo

        return value.replace(tzinfo=zoneinfo.ZoneInfo(config.timezone)).isoformat()
    return value.isoformat(sep=" " if form == "blank" else "T")
