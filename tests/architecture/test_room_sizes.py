"""A file is one noun and a function one thought: both must fit into a head."""

from __future__ import annotations

import ast
import io
import tokenize
from functools import cache
from pathlib import Path

import pytest

FILE_LINES = 320
"""About five screens. A longer file holds two nouns: split it by noun. Lists of columns stay well below."""
FUNCTION_LINES = 40
"""One screen, signature included, docstring and comments not: Airflow's constructors alone take 25 lines of arguments."""

_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def modules() -> list[Path]:
    return sorted((Path(__file__).parents[2] / "airflow_provider_we360").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(Path(__file__).parents[2]))


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_file_fits_into_a_head(path: Path) -> None:
    assert len(_code_lines(path.read_text())) <= FILE_LINES


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    source = path.read_text()
    lines = _code_lines(source)
    too_long = {
        node.name: length
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := len(lines & set(range(node.lineno, (node.end_lineno or 0) + 1))))
        > FUNCTION_LINES
    }
    assert too_long == {}


@pytest.mark.parametrize("path", [p for p in modules() if p.read_text().strip()], ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@cache
def _code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank, comment or docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines
