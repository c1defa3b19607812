"""What a pseudonym is, whatever the text and the key."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import sys
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import (
    SHORTEST,
    PseudonymKey,
    pseudonymize,
    require_pseudonymizable,
)
from airflow_provider_we360.rows.schema import Column, Kind
from support import loads

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
keys = st.builds(
    PseudonymKey,
    st.binary(min_size=32, max_size=64),
    st.from_regex(r"[A-Za-z0-9]{1,16}", fullmatch=True),
)


@given(texts, keys)
def test_it_is_the_version_and_the_hmac_of_the_plain_text(text, key):
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    expected = hmac.new(key.secret, plain.encode(), hashlib.sha256).hexdigest()
    assert key.pseudonym(text) == f"{key.version}_{expected}"
    assert re.fullmatch(r"[A-Za-z0-9]{1,16}_[0-9a-f]{64}", key.pseudonym(text))
    assert len(key.pseudonym(text)) >= SHORTEST


@given(st.emails(), keys, st.sampled_from(["{}", " {}\t", "\u00a0{}"]), st.booleans())
def test_one_address_is_one_person_however_it_is_typed(email, key, around, loud):
    typed = around.format(
        email.upper() if loud and email.upper().lower() == email.lower() else email
    )
    assert key.pseudonym(typed) == key.pseudonym(email)


@given(texts, texts, keys)
def test_other_texts_and_other_keys_are_other_names(one, other, key):
    def plain(text):
        return unicodedata.normalize("NFKC", text).strip().lower()

    assert (key.pseudonym(one) == key.pseudonym(other)) == (plain(one) == plain(other))
    assert PseudonymKey(key.secret + b"x", key.version).pseudonym(one) != key.pseudonym(one)


@pytest.mark.long
def test_another_process_makes_the_same_name():
    code = (
        "from airflow_provider_we360.rows.pseudonyms import PseudonymKey;"
        "print(PseudonymKey(b'k' * 32, 'v1').pseudonym('\uff21sha@acme.example '))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PseudonymKey(b"k" * 32, "v1").pseudonym("asha@acme.example")


@given(st.lists(st.one_of(st.none(), texts), max_size=20), keys)
def test_a_batch_has_them_in_place_and_nothing_stays_nothing(notes, key):
    rows = [loads.row(1, number, note=note) for number, note in enumerate(notes)]
    batch = loads.batch(rows)
    named = pseudonymize(batch, {"note": key})
    assert named.to_arrow().column("note").to_pylist() == [
        None if note is None else key.pseudonym(note) for note in notes
    ]
    assert named.to_arrow().schema.field("note").type == pa.string()
    others = [name for name in batch.to_arrow().schema.names if name != "note"]
    assert named.to_arrow().select(others).equals(batch.to_arrow().select(others))
    (column,) = (column for column in named.columns if column.name == "note")
    assert column == Column("note", description="Pseudonym (HMAC-SHA256) of: It's text")


def test_the_key_is_not_in_what_python_prints_of_it():
    assert "kkk" not in repr(PseudonymKey(b"k" * 32, "v1"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("email", "not among the requested columns"),
        ("seconds", "holds duration, and only text has pseudonyms"),
    ],
)
def test_only_a_text_column_that_is_asked_for_can_have_them(name, words):
    columns = (Column("note"), Column("seconds", Kind.DURATION))
    with pytest.raises(We360ConfigError, match=f"pseudonymize: '{name}'.*{words}"):
        require_pseudonymizable({name: PseudonymKey(b"k" * 32, "v1")}, columns)
