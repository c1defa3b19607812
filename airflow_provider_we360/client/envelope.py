"""The top-level fields of an answer, split from its rows without parsing the rows twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Fields: TypeAlias = Mapping[str, msgspec.Raw]
_ROWS = b"0.0360"
"""Stands in for the rows while the rest of the answer is parsed."""


def split_envelope(content: bytes) -> Fields | None:
    """Return the top-level fields, not parsed; None if the body is no JSON object."""
    return _fields_around_rows(content) or _raw_fields(content) or _lenient_fields(content)


def _fields_around_rows(content: bytes) -> Fields | None:
    """Return the fields of an answer with flat rows without parsing the rows; None if unsure.

    The rows are what lies between the first bracket before an object and the last bracket after
    one, if there is no other bracket in between and the rest is an object with the rows in ``data``.
    This halves the parsing time of a large answer; :func:`_raw_fields` is the plain way.
    """
    begin, end = content.find(b"[{"), content.rfind(b"}]") + 2
    if not 0 <= begin < end:
        return None
    before, after = content[:begin], content[end:]
    if (
        # A bracket inside of a row may belong to a nested list or a text: parse the plain way.
        content.find(b"[", begin + 1, end) >= 0
        or content.find(b"]", begin, end - 1) >= 0
        or _ROWS in before
        or _ROWS in after
    ):
        return None
    fields = _raw_fields(before + _ROWS + after)
    if fields is None or bytes(fields.get("data", b"")) != _ROWS:
        return None
    return {**fields, "data": msgspec.Raw(memoryview(content)[begin:end])}


def _raw_fields(content: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _lenient_fields(content: bytes) -> Fields | None:
    """Return the fields of what is whole but not strict JSON: NaN, a byte order mark, UTF-16.

    The decoder can then name the column and row of a NaN instead of reporting a truncated answer.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    try:
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    except (ValueError, RecursionError):
        return None
