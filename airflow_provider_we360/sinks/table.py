"""TableName: the target's name, parsed and checked, so that whatever is quoted into SQL is a plain identifier."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import COLUMN_NAME

_PROJECT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
"""What stands first of three: projects of Google Cloud have hyphens. It is quoted like all parts."""


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's name as the user wrote it: ``table``, ``schema.table`` or ``database.schema.table``."""

    table: str
    schema: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        return ".".join(self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """What was given, outermost first."""
        return tuple(part for part in (self.database, self.schema, self.table) if part is not None)


def parse_table(text: str, argument: str = "table") -> TableName:
    """The name in its parts.

    :param argument: what the user calls it, for the error.
    :raises We360ConfigError: where it is not one to three plain identifiers with dots between.
    """
    parts = str(text).split(".")
    patterns = (
        [COLUMN_NAME] * len(parts) if len(parts) < 3 else [_PROJECT, COLUMN_NAME, COLUMN_NAME]
    )
    if not 1 <= len(parts) <= 3 or not all(map(re.Pattern.fullmatch, patterns, parts)):
        raise We360ConfigError(
            f"{argument}: {text!r} is no table name; write table, schema.table or database.schema.table without quotes, "
            "each part a letter or underscore, then letters, digits, underscores, 63 at most; a database may have hyphens"
        )
    return TableName(*reversed(parts))
