"""What each wire form means."""

from __future__ import annotations

import datetime as dt

import pytest

from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.rows.values import converter

FITS = [
    (Kind.DURATION, "8:05:09", 29109),
    (Kind.DURATION, "08:05:09", 29109),
    (Kind.DURATION, "132:05:09", 475509),
    (Kind.DURATION, "05:09", 309),
    (Kind.DURATION, "59:59", 3599),
    (Kind.DURATION, "0:00:00", 0),
    (Kind.DURATION, 3600, 3600),
    (Kind.DURATION, "3600", 3600),
    (Kind.BIGINT, 12, 12),
    (Kind.BIGINT, "12", 12),
    (Kind.BIGINT, "-12", -12),
    (Kind.BIGINT, 12.0, 12),
    (Kind.BIGINT, 2**63 - 1, 2**63 - 1),
    (Kind.DOUBLE, 101.3, 101.3),
    (Kind.DOUBLE, "101.3", 101.3),
    (Kind.DOUBLE, 7, 7.0),
    (Kind.TIMESTAMP, "2026-06-01 11:55:39", dt.datetime(2026, 6, 1, 11, 55, 39)),
    (Kind.TIMESTAMP, "2026-06-01T11:55:39", dt.datetime(2026, 6, 1, 11, 55, 39)),
    (Kind.TIMESTAMP, "2026-06-01T11:55:39+05:30", dt.datetime(2026, 6, 1, 11, 55, 39)),
    (Kind.TIMESTAMP, "2026-06-01T06:25:39Z", dt.datetime(2026, 6, 1, 11, 55, 39)),
    (Kind.TIMESTAMP, "2026-06-01 06:25:39 +00:00", dt.datetime(2026, 6, 1, 11, 55, 39)),
    (Kind.TIMESTAMP, "2026-06-01T11:55:39.250", dt.datetime(2026, 6, 1, 11, 55, 39, 250000)),
    (Kind.DATE, "2026-06-01", dt.date(2026, 6, 1)),
    (Kind.DATE, "2026-06-01T00:00:00", dt.date(2026, 6, 1)),
    (Kind.TEXT, 'ஆதி O\'Neil "x"', 'ஆதி O\'Neil "x"'),
    (Kind.TEXT, " - ", " - "),
    (Kind.TEXT, 12, "12"),
    (Kind.TEXT, True, "true"),
]
NO_FIT = [
    (Kind.DURATION, "8:60:00"),
    (Kind.DURATION, "60:00"),
    (Kind.DURATION, "1:2:3"),
    (Kind.DURATION, "-1:00:00"),
    (Kind.DURATION, -1),
    (Kind.DURATION, "8h"),
    (Kind.DURATION, 1.5),
    (Kind.DURATION, "٨:٠٥:٠٩"),
    (Kind.DURATION, f"{2**62}:00:00"),
    (Kind.BIGINT, "1.5"),
    (Kind.BIGINT, 2**63),
    (Kind.BIGINT, True),
    (Kind.DOUBLE, "12%"),
    (Kind.DOUBLE, "nan"),
    (Kind.DOUBLE, float("inf")),
    (Kind.DOUBLE, "1e999"),
    (Kind.TIMESTAMP, "2026-06-01"),
    (Kind.TIMESTAMP, "2026-06-31 10:00:00"),
    (Kind.TIMESTAMP, 1780000000),
    (Kind.DATE, "01/06/2026"),
    (Kind.DATE, "2026-06-01T10:00:00"),
    (Kind.TEXT, "a\0b"),
    (Kind.TEXT, "\ud800"),
    (Kind.TEXT, ["a"]),
    (Kind.TEXT, {"a": 1}),
]


@pytest.mark.parametrize(("kind", "wire", "value"), FITS)
def test_a_wire_form_that_fits_becomes_its_typed_value(kind, wire, value):
    read = converter(kind, "Asia/Kolkata")(wire)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("kind", "wire"), NO_FIT)
def test_a_form_that_does_not_fit_raises_without_the_value(kind, wire):
    with pytest.raises(ValueError) as caught:
        converter(kind, "Asia/Kolkata")(wire)
    assert str(caught.value) == ""


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.INSTANT])
@pytest.mark.parametrize("nothing", [None, "-", "–", "—", ""])
def test_nothing_is_null_in_a_column_of_any_kind(kind, nothing):
    assert converter(kind, "Asia/Kolkata")(nothing) is None
