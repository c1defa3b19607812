"""Convert the API's form of a value to a typed value, one at a time. The fast decoder must return the same.

Forms as seen on the live API: ``docs/reference/we360-api.md``, "Values on the wire".
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable

from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.types import Value

NOTHING = frozenset({"-", "–", "—", ""})  # noqa: RUF001 - the API writes dashes for "no value"
"""Text that stands for no value, in a column of any kind."""

_INT64_MAX = 2**63 - 1
_HOURS = re.compile(r"([0-9]+):([0-5][0-9]):([0-5][0-9])")
_MINUTES = re.compile(r"([0-5][0-9]):([0-5][0-9])")
_SECONDS = re.compile(r"[0-9]+")
_INTEGER = re.compile(r"[+-]?[0-9]+(\.0+)?")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?( ?(Z|[+-][0-9]{2}:?[0-9]{2}))?"
)
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([T ]00:00:00(\.0+)?)?")


def text(value: object) -> str:
    """Return text unchanged, and a number or boolean as JSON writes it.

    :raises ValueError: the text has a NUL or a lone surrogate, which no warehouse stores.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()
    return value


def duration(value: object) -> int:
    """Return the seconds of ``H:MM:SS`` (any number of hours), ``MM:SS`` or a whole number.

    :raises ValueError: it has another form, or is negative.
    """
    if isinstance(value, str):
        if parts := _HOURS.fullmatch(value):
            hours, minutes, seconds = map(int, parts.groups())
            return _bounded(hours * 3600 + minutes * 60 + seconds)
        if parts := _MINUTES.fullmatch(value):
            minutes, seconds = map(int, parts.groups())
            return minutes * 60 + seconds
        if not _SECONDS.fullmatch(value):
            raise ValueError
        return _bounded(int(value))
    seconds = bigint(value)
    if seconds < 0:
        raise ValueError
    return seconds


def bigint(value: object) -> int:
    """Return a whole number of 64 bits, given as a number or as text."""
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, float) and value.is_integer():
        return _bounded(int(value))
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return _bounded(int(value.partition(".")[0]))
    raise ValueError


def double(value: object) -> float:
    """Return a finite number, given as a number or as text."""
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError
    if not isinstance(value, str | int | float):
        raise ValueError
    number = float(value)
    if number - number != 0:  # infinite, or not a number
        raise ValueError
    return number


def timestamp(value: object, tz: dt.tzinfo) -> dt.datetime:
    """Return local time without zone. A time with an offset is converted to ``tz`` first."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError
    moment = dt.datetime.fromisoformat(
        value.replace(" +", "+").replace(" -", "-").replace(" Z", "Z")
    )
    return moment if moment.tzinfo is None else moment.astimezone(tz).replace(tzinfo=None)


def date(value: object) -> dt.date:
    """Return the date of ``YYYY-MM-DD``, which midnight may follow."""
    if not isinstance(value, str) or not (parts := _DATE.fullmatch(value)):
        raise ValueError
    return dt.date.fromisoformat(parts[1])


def converter(kind: Kind, timezone: str) -> Callable[[object], Value]:
    """Return a function that converts values of this kind.

    It returns None for no value, and raises ValueError if the value does not fit.
    """
    tz = zoneinfo.ZoneInfo(timezone)

    def moment(value: object) -> dt.datetime:
        return timestamp(value, tz)

    readers: dict[Kind, Callable[[object], Value]] = {
        Kind.TEXT: text,
        Kind.DURATION: duration,
        Kind.BIGINT: bigint,
        Kind.DOUBLE: double,
        Kind.TIMESTAMP: moment,
        Kind.DATE: date,
    }
    read = readers[kind]

    def convert(value: object) -> Value:
        if value is None or (isinstance(value, str) and value in NOTHING):
            return None
        try:
            return read(value)
        except (ValueError, OverflowError):
            raise ValueError from None  # the message of the original error could contain the value

    return convert


def _bounded(number: int) -> int:
    if not -_INT64_MAX - 1 <= number <= _INT64_MAX:
        raise ValueError
    return number
