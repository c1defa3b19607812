"""The fast decoder and the patient one agree on whatever a server may send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_we360.errors import ValueDoesNotFit
from airflow_provider_we360.rows.decode import RowDecoder
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.rows.values import converter
from support.examples import examples

COLUMNS = [Column(f"c_{kind.value}", kind) for kind in Kind if kind is not Kind.INSTANT]
DECODER = RowDecoder(COLUMNS, "Asia/Kolkata")

two = st.integers(0, 99).map(lambda number: f"{number:02d}")
wire_texts = st.one_of(
    st.sampled_from(
        [
            "-",
            "–",
            "—",
            "",
            "0",
            "8:05:09",
            "05:09",
            "12.5",
            "2026-06-01",
            "2026-06-01 11:55:39",
            "2026-06-01T11:55:39Z",
        ]
    ),
    st.sampled_from(
        [
            "0000-01-01",
            "0000-01-01 00:00:00",
            "2026-02-30",
            "2026-06-01 24:00:00",
            "2026-06-01 23:59:60",
        ]
    ),
    st.builds("{}:{}:{}".format, st.integers(0, 400), two, two),
    st.builds("{}:{}".format, two, two),
    st.builds(
        "{}-{}-{}{}{}:{}:{}".format,
        st.integers(0, 9999),
        two,
        two,
        st.sampled_from("T "),
        two,
        two,
        two,
    ),
    st.builds("{:04d}-{}-{}".format, st.integers(0, 9999), two, two),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=12),
)
wire_values = st.one_of(
    st.none(),
    wire_texts,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.integers(), max_size=1),
)
wire_rows = st.lists(
    st.fixed_dictionaries({}, optional={column.name: wire_values for column in COLUMNS}), max_size=4
)


def patiently(rows):
    converters = {column.name: converter(column.kind, "Asia/Kolkata") for column in COLUMNS}
    return [{name: convert(row.get(name)) for name, convert in converters.items()} for row in rows]


@settings(max_examples=examples(600), deadline=None)
@given(wire_rows)
def test_the_decoder_agrees_with_the_rules(rows):
    text = json.dumps(rows).encode("utf-8", "surrogatepass")
    try:
        expected = patiently(rows)
    except ValueError:
        with pytest.raises(ValueDoesNotFit):
            DECODER.decode(text)
        return
    assert DECODER.decode(text).to_pylist() == expected


clock = st.builds(
    "{}:{:02d}:{:02d}".format, st.integers(0, 99), st.integers(0, 59), st.integers(0, 59)
)
nearly = st.builds(
    lambda text, place, other: text[: place % len(text)] + other + text[place % len(text) + 1 :],
    st.one_of(clock, clock.map(lambda text: text.zfill(8))),
    st.integers(0, 7),
    st.one_of(st.sampled_from("0569:;/ .-+aØ٣"), st.characters(codec="utf-8"), st.just("")),
)


@settings(max_examples=examples(600), deadline=None)
@given(
    values=st.lists(clock | st.sampled_from(["-", "–", "—", "", None]), max_size=6),
    odd=st.none() | nearly,
    at=st.integers(0, 5),
)
def test_a_column_of_clock_texts_is_read_value_by_value(values, odd, at):
    if odd is not None:
        values.insert(at, odd)
    rows = [{"c_duration": value} for value in values]
    text = json.dumps(rows).encode("utf-8", "surrogatepass")
    try:
        expected = [row["c_duration"] for row in patiently(rows)]
    except ValueError:
        with pytest.raises(ValueDoesNotFit):
            DECODER.decode(text)
        return
    assert DECODER.decode(text).column("c_duration").to_pylist() == expected


@settings(max_examples=examples(200), deadline=None)
@given(
    kinds=st.lists(st.sampled_from([c.kind for c in COLUMNS]), min_size=1, max_size=7),
    data=st.data(),
)
def test_columns_of_one_kind_keep_their_places(kinds, data):
    usual = {
        Kind.TEXT: st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
        Kind.DURATION: clock,
        Kind.BIGINT: st.integers(-9, 9),
        Kind.DOUBLE: st.floats(0, 100) | st.just("-"),
        Kind.TIMESTAMP: st.sampled_from(["2026-06-01 11:55:39", "2026-06-01T18:00:00", "-"]),
        Kind.DATE: st.sampled_from(["2026-06-01", "2026-06-02", "-"]),
    }
    columns = [Column(f"c{number}", kind) for number, kind in enumerate(kinds)]
    rows = data.draw(
        st.lists(
            st.fixed_dictionaries({c.name: usual[c.kind] | st.none() for c in columns}), max_size=4
        )
    )
    read = {column.name: converter(column.kind, "Asia/Kolkata") for column in columns}
    decoder = RowDecoder(columns, "Asia/Kolkata")
    expected = [{name: convert(row[name]) for name, convert in read.items()} for row in rows]
    assert decoder.decode(json.dumps(rows).encode()).to_pylist() == expected


@settings(max_examples=examples(300), deadline=None)
@given(seconds=st.integers(0, 10**9))
def test_a_duration_as_hh_mm_ss_is_read_as_its_seconds(seconds):
    column = RowDecoder([Column("d", Kind.DURATION)], "Asia/Kolkata")
    text = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    assert column.decode(
        json.dumps([{"d": text}, {"d": seconds}, {"d": str(seconds)}]).encode()
    ).to_pydict() == {"d": [seconds] * 3}


@given(number=st.integers(1, 30))
def test_a_value_that_does_not_fit_is_named_but_not_shown(number):
    rows = [{"c_duration": "1:00:00"}] * (number - 1) + [{"c_duration": "s3cret"}]
    with pytest.raises(ValueDoesNotFit) as caught:
        DECODER.decode(json.dumps(rows).encode())
    assert f"column 'c_duration', row {number} " in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
