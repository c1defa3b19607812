"""Read argument values as they arrive: literals, rendered text, or objects of native rendering.

With ``render_template_as_native_obj=True`` a template renders to a Python object: a list, a set, a
number, None. Without it the same template renders to text. Both are accepted if they have one
meaning; everything else is an error that names the argument and says how to write it.
"""

from __future__ import annotations

import ast
import enum
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.redaction import foreign_text

E = TypeVar("E", bound=enum.StrEnum)
_JINJA = re.compile(r"\{[{%#]")
_NOTHING = {"", "None"}
"""What a template renders to if its value is missing."""


def is_template(value: object) -> bool:
    """Return whether Airflow replaces the value when the task runs.

    That holds for Jinja text, XComs and other references, callables, and for collections that
    contain one of them.
    """
    if isinstance(value, str):
        return _JINJA.search(value) is not None
    if isinstance(value, Mapping):
        return any(map(is_template, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(is_template, value))
    return hasattr(value, "iter_references") or callable(value)


def is_absent(value: object) -> bool:
    """Return whether the value means "not given": None, empty text, or the text ``None``."""
    return value is None or (isinstance(value, str) and value.strip() in _NOTHING)


def read_text(value: object, argument: str) -> str | None:
    """Return text without surrounding blanks; None if it is not given.

    :raises We360ConfigError: if it is neither text nor what rendering makes of text.
    """
    if is_absent(value):
        return None
    # Native rendering makes a number of digits; a path is what a Dag author may write for text.
    if isinstance(value, bool) or not isinstance(value, str | int | os.PathLike):
        raise We360ConfigError(f"{argument}: expected text, got {type(value).__name__}")
    return str(value).strip()


def read_required_text(value: object, argument: str, example: str) -> str:
    """Return text that must be given.

    :param example: what to write, for the error.
    """
    if (text := read_text(value, argument)) is None:
        raise We360ConfigError(
            f"{argument}: is empty, or a template rendered to nothing; give {example}"
        )
    return text


def read_choice(choices: type[E], value: object, argument: str, default: E) -> E:
    """Return the member that the value names; ``default`` if it is not given.

    :raises We360ConfigError: if there is no such member; the message lists all of them.
    """
    text = read_text(value, argument)
    try:
        return default if text is None else choices(text)
    except ValueError:
        raise We360ConfigError(
            f"{argument}: {foreign_text(text, 60)!r} is unknown; use one of {', '.join(choices)}"
        ) from None


def read_names(value: object, argument: str) -> Any:
    """Return names or ids as a list of text; None if not given.

    Lists, tuples, sets and text of a list (JSON, or Python's own spelling) are read. Other text is
    returned as it is, for the argument's own check.
    """
    # The text "None" is not absent: dropping a filter that rendered to nothing would load everyone.
    if value is None or value == "":
        return None
    if isinstance(value, str):
        parsed = _parse_literal(value) if value.strip()[:1] in ("[", "(", "{") else None
        if not isinstance(parsed, list | tuple | set):
            return value
        value = parsed
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        if isinstance(value, int | UUID) and not isinstance(value, bool):
            return [str(value)]
        raise We360ConfigError(f"{argument}: expected a list of text, got {type(value).__name__}")
    # A set has no order: without sorting, two tries of a task could differ.
    found = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
    for one in found:
        if isinstance(one, bool) or not isinstance(one, str | int | UUID):
            raise We360ConfigError(
                f"{argument}: expected a list of text, got a list that contains"
                f" {type(one).__name__}; check the template or the task that produces it"
            )
    return [str(one) for one in found]


def read_mapping(value: object, argument: str) -> dict[str, Any]:
    """Return a mapping by name; empty if not given. Text of one (JSON or Python) is read.

    :raises We360ConfigError: if it is no mapping, or a name is not text.
    """
    if is_absent(value):
        return {}
    found = _parse_literal(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        hint = (
            "; in a template, write {{ ... | tojson }} or set render_template_as_native_obj=True on"
            " the Dag"
        )
        raise We360ConfigError(
            f"{argument}: expected a mapping of names to values, got"
            f" {type(value).__name__}{hint if isinstance(value, str) else ''}"
        )
    return dict(found)


def read_flag(value: object, argument: str) -> bool:
    """Return a flag. Text is refused: ``"false"`` would count as true.

    :raises We360ConfigError: if it is neither True nor False.
    """
    if isinstance(value, bool):
        return value
    raise We360ConfigError(
        f"{argument}: expected True or False, got {foreign_text(repr(value), 60)}; the argument is"
        " not templated"
    )


def read_hours(value: object, argument: str, default: float) -> float:
    """Return a number of hours, 0 or more; ``default`` if not given.

    :raises We360ConfigError: if it is not such a number.
    """
    if is_absent(value):
        return default
    try:
        hours = -1.0 if isinstance(value, bool) else float(str(value))
    except ValueError:
        hours = -1.0
    if not 0 <= hours < math.inf:
        raise We360ConfigError(
            f"{argument}: expected a number of hours, 0 or more, got"
            f" {foreign_text(repr(value), 60)}"
        )
    return hours


def read_count(value: object, argument: str, default: int) -> int:
    """Return a whole number, 1 or more; ``default`` if not given.

    :raises We360ConfigError: if it is not such a number.
    """
    if is_absent(value):
        return default
    text = "" if isinstance(value, bool) else str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise We360ConfigError(
            f"{argument}: expected a whole number, 1 or more, got {foreign_text(repr(value), 60)}"
        )
    return int(text)


def _parse_literal(text: str) -> object:
    """Return the value of JSON or Python literal text; None if it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        # Jinja renders a list as Python spells it: ['email'] instead of ["email"].
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
