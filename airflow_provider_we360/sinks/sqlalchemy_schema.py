"""Dialect and catalogue of a database that this provider has no file for, from SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from logging import getLogger
from typing import Any

from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks.dialect import Dialect, base_type, to_naive_utc
from airflow_provider_we360.sinks.table_schema import ColumnSchema

log = getLogger(__name__)

_INTEGERS = frozenset(
    ["bigint", "integer", "int", "int8", "int64", "numeric", "decimal", "number", "hugeint"]
)
_MOMENTS = frozenset(
    {"timestamp", "datetime", "datetime2", "timestamp without time zone", "timestamp_ntz"}
)
_TEXTS = frozenset(
    [
        "text",
        "varchar",
        "string",
        "clob",
        "nvarchar",
        "nclob",
        "varchar2",
        "nvarchar2",
        "tinytext",
        "mediumtext",
        "longtext",
        "ntext",
    ]
) | {"character varying", "long varchar"}
_DOUBLES = frozenset(
    ["double_precision", "double", "float", "float8", "float64", "binary_double"]
) | {"double precision"}

STANDARD = Dialect(
    types={
        Kind.TEXT: "VARCHAR(4000)",
        Kind.DURATION: "BIGINT",
        Kind.BIGINT: "BIGINT",
        Kind.DOUBLE: "DOUBLE PRECISION",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.DATE: "DATE",
        Kind.INSTANT: "TIMESTAMP",  # holds UTC
    },
    holding_types={
        Kind.TEXT: _TEXTS,
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: _DOUBLES,
        Kind.TIMESTAMP: _MOMENTS,
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: _MOMENTS,
    },
    adapt=to_naive_utc,
    casts_parameters=False,
    has_comments=False,  # no two databases have the same statement
    key_join="exists",
    stages_constants=True,
    values_rows=1,  # Oracle before 23 has no VALUES of several rows
)
_PREFIXES = {
    # SQL Server has no substr(), and its usual collation takes v1 and V1 for the same.
    "mssql": "SUBSTRING({0}, 1, {1}) COLLATE Latin1_General_BIN2",
}


def build_dialect(hook: Any, engine: Any) -> Dialect:
    """Return the standard's dialect with the names and types that SQLAlchemy knows."""
    if engine is None:
        return replace(
            STANDARD,
            quote=partial(_quote_unknown, hook),
            fold=str.lower,
            holds=_holds_unknown,
        )
    import sqlalchemy as sa
    from sqlalchemy.dialects import mssql, oracle

    # The defaults of SQL Server round to 1/300 s, and those of Oracle drop microseconds. Oracle
    # compares no CLOB, and the load compares run IDs.
    moment = sa.DateTime().with_variant(mssql.DATETIME2(6), "mssql")  # type: ignore[no-untyped-call]
    moment = moment.with_variant(oracle.TIMESTAMP(), "oracle")
    kinds: dict[Kind, Any] = {
        Kind.TEXT: sa.UnicodeText().with_variant(oracle.NVARCHAR2(2000), "oracle"),
        Kind.DURATION: sa.BigInteger(),
        Kind.BIGINT: sa.BigInteger(),
        Kind.TIMESTAMP: moment,
        Kind.DATE: sa.Date(),
        Kind.INSTANT: moment,
    }
    types = {kind: str(found.compile(dialect=engine.dialect)) for kind, found in kinds.items()}
    quote = engine.dialect.identifier_preparer.quote
    is_sqlite = engine.dialect.name == "sqlite"
    return replace(
        STANDARD,
        types={**STANDARD.types, **types},
        quote=lambda name: str(quote(name)),
        prefix=_PREFIXES.get(engine.dialect.name, STANDARD.prefix),
        holds=_holds_in_sqlite if is_sqlite else _holds_unknown,
    )


def _quote_unknown(hook: Any, name: str) -> str:
    # Oracle, Derby and others take no underscore at the beginning of a name without quotes.
    if name.startswith("_"):
        return str(getattr(hook, "escape_word_format", '"{}"').format(name))
    return str(hook.dialect.escape_word(name))


def _holds_unknown(kind: Kind, type_name: str) -> bool:  # noqa: ARG001 - the same for every kind
    """Accept a type of which nothing is known."""
    return not type_name


def _holds_in_sqlite(kind: Kind, type_name: str) -> bool:
    # REAL has eight bytes in SQLite, four in most other databases.
    return not type_name or (kind is Kind.DOUBLE and base_type(type_name) == "real")


def open_engine(hook: Any) -> Any:
    """Return SQLAlchemy's engine, for types, names and catalogue; None if it has no dialect."""
    try:
        from sqlalchemy.pool import NullPool

        engine = hook.get_sqlalchemy_engine({"poolclass": NullPool})
        engine.connect().close()  # not every hook has a URI that works
    except Exception as error:  # noqa: BLE001 - no dialect, no driver, no URI: each hook has its own error
        log.info(
            "SQLAlchemy cannot connect to this database (%s); types of existing columns are not "
            "checked",
            type(error).__name__,
        )
        return None
    return engine


def to_column_schema(column: Mapping[str, Any], dialect: Any) -> ColumnSchema:
    """Return a column as SQLAlchemy has reflected it."""
    try:
        kind = re.split(
            r"\s+(?:COLLATE|CHARACTER SET)\s", str(column["type"].compile(dialect=dialect))
        )[0]
    except Exception:  # noqa: BLE001 - a type that SQLAlchemy cannot spell
        kind = ""
    filled = (
        any(column.get(word) for word in ("default", "identity", "computed"))
        or column.get("autoincrement") is True
    )
    return ColumnSchema(str(column["name"]), kind, not column.get("nullable", True), filled)
