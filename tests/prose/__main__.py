"""Measure the prose of the package by room: ``make prose``."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from prose import prose_of, rooms

# Words per 1,000. The docstrings of httpx, google-auth and cosmos are within these bounds.
BOUNDS = {
    "where": (("where",), "at most", 1.5),
    "if": (("if",), "at least", 5.0),
    "return(s)": (("return", "returns"), "at least", 5.0),
    "told/ask/nobody": (
        ("told", "tell", "tells", "ask", "asks", "asked", "nobody"),
        "at most",
        0.3,
    ),
}
COMMENT_SHARE = (4.0, 9.0)


def main() -> int:
    """Print one line a room, then the sum, and what is out of bounds.

    The figures are thermometers: the word list, which is a test, is what can fail.
    """
    total, lines, comments = Counter[str](), 0, 0
    print(f"{'room':14}{'lines':>7}{'words':>8}{'comments':>10}", *(f"{b:>16}" for b in BOUNDS))
    for room, paths in rooms().items():
        words, room_lines, room_comments = _measure(
            [path for path in paths if path.suffix == ".py"]
        )
        _show(room, words, room_lines, room_comments)
        if room not in ("docs", "example_dags"):
            total, lines, comments = total + words, lines + room_lines, comments + room_comments
    _show("the package", total, lines, comments)
    missed = []
    for label, (wanted, bound, limit) in BOUNDS.items():
        rate = _rate(total, wanted)
        if (rate > limit) if bound == "at most" else (rate < limit):
            missed.append(f"{label} {rate:.1f} instead of {bound} {limit:g}")
    share = 100 * comments / lines
    if not COMMENT_SHARE[0] <= share <= COMMENT_SHARE[1]:
        missed.append(f"comment lines {share:.1f} % instead of 4 to 9 %")
    print("\nOut of bounds: " + "; ".join(missed) if missed else "\nAll within bounds.")
    return 0


def _measure(paths: list[Path]) -> tuple[Counter[str], int, int]:
    words, comments = Counter[str](), 0
    for path in paths:
        for line in prose_of(path):
            if line.kind in ("docstring", "comment"):
                words.update(re.findall(r"[a-z']+", line.text.lower()))
                comments += line.kind == "comment"
    return words, sum(len(path.read_text().splitlines()) for path in paths), comments


def _rate(words: Counter[str], wanted: tuple[str, ...]) -> float:
    return 1000 * sum(words[word] for word in wanted) / max(words.total(), 1)


def _show(room: str, words: Counter[str], lines: int, comments: int) -> None:
    rates = (f"{_rate(words, wanted):>16.1f}" for wanted, *_ in BOUNDS.values())
    share = 100 * comments / max(lines, 1)
    print(f"{room:14}{lines:>7,}{words.total():>8,}{share:>8.1f} %", *rates)


if __name__ == "__main__":
    sys.exit(main())
