"""Convert ``H:MM:SS`` of many rows at once, in Arrow, without a Python object for each value.

The text is padded to ``HH:MM:SS``. Its eight bytes are read as one whole number, first byte lowest.
Each check of a byte (is it a digit, is it below 6) then covers all eight at once, and so does the
arithmetic.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.compute as pc

SHORTEST, LONGEST = len("8:05:09"), len("18:05:09")
"""Texts of these lengths are converted here: up to 99 hours."""


def _word(eight_bytes: bytes) -> pa.Scalar:
    """Return eight bytes as the number that this machine reads from them."""
    return pa.scalar(int.from_bytes(eight_bytes, sys.byteorder), pa.uint64())


def _number(value: int) -> pa.Scalar:
    return pa.scalar(value, pa.uint64())


_SHAPE = _word(b"\xf0\xf0\xff\xf0\xf0\xff\xf0\xf0")
_DIGITS = _word(b"00:00:00")
_TO_OVERFLOW = _word(b"\x06\x06\x00\x0a\x06\x00\x0a\x06")
"""Added to the digits, it makes a 10 anywhere, or a 6 as tens of minutes or seconds, visible."""
_VALUES = _word(b"\x0f\x0f\x00\x0f\x0f\x00\x0f\x0f")
_BYTE = _number(0xFF)
_HOUR_S, _MINUTE_S, _TEN, _EIGHT = _number(3600), _number(60), _number(10), _number(8)
_MINUTES_AT, _SECONDS_AT = _number(24), _number(48)


def seconds(texts: pa.StringArray, nothing: pa.BooleanArray) -> pa.Int64Array | None:
    """Return the whole seconds of each text; None if any text has another form.

    :param texts: ``H:MM:SS`` or ``HH:MM:SS``; none may be NULL.
    :param nothing: which texts mean no value; they become NULL.
    """
    # The masks below count bytes from the lowest; big-endian machines take the plain way.
    if sys.byteorder != "little" or len(texts) == 0:
        return None
    lengths = pc.binary_length(texts)
    if pc.max(lengths).as_py() > LONGEST:
        return None
    words = _as_words(pc.ascii_lpad(texts, LONGEST, "0"))
    is_read = pc.and_(pc.greater_equal(lengths, SHORTEST), _is_clock(words))
    if not pc.all(pc.or_(is_read, nothing)).as_py():
        return None
    return pc.if_else(nothing, pa.scalar(None, pa.int64()), _sum(words))


def _as_words(padded: pa.StringArray) -> pa.UInt64Array:
    """Return texts of eight bytes each as numbers, without a copy."""
    _, _, content = padded.buffers()
    return pa.UInt64Array.from_buffers(
        pa.uint64(), len(padded), [None, content], offset=padded.offset
    )


def _is_clock(words: pa.UInt64Array) -> pa.BooleanArray:
    """Return which texts are digits separated by colons, with minutes and seconds below 60."""
    has_shape = pc.equal(pc.bit_wise_and(words, _SHAPE), _DIGITS)
    stays = pc.equal(pc.bit_wise_and(pc.add(words, _TO_OVERFLOW), _SHAPE), _DIGITS)
    return pc.and_(has_shape, stays)


def _sum(words: pa.UInt64Array) -> pa.Int64Array:
    digits = pc.bit_wise_and(words, _VALUES)
    # Tens are added to ones: bytes 0, 3 and 6 now hold hours, minutes and seconds.
    parts = pc.add(pc.multiply(digits, _TEN), pc.shift_right(digits, _EIGHT))
    hours = pc.bit_wise_and(parts, _BYTE)
    minutes = pc.bit_wise_and(pc.shift_right(parts, _MINUTES_AT), _BYTE)
    rest = pc.bit_wise_and(pc.shift_right(parts, _SECONDS_AT), _BYTE)
    total = pc.add(pc.add(pc.multiply(hours, _HOUR_S), pc.multiply(minutes, _MINUTE_S)), rest)
    return total.view(pa.int64())
