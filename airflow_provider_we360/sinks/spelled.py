"""Rows as text, for databases whose bulk path takes text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind


@dataclass(frozen=True, slots=True)
class Form:
    """How rows are spelled for one way of bulk loading.

    :param escapes: what stands in a text, and what is written for it, in this order.
    :param quote: around each value that is not NULL.
    :param chunk: so many characters go at once: few round trips, bounded memory.
    """

    escapes: tuple[tuple[str, str], ...]
    quote: str
    between_cells: str
    between_rows: str
    null: str
    chunk: int


def spelled(batches: Iterable[RowBatch], form: Form) -> Iterator[str]:
    """All rows, about ``form.chunk`` characters at a time."""
    for batch in batches:
        rows = _rows(batch, form)
        first = length = 0
        for number, row in enumerate(rows):
            length += len(row)
            if length >= form.chunk:
                yield form.between_rows.join(rows[first : number + 1])
                first, length = number + 1, 0
        if first < len(rows):
            yield form.between_rows.join(rows[first:])


def _rows(batch: RowBatch, form: Form) -> list[str]:
    """Each row as text. Made by the column: a driver would format cell by cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = []
    for column, array in zip(batch.columns, batch.to_arrow().columns, strict=True):
        text = array.cast(pa.string())
        if column.kind is Kind.TEXT:
            for plain, escaped in form.escapes:
                text = pc.replace_substring(text, plain, escaped)
        cells.append(pc.binary_join_element_wise(form.quote, text, form.quote, ""))
    joined = pc.binary_join_element_wise(
        *cells, form.between_cells, null_handling="replace", null_replacement=form.null
    )
    rows: list[str] = joined.to_pylist()
    return rows
