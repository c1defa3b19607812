"""Foreign text: known secrets go by value, in every spelling; one printable line stays."""

from __future__ import annotations

import base64
import html
import json
import random
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_we360 import redaction
from airflow_provider_we360.redaction import foreign_text, register_secret


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setattr(redaction, "_secrets", type(redaction._secrets)())


PASSWORD = 'p"ä&s /w+ö<rd'
SPELLINGS = {
    "raw": str,
    "upper": str.upper,
    "percent": quote,
    "percent, all": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "json": lambda value: json.dumps(value)[1:-1],
    "json, not ASCII": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "html": html.escape,
    "repr": lambda value: repr(value)[1:-1],
    "hex": lambda value: value.encode().hex(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_known_secret_is_blanked_in_every_spelling(spelling):
    register_secret(PASSWORD)
    spelled = SPELLINGS[spelling](PASSWORD)
    assert foreign_text(f"no user with {spelled} here") == "no user with <hidden> here"


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_a_secret_inside_base64_leaves_none_of_its_middle(before):
    register_secret(PASSWORD)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = foreign_text(f"Basic {encode(f'{before}{PASSWORD}!'.encode()).decode()}")
        assert "<hidden>" in shown
        assert len(shown.replace("<hidden>", "")) < 24


@pytest.mark.parametrize(
    "token",
    [
        "3f0c0c9e-8a53-4f0a-9c52-7b1d6a7f2e11",
        "460a6059cff4409096c789e1bc042180",
        "q3+Xk/" + "Zr7+P0/aB9" * 4,
    ],
)
def test_an_opaque_token_is_blanked_whole_or_cut(token):
    register_secret(token)
    assert token not in foreign_text(f"Token '{token}' has no scope")
    assert token[:20] not in foreign_text(f"Token '{token[:20]}...' has no scope")


def token_number(number: int) -> str:
    """Return a token as long as Keycloak's: all of one server begin alike."""
    parts = random.Random(number).randbytes(900), random.Random(-number - 1).randbytes(256)
    return ".".join(["eyJhbGciOiJSUzI1NiJ9", *(base64.b64encode(one).decode() for one in parts)])


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("number", [0, 7, 19])
def test_a_known_token_is_blanked_in_every_spelling_among_others(spelling, number):
    for other in range(20):
        register_secret(token_number(other))
    spelled = SPELLINGS[spelling](token_number(number))
    assert foreign_text(f"no user with {spelled} here") == "no user with <hidden> here"


def test_only_a_token_that_is_named_costs_a_long_pattern(monkeypatch):
    compiled = []
    compile_all = redaction._compile

    def watch(value):
        compiled.append(value)
        return compile_all(value)

    monkeypatch.setattr(redaction, "_compile", watch)
    tokens = [token_number(number) for number in range(30)]
    for token in tokens:
        register_secret(token)
    assert foreign_text("We are back soon") == "We are back soon"
    assert compiled == []
    assert foreign_text(tokens[17].encode().hex()) == "<hidden>"
    assert compiled == [tokens[17]]


def test_a_secret_that_a_control_character_splits_is_blanked():
    register_secret("abc\tdefgh")
    assert foreign_text("no abc\tdefgh") == "no <hidden>"
    assert foreign_text("no abc defgh") == "no abc defgh"
    register_secret("abc defgh")
    assert foreign_text("no abc\u200bdefgh") == "no <hidden>"


def test_a_short_password_does_not_turn_words_into_stars():
    register_secret("no")
    register_secret(None)
    assert foreign_text("no such column") == "no such column"


def test_the_oldest_secrets_are_forgotten():
    for number in range(600):
        register_secret(f"secret-number-{number:04}")
    assert len(redaction._secrets) == 512
    assert "<hidden>" in foreign_text("secret-number-0599")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("asha@example.com is unknown", "<e-mail> is unknown"),
        ("a\r\nb\x00c\u202ed\u2066e\u200bf", "a b c d e f"),
        ("\ud800x", "x"),
        ("eyJhbGciOi.eyJzdWIi.c2ln is expired", "<hidden> is expired"),
    ],
)
def test_foreign_text_is_one_printable_line_without_mail_or_jwt(text, shown):
    assert foreign_text(text) == shown


def test_foreign_text_is_cut():
    assert foreign_text("x " * 200, 10) == "x x x x x…"
