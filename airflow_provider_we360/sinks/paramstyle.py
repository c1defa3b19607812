"""How a driver wants its parameters written (PEP 249, paramstyle)."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from typing import Any


def speller(
    connection: Any, placeholder: str
) -> Callable[[str, tuple[object, ...]], tuple[str, Any]]:
    """Turns our statements into the driver's: a question mark is a parameter, and stands nowhere else in them.

    :param placeholder: the hook's word, which counts unless the driver numbers or names its parameters.
    """
    style = paramstyle(type(connection))

    def spell(sql: str, values: tuple[object, ...]) -> tuple[str, Any]:
        numbers = itertools.count(1)
        if style == "numeric":
            return re.sub(r"\?", lambda _: f":{next(numbers)}", sql), values
        if style == "named":
            return re.sub(r"\?", lambda _: f":p{next(numbers)}", sql), {
                f"p{n}": value for n, value in enumerate(values, 1)
            }
        return sql.replace("?", placeholder), values

    return spell


def paramstyle(kind: type) -> str:
    """What the driver's module says (PEP 249), looked for from the connection's class upwards."""
    name = kind.__module__
    while name:
        if isinstance(style := getattr(sys.modules.get(name), "paramstyle", None), str):
            return style
        name = name.rpartition(".")[0]
    return ""
