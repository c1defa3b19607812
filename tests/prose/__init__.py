"""Read the prose of the project: docstrings, comments, messages, identifiers and pages.

``make prose`` measures it by room, and ``tests/architecture/test_plain_language.py`` holds the
words that it must not use.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "airflow_provider_we360"

_DIRECTIVE = re.compile(r"#\s*(noqa|type:|pragma|fmt:|!)")
_SENTENCE = re.compile(r"[A-Za-z]+[ ,;:]+[A-Za-z]+")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Line:
    """One piece of text with the place it stands at.

    :param path: the file, relative to the root of the project.
    :param number: the first line of the text in that file.
    :param text: a docstring, a comment, a message or a line of a page.
    :param kind: "docstring", "comment", "message", "identifier" or "page".
    """

    path: str
    number: int
    text: str
    kind: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


def rooms() -> dict[str, list[Path]]:
    """Return the Python files and pages of each room; a room of the package is its folder."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        found.setdefault(parts[0] if len(parts) > 1 else "package", []).append(path)
    found["example_dags"] = sorted((ROOT / "example_dags").rglob("*.py"))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
    kept = sorted(page for page in pages if "_build" not in page.parts)
    found["docs"] = [*kept, *sorted((ROOT / "docs").glob("**/*.py"))]
    return found


def prose_of(path: Path) -> Iterator[Line]:
    """Yield the prose of one file: all texts of code, or the lines of a page outside of fences."""
    if path.suffix == ".py":
        yield from _code(path)
    else:
        yield from _page(path)


def _code(path: Path) -> Iterator[Line]:
    name, source = path.relative_to(ROOT).as_posix(), path.read_text()
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            first = node.body[0]
            docstrings.add(id(first.value))  # type: ignore[attr-defined]
            yield Line(name, first.lineno, text, "docstring")
        for identifier in _defined(node):
            yield Line(name, getattr(node, "lineno", 1), identifier, "identifier")
    for node in ast.walk(tree):
        # A text under an attribute documents it; every other text with words is a message.
        constant = node.value if isinstance(node, ast.Expr) else node
        if not isinstance(constant, ast.Constant) or not isinstance(constant.value, str):
            continue
        if id(constant) not in docstrings and _SENTENCE.search(constant.value):
            docstrings.add(id(constant))
            kind = "docstring" if constant is not node else "message"
            yield Line(name, constant.lineno, constant.value, kind)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string):
            yield Line(name, token.start[0], token.string.lstrip("# "), "comment")


def _defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr


def _page(path: Path) -> Iterator[Line]:
    name, fence = path.relative_to(ROOT).as_posix(), ""
    for number, text in enumerate(path.read_text().splitlines(), 1):
        marks = re.match(r"\s*(`{3,}|~{3,})", text)
        if marks and not fence:
            # A directive in back-ticks holds prose or nothing; a language's block holds code.
            fence = marks[1] if "{" not in text else ""
        elif fence and text.strip() == fence:
            fence = ""
        elif not fence:
            yield Line(name, number, re.sub(r"`[^`]*`", "`code`", text), "page")


def words_of(identifier: str) -> set[str]:
    """Return the lower-case words of an identifier, snake_case or CamelCase."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}
