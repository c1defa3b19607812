"""The command ``example``: the example Dags, listed or printed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import airflow_provider_we360
from airflow_provider_we360.errors import We360ConfigError

_PACKAGE = Path(airflow_provider_we360.__file__).parent
# The wheel holds the files within the package; a checkout has them next to it.
_FOLDERS = (_PACKAGE / "example_dags", _PACKAGE.parent / "example_dags")


def list_examples() -> str:
    """Return a line per example Dag: its short name and its first sentence."""
    examples = _find_examples()
    width = max(map(len, examples))
    return "\n".join(
        f"{name:<{width}}  {summarize_example(path.read_text())}" for name, path in examples.items()
    )


def read_example(name: str) -> str:
    """Return the text of an example Dag.

    :param name: ``postgres``, ``we360_to_postgres`` or ``we360_to_postgres.py``.
    :raises We360ConfigError: there is no such example.
    """
    examples = _find_examples()
    if (path := examples.get(_shorten(name.removesuffix(".py")))) is None:
        raise We360ConfigError(
            f"NAME: there is no example {name!r}; use one of {', '.join(examples)}"
        )
    return path.read_text()


def summarize_example(source: str) -> str:
    """Return the first sentence of an example's docstring."""
    paragraph = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.!])\s(?=[A-Z])", paragraph)[0].replace("``", "`")


def _find_examples() -> dict[str, Path]:
    """Return the files by short name, sorted."""
    paths = [path for folder in _FOLDERS for path in folder.glob("we360_*.py")]
    return {_shorten(path.stem): path for path in sorted(paths)}


def _shorten(name: str) -> str:
    return name.removeprefix("we360_").removeprefix("to_")
