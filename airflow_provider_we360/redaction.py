"""Redaction: text of another party, made fit for logs and exceptions.

Servers quote what they were sent. Every secret that this process holds is registered here, and is
removed by value from foreign text, however the other party spelled it. Guessing by form alone
cannot do that: an opaque token looks like any other word.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

_SHORTEST_SECRET = 8
"""A shorter password could be any word: replacing it would make text unreadable and reveal it."""
_LONGEST_MEMORY = 512
_PREFIX = 16
"""A token that a server cuts after so many characters is still recognized."""
_HINT = 16
"""Characters of a spelling that are searched before the whole: compiling a pattern of all spellings
of a token takes 20 ms, and a process that ran for days knows 512 tokens."""

_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_TOKEN = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)*|\b[\w-]{40,}\b")
# Controls, line separators, zero-width and bidirectional marks (Trojan Source, CVE-2021-42574),
# and lone surrogates, which no log can encode.
_NOT_PRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)

_lock = threading.Lock()
_secrets: OrderedDict[str, re.Pattern[str] | None] = OrderedDict()
"""Values and the patterns of their hints. Most processes show no foreign text: None until then."""


def register_secret(value: str | None) -> None:
    """Remove this value from all foreign text from now on. Values under 8 characters are ignored.

    The newest 512 values are kept: a process that lives for months would otherwise keep every
    token that it ever saw.
    """
    if value is None or len(value) < _SHORTEST_SECRET:
        return
    with _lock:
        _secrets.setdefault(value, None)
        _secrets.move_to_end(value)
        while len(_secrets) > _LONGEST_MEMORY:
            _secrets.popitem(last=False)


def foreign_text(text: object, limit: int = 300) -> str:
    """Return text of another party as one printable line without known secrets and e-mails.

    :param limit: characters to keep.
    """
    # Secrets go first and last: a control character inside one would otherwise hide it.
    line = _NOT_PRINTABLE.sub(" ", _blank(str(text))).strip()
    line = _TOKEN.sub("<hidden>", _EMAIL.sub("<e-mail>", _blank(line)))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _blank(text: str) -> str:
    with _lock:
        for value in [value for value, hint in _secrets.items() if hint is None]:
            _secrets[value] = _compile_hint(value)
        known = [(value, hint) for value, hint in _secrets.items() if hint is not None]
    for value, hint in known:
        if hint.search(text):
            text = _compile(value).sub("<hidden>", text)
    return text


def _compile_hint(value: str) -> re.Pattern[str]:
    """Return a pattern that is found in every text in which that of :func:`_compile` is found.

    It holds the ends of the spellings: the beginnings of many tokens are equal.
    """
    ends = {spelling[-_HINT:] for spelling in _long_spellings(value)}
    return re.compile("|".join(map(re.escape, [*sorted(ends), *_cut(value)])), re.IGNORECASE)


def _compile(value: str) -> re.Pattern[str]:
    longest_first = sorted(_long_spellings(value), key=len, reverse=True)
    # The cut form comes last: it must not win over a spelling that removes the whole secret.
    cut = [rf"{re.escape(start)}[^\s\"'<>]*" for start in _cut(value)]
    return re.compile("|".join([*map(re.escape, longest_first), *cut]), re.IGNORECASE)


def _cut(value: str) -> list[str]:
    return [value[:_PREFIX]] if len(value) >= 2 * _PREFIX else []


def _long_spellings(value: str) -> set[str]:
    return {spelling for spelling in _spellings(value) if len(spelling) >= _SHORTEST_SECRET}


def _spellings(value: str) -> Iterator[str]:
    yield value
    yield value.strip()
    raw = value.encode(errors="surrogatepass")
    yield quote(raw, safe="")
    yield quote(raw)
    yield quote_plus(raw)
    yield html.escape(value)
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield raw.hex()
    # Inside a longer text, base64 spells the same bytes in three ways, by their offset modulo 3.
    # The characters at both ends also depend on the neighbours, and are left out.
    for offset in range(3):
        padded = bytes(offset) + raw
        whole = len(padded) - len(padded) % 3
        text = base64.b64encode(padded[:whole]).decode()
        text = text[(0, 2, 3)[offset] :]
        yield text
        yield text.replace("+", "-").replace("/", "_")
