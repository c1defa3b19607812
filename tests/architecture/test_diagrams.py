"""Each committed picture was drawn from the text beside it (no Graphviz needed to find out); its page quotes the code."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

STAMP = re.compile(r"<!-- drawn from (\S+), sha256 ([0-9a-f]{64}); make diagrams -->")
STATES = (
    "EMPTY",
    "FRESH",
    "AGING",
    "STALE",
    "WAITING",
    "REFRESHING",
    "LOGIN",
    "DEGRADED",
    "SUSPENDED",
)


@pytest.fixture
def diagrams(root: Path) -> list[Path]:
    """The sources of all diagrams."""
    return [path for path in (root / "docs").rglob("*.dot") if "_build" not in path.parts]


def test_a_picture_was_drawn_from_the_text_that_stands_beside_it(diagrams: list[Path]) -> None:
    assert diagrams
    for source in diagrams:
        assert _is_drawn_from(source.read_bytes(), source.with_suffix(".svg").read_text()), (
            f"{source.name}: make diagrams"
        )


def test_a_picture_of_another_text_is_told_apart(diagrams: list[Path]) -> None:
    source = diagrams[0]
    assert not _is_drawn_from(source.read_bytes() + b"\n", source.with_suffix(".svg").read_text())


def test_the_token_diagram_and_its_page_show_every_state(root: Path) -> None:
    folder = root / "docs" / "explanation"
    picture = ET.parse(folder / "token-lifecycle.svg")
    words = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    page = (folder / "token-lifecycle.md").read_text()
    assert [state for state in STATES if words.count(state) != 1] == []
    assert [state for state in STATES if f"**{state}**" not in page] == []
    assert "token-lifecycle.svg" in page


def test_each_log_line_on_the_page_is_one_that_the_code_writes(root: Path, package: Path) -> None:
    page = (root / "docs" / "explanation" / "token-lifecycle.md").read_text()
    table = page.partition("| in the log |")[2].partition("\n\n")[0]
    quoted = [
        text
        for line in table.splitlines()
        for text in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    ]
    source = "".join(
        path.read_text()
        for room in ("auth", "hooks", "transport", ".")
        for path in sorted((package / room).glob("*.py"))
    )
    said = re.sub(r'"\s*\n\s*f?"', "", source)
    parts = {
        part.strip(" ;:,.")
        for text in quoted
        for part in re.split(r"\.\.\.|: |\d+|\b(?:renewed|obtained by login)\b", text)
    }
    assert len(quoted) > 15
    assert [part for part in parts if part not in said] == []


def _is_drawn_from(source: bytes, picture: str) -> bool:
    return [found[2] for found in STAMP.finditer(picture)] == [hashlib.sha256(source).hexdigest()]
