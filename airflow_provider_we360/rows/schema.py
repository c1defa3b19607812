"""Columns: name, kind, unit. The kind decides how a value is parsed and stored."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_we360.errors import We360ConfigError

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
OWN_PREFIX = "_we360_"


class Kind(enum.Enum):
    """What a column holds. The value is the name that ``column_types`` takes."""

    TEXT = "text"
    DURATION = "duration"
    """Whole seconds, a 64-bit integer; the API sends ``H:MM:SS``."""
    BIGINT = "bigint"
    DOUBLE = "double"
    TIMESTAMP = "timestamp"
    """Local time of the tenant, without zone."""
    DATE = "date"
    INSTANT = "instant"
    """A moment in UTC; only the provider's own ``_we360_loaded_at`` has this kind."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report.

    :param name: the name in the API and in the target.
    :param kind: type of its values.
    :param description: what it means, with its unit; becomes the column's comment in the target.
    :param personal: whether the column names, reaches or locates a person; such columns are never
        requested by default.
    :param confirmed: False if its form on the server is not confirmed; it is then loaded as text.
    """

    name: str
    kind: Kind = Kind.TEXT
    description: str = ""
    personal: bool = False
    confirmed: bool = True


def require_column_names(names: Iterable[str], argument: str = "columns") -> tuple[str, ...]:
    """Return the names as a tuple.

    :raises We360ConfigError: the list is empty, a name is no plain identifier, has our own prefix, or
        equals another except for case (warehouses fold case, so the two would be one column).
    """
    given = () if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in given):
        raise We360ConfigError(
            f'{argument}: expected a list of column names, each a text of its own, such as ["email", "punch_in"]; a template '
            "makes a list only if the Dag has render_template_as_native_obj=True"
        )
    if not given:
        raise We360ConfigError(
            f"{argument}: is empty; name at least one column, or leave it out for the report's default list"
        )
    seen: dict[str, str] = {}
    for name in given:
        if not COLUMN_NAME.fullmatch(name):
            raise We360ConfigError(
                f"{argument}: {name!r} is no column name; use a letter or underscore, "
                "then letters, digits, underscores, 63 at most"
            )
        if name.lower().startswith(OWN_PREFIX):
            raise We360ConfigError(
                f"{argument}: {name!r} begins with {OWN_PREFIX!r}, which this provider reserves for its own columns"
            )
        if (twin := seen.get(name.lower())) is not None:
            raise We360ConfigError(
                f"{argument}: {twin!r} and {name!r} are the same column in a warehouse; name it once"
            )
        seen[name.lower()] = name
    return given


def parse_kinds(column_types: Mapping[str, str]) -> dict[str, Kind]:
    """Return ``column_types`` as kinds.

    :raises We360ConfigError: a type is none of the names of :class:`Kind`, or ``instant``.
    """
    kinds = {kind.value: kind for kind in Kind if kind is not Kind.INSTANT}
    parsed: dict[str, Kind] = {}
    for name, type_name in column_types.items():
        if type_name not in kinds:
            raise We360ConfigError(
                f"column_types[{name!r}]: {type_name!r} is no type; use one of {', '.join(sorted(kinds))}"
            )
        parsed[name] = kinds[type_name]
    return parsed
