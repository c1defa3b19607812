"""Write rows as text, for databases whose bulk path takes text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How one bulk path expects its rows.

    :param escapes: replacements inside a text, applied in this order.
    :param quote: written around each value that is not NULL.
    :param chunk_chars: characters per chunk: few round trips, bounded memory.
    """

    escapes: tuple[tuple[str, str], ...]
    quote: str
    between_cells: str
    between_rows: str
    null: str
    chunk_chars: int


def format_rows(batches: Iterable[RowBatch], text_format: TextFormat) -> Iterator[str]:
    """Yield all rows as text, about ``chunk_chars`` characters at a time."""
    for batch in batches:
        rows = _format_batch(batch, text_format)
        first = length = 0
        # Cut between rows: the bulk path must never see half a row.
        for number, row in enumerate(rows):
            length += len(row)
            if length >= text_format.chunk_chars:
                yield text_format.between_rows.join(rows[first : number + 1])
                first, length = number + 1, 0
        if first < len(rows):
            yield text_format.between_rows.join(rows[first:])


def _format_batch(batch: RowBatch, text_format: TextFormat) -> list[str]:
    """Return each row as text. Arrow formats whole columns; a driver would format cell by cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = []
    for column, array in zip(batch.columns, batch.to_arrow().columns, strict=True):
        text = array.cast(pa.string())
        if column.kind is Kind.TEXT:
            for plain, escaped in text_format.escapes:
                text = pc.replace_substring(text, plain, escaped)
        cells.append(pc.binary_join_element_wise(text_format.quote, text, text_format.quote, ""))
    joined = pc.binary_join_element_wise(
        *cells,
        text_format.between_cells,
        null_handling="replace",
        null_replacement=text_format.null,
    )
    rows: list[str] = joined.to_pylist()
    return rows
