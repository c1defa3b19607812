"""The dialect of MySQL and MariaDB."""

from __future__ import annotations

from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import dialect

_INTEGERS = frozenset(
    f"{name}{sign}"
    for name in ("bigint", "int", "mediumint", "smallint")
    for sign in ("", " unsigned")
)


def literal(text: str) -> str:
    """Return a text as an SQL literal; a backslash escapes in MySQL."""
    return dialect.literal(text.replace("\\", "\\\\"))


# MySQL rounds silently if a column has fewer digits, also in DECIMAL: only exact types are taken.
_HOLDING_TYPES = {
    Kind.TEXT: frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}),
    Kind.DURATION: _INTEGERS,
    Kind.BIGINT: _INTEGERS,
    Kind.DOUBLE: frozenset({"double"}),
    Kind.TIMESTAMP: frozenset({"datetime(6)"}),
    Kind.DATE: frozenset({"date"}),
    Kind.INSTANT: frozenset({"datetime(6)", "timestamp(6)"}),
}


def _holds(kind: Kind, type_name: str) -> bool:
    # A length is that of a text or a display width; double(5,2) and datetime(0) would round.
    has_length = kind in (Kind.TEXT, Kind.DURATION, Kind.BIGINT)
    name = dialect.base_type(type_name) if has_length else type_name.lower()
    return name in _HOLDING_TYPES[kind]


def _find_loss(kind: Kind, type_name: str) -> str:
    """Char(n) cuts off blanks at the end."""
    is_padded = kind is Kind.TEXT and dialect.base_type(type_name) == "char"
    return "{0} LIKE '% '" if is_padded else ""


DIALECT = dialect.Dialect(
    types={
        Kind.TEXT: "longtext CHARACTER SET utf8mb4",
        Kind.DURATION: "bigint",
        Kind.BIGINT: "bigint",
        Kind.DOUBLE: "double",
        Kind.TIMESTAMP: "datetime(6)",
        Kind.DATE: "date",
        Kind.INSTANT: "datetime(6)",  # holds UTC: TIMESTAMP ends in 2038
    },
    holding_types=dict.fromkeys(Kind, frozenset()),
    holds=_holds,
    find_loss=_find_loss,
    placeholder="%s",
    quote=dialect.quote_with("`"),
    literal=literal,
    adapt=dialect.to_naive_utc,
    casts_parameters=False,
    has_comments=False,  # comments are part of a column's declaration
    utc_now="utc_timestamp(6)",
    differs="NOT ({0} <=> {1})",
    update_from="join",
    key_join="exists",
)
