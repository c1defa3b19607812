"""What SQLAlchemy knows of a database that this provider has no file for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from logging import getLogger
from typing import Any

from airflow_provider_we360.sinks.table_schema import ColumnSchema

log = getLogger(__name__)


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
