"""Pseudonyms: replace a person's ID or e-mail by a text that only the key can reproduce (docs/adr/0013)."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind

if TYPE_CHECKING:
    import pyarrow as pa

HEX_DIGITS = hashlib.sha256().digest_size * 2
SHORTEST = len("v") + len("_") + HEX_DIGITS
"""Length of the shortest pseudonym. We360's IDs are UUIDs and much shorter."""


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """A key. The same text and key always give the same pseudonym, in every table and report.

    :param secret: the key itself.
    :param version: prefix of each pseudonym, so that those of two keys differ.
    """

    secret: bytes = field(repr=False)
    version: str

    @property
    def prefix(self) -> str:
        """The beginning of all pseudonyms of this key."""
        return f"{self.version}_"

    def pseudonym(self, text: str) -> str:
        """Return ``<version>_<64 hex digits>``: HMAC-SHA256 of the text in NFKC, trimmed, lower case."""
        # Two spellings of one e-mail are one person, and must have one pseudonym in every table.
        plain = unicodedata.normalize("NFKC", text).strip().lower()
        return self.prefix + hmac.new(self.secret, plain.encode(), hashlib.sha256).hexdigest()


def require_pseudonymizable(names: Iterable[str], columns: tuple[Column, ...]) -> None:
    """Check that each name is a requested text column.

    :raises We360ConfigError: one is not; the message names the first.
    """
    kinds = {column.name: column.kind for column in columns}
    for name in names:
        if name not in kinds:
            raise We360ConfigError(
                f"pseudonymize: {name!r} is not among the requested columns; add it to columns, or remove it here"
            )
        if kinds[name] is not Kind.TEXT:
            raise We360ConfigError(
                f"pseudonymize: {name!r} holds {kinds[name].value}, and only text has pseudonyms"
            )


def pseudonymize(batch: RowBatch, keys: Mapping[str, PseudonymKey]) -> RowBatch:
    """Return the batch with pseudonyms in these columns. NULL stays NULL; absent columns are ignored."""
    if not keys:
        return batch
    columns = pseudonymize_columns(batch.columns, keys)
    rows = batch.to_arrow()
    for number, column in enumerate(columns):
        if column.name in keys:
            rows = rows.set_column(
                number, column.name, _replaced(rows.column(number), keys[column.name])
            )
    return replace(batch, columns=columns, arrow=rows)


def pseudonymize_columns(
    columns: tuple[Column, ...], keys: Mapping[str, PseudonymKey]
) -> tuple[Column, ...]:
    """Return the columns as they are after :func:`pseudonymize`: described as pseudonyms, not personal."""
    return tuple(_named(column) if column.name in keys else column for column in columns)


def _named(column: Column) -> Column:
    return replace(
        column,
        description=f"Pseudonym (HMAC-SHA256) of: {column.description or column.name}",
        personal=False,
    )


def _replaced(texts: pa.Array, key: PseudonymKey) -> pa.Array:
    """Return the pseudonyms of the texts, computing each distinct one once."""
    import pyarrow as pa

    encoded = texts.dictionary_encode()
    pseudonyms = pa.array(
        [key.pseudonym(text) for text in encoded.dictionary.to_pylist()], pa.string()
    )
    return pseudonyms.take(encoded.indices)
