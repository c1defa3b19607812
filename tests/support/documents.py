"""What the documentation shows in fences and in its prose: gathered, so that tests can run it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,}|~{3,}|:{3,})(?P<language>[^`\s]*)")
_REASON = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    :param page: its file, from the root of the project.
    :param line: where it begins.
    :param language: first word after the marks; in braces it is a directive, which Sphinx runs.
    :param text: what it holds, without the indentation of the list that it stands in.
    :param reason: why it is not run; empty where it is.
    """

    page: str
    line: int
    language: str
    text: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> str:
        """A console block without what the commands answer: lines after ``$``, and lines that these go on in."""
        kept: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                kept.append(line[2:])
            elif kept and _goes_on("\n".join(kept)):
                kept.append(line)
        return "\n".join(kept)


def _goes_on(commands: str) -> bool:
    """Whether the shell would wait for another line: after a backslash, or within quotes."""
    try:
        shlex.split(commands, comments=True)
    except ValueError:
        return True
    return commands.endswith("\\")


def pages() -> list[Path]:
    """Every page that a reader may open."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in found if "_build" not in page.parts)


def name(page: Path) -> str:
    """The page, from the root of the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(*languages: str, of: Iterable[Path] = ()) -> list[Block]:
    """The blocks of these languages (of all, where none is named) that are run, in order."""
    return [
        block
        for block in all_blocks(of)
        if not block.reason and (not languages or block.language in languages)
    ]


def all_blocks(of: Iterable[Path] = ()) -> list[Block]:
    """Every block, also those that are not run."""
    return [
        block
        for page in of or pages()
        for block in _blocks(name(page), page.read_text().splitlines())
    ]


def _blocks(page: str, lines: list[str], above: int = 0) -> Iterator[Block]:
    before, number = "", 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not (fence := _FENCE.match(line)):
            before = line.strip() or before
            continue
        begin, inside = number, []
        while not re.fullmatch(rf" *{fence['marks']} *", lines[number]):
            inside.append(lines[number].removeprefix(fence["indent"]))
            number += 1
        number += 1
        reason = _REASON.fullmatch(before)
        yield Block(
            page,
            above + begin,
            fence["language"],
            "\n".join(inside) + "\n",
            reason[1] if reason else "",
        )
        if fence["language"].startswith("{"):
            yield from _blocks(page, inside, above + begin)
        before = ""


def spoken(page: Path) -> list[str]:
    """What stands between single back-ticks in the page's prose, each on one line."""
    text = page.read_text()
    text = re.sub(r"(?ms)^ *(`{3,}|~{3,}).*?^ *\1 *$", "", text)
    return [" ".join(words.split()) for words in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
