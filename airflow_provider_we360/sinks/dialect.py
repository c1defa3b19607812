"""Dialects: how a database spells names, types, parameters and the few clauses that differ."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from airflow_provider_we360.rows.schema import Kind


def keep(name: str) -> str:
    """Return the name as it is, for databases that do not fold the case of quoted names."""
    return name


def quote_with(mark: str, fold: Callable[[str], str] = keep) -> Callable[[str], str]:
    """Return a function that folds and quotes an identifier."""
    return lambda name: f"{mark}{fold(name)}{mark}"


def quote_double(name: str) -> str:
    """Return the name in double quotes, as the standard quotes identifiers."""
    return f'"{name}"'


def literal(text: str) -> str:
    """Return a text as an SQL literal, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def pass_through(value: object) -> object:
    """Return the value as it is, for drivers that take every Python type."""
    return value


def to_naive_utc(value: object) -> object:
    """Return an instant as UTC without zone, for databases that store it that way."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    return value


def to_text(value: object) -> object:
    """Return days and instants as text, for drivers that take no Python type for them."""
    plain = to_naive_utc(value)
    if isinstance(plain, dt.datetime):
        return plain.isoformat(" ")
    return plain.isoformat() if isinstance(plain, dt.date) else plain


def base_type(type_name: str) -> str:
    """Return a type's name in lower case, without length and precision."""
    return re.sub(r"\(.*?\)", "", type_name).strip().lower()


def no_loss(kind: Kind, type_name: str) -> str:  # noqa: ARG001 - a default
    """Return nothing, because the database refuses what a type cannot hold."""
    return ""


def round_trip(staged_type: str, type_name: str) -> str:
    """Return SQL that is true if a cast to a type and back changes a staged value."""
    return f"CAST(CAST({{0}} AS {type_name}) AS {staged_type}) <> {{0}}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The SQL of one database, as data.

    :param types: the type of a column that a load creates, by kind.
    :param holding_types: types that hold all values of a kind, in lower case and without length.
    :param quote: folds and quotes an identifier.
    :param fold: an identifier in the case in which the database stores it.
    :param adapt: a parameter as the driver takes it.
    :param holds: whether a type holds the values of a kind; None: by ``holding_types``.
    :param find_loss: SQL that is true for a staged value, ``{0}``, that a column of this type would
        change silently; empty if the type changes none. The load refuses such values.
    :param cast_types: types that take staged text only through a CAST, such as ``uuid``.
    :param casts_parameters: True if parameters in a select list need a type.
    :param has_comments: True if ``COMMENT ON`` exists.
    :param ddl_commits: True if CREATE and ALTER end the transaction, or may not be in one.
    :param instant: SQL that turns a UTC timestamp without zone, ``{}``, into the type of instants.
    :param read_instant: SQL that turns an instant, ``{}``, into what the driver can return.
    :param utc_now: SQL of the database's own time, with a zone or in UTC; empty: the worker's time.
    :param differs: SQL that is true if ``{0}`` and ``{1}`` differ, NULL being a value; empty if
        rows are replaced instead of updated.
    :param exact_text: SQL of a staged text, ``{}``, that compares by code points.
    :param prefix: SQL of the first ``{1}`` characters of a text ``{0}``.
    :param values_rows: rows behind one VALUES. Databases bound the parameters of a statement, the
        smallest at 999, and some take one row only.
    :param update_from: form of an UPDATE from another table: "from" or "join".
    :param key_join: how rows are matched with staged ones: "in" (row values), "exists".
    :param stages_constants: True if the staging table holds the provider's own columns, too.
    """

    types: Mapping[Kind, str]
    holding_types: Mapping[Kind, frozenset[str]]
    placeholder: str = "?"
    quote: Callable[[str], str] = quote_double
    fold: Callable[[str], str] = keep
    literal: Callable[[str], str] = literal
    adapt: Callable[[object], object] = pass_through
    holds: Callable[[Kind, str], bool] | None = None
    find_loss: Callable[[Kind, str], str] = no_loss
    cast_types: frozenset[str] = frozenset()
    casts_parameters: bool = True
    has_comments: bool = True
    ddl_commits: bool = False
    instant: str = "{}"
    read_instant: str = "{}"
    utc_now: str = ""
    differs: str = ""
    exact_text: str = "{}"
    prefix: str = "substr({0}, 1, {1})"
    values_rows: int = 50
    update_from: str = "from"
    key_join: str = "in"
    stages_constants: bool = False

    def can_hold(self, kind: Kind, type_name: str) -> bool:
        """Return True if a column of this type holds the values of the kind without loss."""
        if self.holds is not None and self.holds(kind, type_name):
            return True
        return base_type(type_name) in self.holding_types[kind]

    def parameter(self, kind: Kind) -> str:
        """Return the placeholder of a constant in a select list."""
        if not self.casts_parameters:
            return self.placeholder
        return f"CAST({self.placeholder} AS {self.types[kind]})"
