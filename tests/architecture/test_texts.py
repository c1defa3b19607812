"""The project stands for itself: no text in it leads to one person's machine, or to one company's package index."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PRIVATE = re.compile(r"(?<![\w.}])/(?:root|home|Users)/\w|\bhttps?://[\w.-]+/simple/")
"""A folder of one person's machine; a package index by its address: each company has its own."""
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{30,}\.[\w-]{30,}")


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, str]:
    """Every text file that git keeps or would keep."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    found: dict[str, str] = {}
    for name in filter(None, listed):
        path = root / name
        if path.is_file() and b"\0" not in (data := path.read_bytes()):
            found[name] = data.decode()
    return found


def test_no_text_names_a_private_place(texts: dict[str, str]) -> None:
    assert _lines_with(PRIVATE, texts, but="tests/architecture/test_texts.py") == []


def test_no_text_holds_a_key_or_a_whole_token(texts: dict[str, str]) -> None:
    assert _lines_with(SECRET, texts, but="tests/architecture/test_texts.py") == []


@pytest.mark.parametrize(
    "line", ["see /" + "home/asha/notes", "cd /" + "root/x", "https://index.example" + "/simple/"]
)
def test_a_private_place_is_known_when_seen(line: str) -> None:
    assert PRIVATE.search(line)


@pytest.mark.parametrize("line", ["{{ root }}/homework/x", "pip install x", "../home/x"])
def test_a_public_place_is_left_alone(line: str) -> None:
    assert not PRIVATE.search(line)


def _lines_with(pattern: re.Pattern[str], texts: dict[str, str], *, but: str) -> list[str]:
    return [
        f"{name}:{number}"
        for name, text in texts.items()
        if name != but
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
