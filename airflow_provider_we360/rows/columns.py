"""ColumnReader: converts all columns of one kind to Arrow at once.

A day's answer is small, and each step in Arrow costs some microseconds even for few values. So the
columns of a kind are concatenated, converted together and split again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_we360.rows import durations
from airflow_provider_we360.rows.arrow import ARROW_TYPES
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.rows.values import NOTHING
from airflow_provider_we360.types import Value

_ISO_LENGTH = {Kind.TIMESTAMP: len("2026-06-01 11:55:39"), Kind.DATE: len("2026-06-01")}
_DASHES = pa.array(sorted(NOTHING), pa.string())
_NO_TEXT = pa.scalar(None, pa.string())
_EMPTY_TEXT = pa.scalar("", pa.string())


class Unusual(Exception):
    """A form of a value that is converted one by one."""


class _Memo(dict[Any, Value]):
    """Converts each distinct value once."""

    def __init__(self, read: Callable[[object], Value]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, wire: Any) -> Value:
        try:
            value = self._read(wire)
        except ValueError:
            raise Unusual from None
        return self.setdefault(wire, value)


class ColumnReader:
    """Converts columns of one kind. Safe to share between threads.

    :param convert: converts one value, from :func:`airflow_provider_we360.rows.values.converter`.
    """

    def __init__(self, kind: Kind, convert: Callable[[object], Value]) -> None:
        # The values of a day repeat: shift names, groups, durations of zero.
        self._memo = _Memo(convert)
        self._type = ARROW_TYPES[kind]
        self._kind = kind
        readers: dict[Kind, Callable[[list[Any]], pa.Array]] = {
            Kind.TEXT: self._texts,
            Kind.DURATION: self._durations,
            Kind.BIGINT: self._one_by_one,
            Kind.DOUBLE: self._doubles,
            Kind.TIMESTAMP: self._moments,
            Kind.DATE: self._dates,
        }
        self._read = readers[kind]

    def read(self, columns: Sequence[Sequence[Any]]) -> list[pa.Array]:
        """Return the columns with their types.

        :param columns: the API's values. All columns have the same length and none is empty.
        :raises Unusual: a value must be converted one by one. ``pyarrow.ArrowInvalid`` and
            ``UnicodeEncodeError`` mean the same.
        """
        rows = len(columns[0])
        # One conversion for all columns of a kind, see the top of this module.
        typed = self._read(list(chain.from_iterable(columns)))
        return [typed.slice(number * rows, rows) for number in range(len(columns))]

    def _texts(self, wire: list[str | None]) -> pa.Array:
        array = pa.array(wire, pa.string())
        nothing = pc.is_in(array, value_set=_DASHES)
        return pc.if_else(nothing, _NO_TEXT, array) if pc.any(nothing).as_py() else array

    def _durations(self, wire: list[Any]) -> pa.Array:
        try:
            array = pc.coalesce(pa.array(wire, pa.string()), _EMPTY_TEXT)
        except (pa.ArrowTypeError, pa.ArrowInvalid):  # some are numbers
            return self._one_by_one(wire)
        read = durations.seconds(array, pc.is_in(array, value_set=_DASHES))
        return self._one_by_one(wire) if read is None else read

    def _one_by_one(self, wire: list[Any]) -> pa.Array:
        memo = self._memo
        return pa.array([memo[value] for value in wire], self._type)

    def _doubles(self, wire: list[Any]) -> pa.Array:
        memo = self._memo
        return pa.array(
            [memo[value] if isinstance(value, str) else value for value in wire], self._type
        )

    def _dates(self, wire: list[str | None]) -> pa.Array:
        # Not the case of a day: an answer with keys of several days.
        if wire.count(wire[0]) < len(wire):
            return self._moments(wire)
        return pa.repeat(
            pa.scalar(self._memo[wire[0]], self._type), len(wire)
        )  # a day's rows share their date

    def _moments(self, wire: list[str | None]) -> pa.Array:
        array = self._texts(wire)
        lengths = pc.min_max(pc.binary_length(array)).as_py()
        # Arrow has a year 0, Python's dates do not.
        if (
            not set(lengths.values()) <= {None, _ISO_LENGTH[self._kind]}
            or pc.any(pc.starts_with(array, "0000")).as_py()
        ):
            raise Unusual
        return array.cast(self._type)
