"""How a driver expects its parameters (PEP 249, paramstyle)."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from typing import Any

_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s"}


def parameter_speller(
    connection: Any, placeholder: str
) -> Callable[[str, tuple[object, ...]], tuple[str, Any]]:
    """Return a function that writes our statements the way the driver expects them.

    In our statements a question mark is a parameter, and stands nowhere else.

    :param placeholder: the hook's own, for drivers that do not say what they expect. Airflow's hooks
        for ODBC and JDBC have ``%s``, although their drivers take question marks only.
    """
    style = find_paramstyle(type(connection))

    def spell(sql: str, values: tuple[object, ...]) -> tuple[str, Any]:
        numbers = itertools.count(1)
        if style == "numeric":
            return re.sub(r"\?", lambda _: f":{next(numbers)}", sql), values
        if style == "named":
            return re.sub(r"\?", lambda _: f":p{next(numbers)}", sql), {
                f"p{n}": value for n, value in enumerate(values, 1)
            }
        return sql.replace("?", _MARKS.get(style, placeholder)), values

    return spell


def find_paramstyle(kind: type) -> str:
    """Return what the driver's module says, searched from the connection's class upwards."""
    name = kind.__module__
    while name:
        if isinstance(style := getattr(sys.modules.get(name), "paramstyle", None), str):
            return style
        name = name.rpartition(".")[0]
    return ""
