"""Find the small faults that can be put into a module, each as a replacement of one piece of its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "log"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    :param start: offset in characters where the replaced text begins.
    :param end: offset in characters behind the replaced text.
    """

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: str) -> str:
        """Return the module's text with this fault in it."""
        assert source[self.start : self.end] == self.before
        return source[: self.start] + self.after + source[self.end :]

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:60] for text in (self.before, self.after))
        return f"{self.path}:{self.line}: {before} -> {after}"


def find_mutants(path: str, source: str) -> list[Mutant]:
    """Return all faults of a module, in the order of its text."""
    offsets = _line_offsets(source)
    found: list[Mutant] = []
    for node, after in _replacements(ast.parse(source)):
        start = offsets(node.lineno, node.col_offset)
        end = offsets(node.end_lineno or node.lineno, node.end_col_offset or 0)
        before = source[start:end]
        if before != after:
            found.append(Mutant(path, node.lineno, start, end, before, after))
    return sorted(found, key=lambda one: (one.start, one.end, one.after))


def _line_offsets(source: str):
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(line: int, column_bytes: int) -> int:
        # ast counts columns in UTF-8 bytes
        text = lines[line - 1].encode()[:column_bytes].decode()
        return starts[line - 1] + len(text)

    return offset


def _replacements(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for node in _walk(tree):
        match node:
            case ast.Compare(left=left, ops=[operator, *others], comparators=right):
                if type(operator) in COMPARISONS:
                    operators = [COMPARISONS[type(operator)](), *others]
                    yield node, f"({ast.unparse(ast.Compare(left, operators, right))})"
            case ast.BoolOp(op=operator, values=values):
                other = ast.Or() if isinstance(operator, ast.And) else ast.And()
                yield node, f"({ast.unparse(ast.BoolOp(other, values))})"
            case ast.BinOp(left=left, op=operator, right=right):
                if type(operator) in ARITHMETIC and not _is_text(left) and not _is_text(right):
                    changed = ast.BinOp(left, ARITHMETIC[type(operator)](), right)
                    yield node, f"({ast.unparse(changed)})"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield node, f"({ast.unparse(operand)})"
            case ast.If(test=test) | ast.IfExp(test=test):
                if not isinstance(test, ast.Compare):
                    yield test, f"(not ({ast.unparse(test)}))"
            case ast.Constant(value=bool(value)):
                yield node, str(not value)
            case ast.Constant(value=int(number)) if not isinstance(number, bool):
                yield node, str(number + 1)
            case ast.Return(value=ast.expr() as value):
                if not (isinstance(value, ast.Constant) and value.value is None):
                    yield node, "return None"
            case ast.Raise():
                yield node, "pass"
            case ast.Expr(value=ast.Call()):
                yield node, "pass"
            case ast.Continue():
                yield node, "break"


def _is_text(node: ast.expr) -> bool:
    is_constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_constant or isinstance(node, ast.JoinedStr)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that a test can hold: no annotations, log lines, default slots or f-string parts."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "keywords_of_class"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_out_of_reach(child):
                yield child
                yield from _walk(child)


def _is_out_of_reach(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=attribute))):
            return attribute in LOG_METHODS
    return False
