"""How typed values appear in the JSON, in every form that was seen or must be expected.

The salt makes "mixed" forms repeatable: a row's value has the same form in every answer.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sandbox.company import ReportRow
from airflow_provider_we360.sandbox.report_api import encode_duration
from airflow_provider_we360.types import Value
from simulator.config import SimulatorConfig

ABSENT = object()
"""Stands for a key that is left out."""
Encoder: TypeAlias = Callable[[Any, int], Any]

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


def encode_rows(
    rows: Sequence[ReportRow], columns: Sequence[str], config: SimulatorConfig
) -> list[dict[str, Any]]:
    """Return the rows' JSON objects."""
    encoders = [
        (name, build_encoder(name, config), place)
        for place, name in enumerate(columns)
        if name not in config.drop_columns
    ]
    data = []
    for number, one in enumerate(rows, 1):
        day = one.row.get("attendance_date")
        salt = one.person.number + (day.toordinal() if isinstance(day, dt.date) else 0)
        cells = (
            (name, encode(one.row.get(name), salt + place)) for name, encode, place in encoders
        )
        line = {name: cell for name, cell in cells if cell is not ABSENT}
        line |= config.extra_columns
        if config.null_key_every and not number % config.null_key_every and "identity_id" in line:
            line["identity_id"] = "-"
        data.append(line)
    return data


def build_encoder(name: str, config: SimulatorConfig) -> Encoder:
    """Return the function that encodes values of this column."""
    encode = _encoder_by_kind(name, config)
    flip = _FLIPS[config.type_flips[name]] if name in config.type_flips else None

    def encode_cell(value: Value, salt: int) -> Any:
        if value is not None:
            return flip(value) if flip else encode(value, salt)
        if config.nothing == "mixed":
            return _MIXED_NOTHING[salt % len(_MIXED_NOTHING)]
        return _NOTHING.get(config.nothing, config.nothing)

    return encode_cell


def duration_as(seconds: int, form: str = "h_mm_ss") -> str | int:
    """Return whole seconds in one of the forms."""
    if form == "seconds":
        return seconds
    if form == "seconds_text":
        return str(seconds)
    text = encode_duration(seconds)
    return text.removeprefix("0:") if form == "mm_ss" else text


def _encoder_by_kind(name: str, config: SimulatorConfig) -> Encoder:
    kind = REPORT.column(name).kind
    if kind is Kind.DURATION:
        if config.durations == "mixed":
            return lambda value, salt: duration_as(value, _DURATION_FORMS[salt % 4])
        return lambda value, _: duration_as(value, config.durations)
    if kind in {Kind.BIGINT, Kind.DOUBLE}:
        return lambda value, salt: (
            str(value)
            if config.numbers == "text" or (config.numbers == "mixed" and not salt % 3)
            else value
        )
    if kind is Kind.TIMESTAMP:
        return lambda value, salt: _timestamp_as(value, config, salt)
    if kind is Kind.DATE:
        return lambda value, _: value.isoformat()
    if name == "c_grade" and config.numbers != "text":
        return lambda value, _: int(value)
    return lambda value, _: value


def _timestamp_as(value: dt.datetime, config: SimulatorConfig, salt: int) -> str:
    form = ("blank", "t", "offset")[salt % 3] if config.punches == "mixed" else config.punches
    if form == "offset":
        return value.replace(tzinfo=zoneinfo.ZoneInfo(config.timezone)).isoformat()
    return value.isoformat(sep=" " if form == "blank" else "T")
