"""What SQLAlchemy knows of a database that we do not know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from logging import getLogger
from typing import Any

from airflow_provider_we360.sinks.catalogue import StoredColumn

log = getLogger(__name__)


def engine_of(hook: Any) -> Any:
    """SQLAlchemy's engine, for types, names and catalogue; None where it does not know the database."""
    try:
        from sqlalchemy.pool import NullPool

        engine = hook.get_sqlalchemy_engine({"poolclass": NullPool})
        engine.connect().close()  # what a hook says its URI is need not work
    except Exception as error:  # noqa: BLE001 - no dialect, no driver of it, no URI: each hook says it its own way
        log.info(
            "SQLAlchemy does not reach this database (%s): types of existing columns are not looked at",
            type(error).__name__,
        )
        return None
    return engine


def stored_column(column: Mapping[str, Any], dialect: Any) -> StoredColumn:
    """A column as SQLAlchemy has found it."""
    try:
        kind = re.split(
            r"\s+(?:COLLATE|CHARACTER SET)\s", str(column["type"].compile(dialect=dialect))
        )[0]
    except Exception:  # noqa: BLE001 - a type of the database's own, which SQLAlchemy cannot spell
        kind = ""
    filled = (
        any(column.get(word) for word in ("default", "identity", "computed"))
        or column.get("autoincrement") is True
    )
    return StoredColumn(str(column["name"]), kind, not column.get("nullable", True), filled)
