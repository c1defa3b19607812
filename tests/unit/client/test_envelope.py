"""An answer is taken apart without looking through its rows, where that is as sure as looking through them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_we360.client.envelope import _ROWS, _fields_around_rows, split_envelope
from support.examples import examples

NASTY = ["}]", "[{", "]", '"', '\\"', "}],", ', "data": [{', _ROWS.decode(), "}]}", "\\", "ü", ""]
texts = st.lists(st.sampled_from(NASTY) | st.text(max_size=3), max_size=3).map("".join)
leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.just(float(_ROWS)) | texts
rows = st.lists(st.dictionaries(texts, leaves, max_size=3), max_size=3)
names = st.sampled_from(["data", "pagination", "rows", "status"]) | texts
values = (
    leaves
    | rows
    | st.dictionaries(names, leaves | rows, max_size=2)
    | st.lists(leaves | rows, max_size=2)
)
answers = st.dictionaries(names, values, max_size=4)


def taken_apart(fields):
    return (
        None if fields is None else {name: json.loads(bytes(raw)) for name, raw in fields.items()}
    )


@given(answers, st.sampled_from([None, 1]), st.booleans())
@example({"data": [{"a": "}], "}], "errors": []}, None, False)
@example({"data": [{"a": 1}], "rows": [{"b": 2}]}, None, False)
@example({"columns": [{"a": 1}], "data": [{"b": 2}]}, None, False)
@example({"rows": [{"a": 1}], "data": float(_ROWS)}, None, False)
@example({"more": {"data": [{"a": 1}]}, "data": None}, None, False)
@settings(max_examples=examples(400), deadline=None)
def test_an_envelope_without_its_rows_is_what_was_sent(answer, indent, is_ascii):
    content = json.dumps(answer, indent=indent, ensure_ascii=is_ascii).encode()
    assert taken_apart(_fields_around_rows(content)) in (None, answer)
    assert taken_apart(split_envelope(content)) == answer


@given(answers, st.data())
@settings(max_examples=examples(400), deadline=None)
def test_a_broken_answer_is_not_taken_for_a_whole_one(answer, data):
    """What is broken is found at once, or when the rows are read, which are no JSON then."""
    sound = json.dumps(answer).encode()
    at = data.draw(st.integers(0, len(sound) - 1))
    rest = data.draw(
        st.just(b"")
        | st.sampled_from([b"", b'"', b"}", b"]", b"[{", b"\\", b","]).map(
            lambda it: it + sound[at + 1 :]
        )
    )
    content = sound[:at] + rest
    fields = _fields_around_rows(content)
    try:
        whole = json.loads(content)
    except ValueError:
        if fields is not None:
            with pytest.raises(ValueError, match=r"."):
                json.loads(bytes(fields["data"]))
    else:
        assert fields is None or taken_apart(fields) == whole


def test_the_rows_of_a_usual_answer_are_not_looked_through():
    content = json.dumps(
        {"data": [{"a": "x", "b": 1}] * 3, "pagination": {"total_records": 3}}
    ).encode()
    assert taken_apart(_fields_around_rows(content)) == json.loads(content)


def test_a_list_within_a_row_is_looked_through():
    content = json.dumps({"data": [{"a": [1]}]}).encode()
    assert _fields_around_rows(content) is None
    assert taken_apart(split_envelope(content)) == json.loads(content)


def test_a_placeholder_sent_by_the_server_is_not_taken_for_rows():
    content = b'{"rows": [{"a": 1}], "data": ' + _ROWS + b"}"
    assert _fields_around_rows(content) is None
    assert taken_apart(split_envelope(content)) == json.loads(content)
