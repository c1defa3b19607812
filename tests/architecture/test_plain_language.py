"""The project is written in plain language, and each concept has one name (docs/glossary.md).

A room that is not rewritten yet stands in ``NOT_YET``; take it out when your room passes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from prose import PACKAGE, ROOT, Line, prose_of, rooms, words_of

NOT_YET: set[str] = set()
"""Rooms that still fail; empty at the end. ``package`` are the modules outside of rooms."""

BANNED = {
    # A translator stumbles on these; the second text says what to write instead.
    r"nobody": "no one, none",
    r"whoever": "anyone who",
    r"lest": "to avoid, so that ... not",
    r"anew": "again",
    r"alike": "the same way",
    r"beside": "next to, in addition to",
    r"at hand": "available",
    r"hardly ever": "rarely; say how often",
    r"of its own making": "its own",
    r"(?:is|are|was|were|be|been) told": "receives, is reported",
    r"told|tells?": "log, report, return, show",
    r"(?:is|are|was|were|be) asked": "is requested",
    r"ask(?:s|ed)? for": "request, need",
    # Slang of the first edition.
    r"the (?:house|walk|law)": "the package, the sequence, the rule",
    r"slices?|slice\(s\)": "day; in summary mode window",
    r"\w+\((?:s|es)\)(?! \{)": "write the plural out",
    r"(?:un)?seal(?:s|ed|ing)?": "encrypt, decrypt",
    r"pen|seat|dice": "lease, random numbers",
}
EXCEPTIONS = {
    # The result keeps its key ``slices`` beside ``days``.
    ("docs/reference/operators.md", "slices"),
}
"""(path, words) that an identifier or a quotation needs."""

BANNED_IN_NAMES = {
    "told": "logged, reported",
    "tells": "has_, is_",
    "asked": "requested",
    "nobody": "no_one",
    "anew": "again",
    "beside": "next_to, for_table",
    "lest": "unless",
    "alike": "same",
    "slice": "day",
    "slices": "days",
    "seal": "encrypt",
    "sealed": "encrypted",
    "seat": "lease",
    "glue": "batch",
    "glued": "batches",
    "judged": "check_",
    "walked": "verb in the imperative",
    "patiently": "with_retries",
}
ALLOWED_NAMES = {"slices"}  # the key of a load's result
BANNED_CLASSES = {
    "Answer": "ReportPage",
    "Complaints": "a function",
    "Condition": "Predicate",
    "Election": "LeaseElection",
    "Exchange": "ReportApi",
    "Form": "TextFormat",
    "Load": "LoadPlan",
    "Place": "DatasetRef",
    "Seal": "TokenCipher",
    "SealedEntry": "EncryptedEntry",
    "Seat": "HeldLease",
    "Stored": "ColumnRef",
    "Trial": "ConnectionTest",
}


def _faults(paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        for line in prose_of(path):
            if line.kind == "identifier":
                found += _faults_of_name(line)
            else:
                found += _faults_of_text(line)
    return found


def _faults_of_text(line: Line) -> list[str]:
    return [
        f'{line}: {line.kind} says "{match[0]}"; write: {instead}'
        for words, instead in BANNED.items()
        for match in re.finditer(rf"(?<![\w-])(?:{words})(?![\w-])", line.text, re.IGNORECASE)
        if (line.path, match[0].lower()) not in EXCEPTIONS
    ]


def _faults_of_name(line: Line) -> list[str]:
    if line.text in ALLOWED_NAMES:
        return []
    faults = sorted(words_of(line.text) & BANNED_IN_NAMES.keys())
    instead = [BANNED_IN_NAMES[word] for word in faults]
    if (bare := line.text.lstrip("_")) in BANNED_CLASSES:
        instead.append(BANNED_CLASSES[bare])
    return [f"{line}: the name {line.text}; use: {', '.join(instead)}"] if instead else []


@pytest.fixture(scope="module")
def finished() -> list[Path]:
    """Return the files of all rooms that are rewritten."""
    return [path for room, paths in rooms().items() if room not in NOT_YET for path in paths]


def test_no_banned_word_or_name_is_used(finished: list[Path]) -> None:
    assert _faults(finished) == []


def test_only_rooms_that_exist_are_unfinished() -> None:
    assert rooms().keys() >= NOT_YET


def test_no_class_name_exists_twice(finished: list[Path]) -> None:
    places = defaultdict(set)
    for path in finished:
        if path.is_relative_to(PACKAGE):
            for number, text in enumerate(path.read_text().splitlines(), 1):
                if match := re.match(r"class _?(\w+)", text):
                    places[match[1]].add(f"{path.relative_to(ROOT)}:{number}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("No one is named unless you list names.", 0),
        ("A besides and a tellurium are other words.", 0),
        ("Nobody asks for it.", 2),
        ("Landed 3 row(s) of 2 slices", 2),
        ("A pendulum and an open seated crowd.", 0),
        ("The cache is sealed.", 1),
    ],
)
def test_a_banned_word_is_found_as_a_whole_word(text: str, count: int) -> None:
    assert len(_faults_of_text(Line("x.py", 1, text, "message"))) == count


@pytest.mark.parametrize(
    ("name", "count"),
    [("told_of", 1), ("_Seat", 1), ("slices", 0), ("SliceReader", 1), ("fetch_days", 0)],
)
def test_a_banned_word_is_found_within_a_name(name: str, count: int) -> None:
    assert len(_faults_of_name(Line("x.py", 1, name, "identifier"))) == count
