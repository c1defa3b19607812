"""Faults of the report: most are a field of ``SimulatorConfig``, changed for one request."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from airflow_provider_we360.sandbox.http import Response
from simulator.config import SimulatorConfig
from simulator.fault_effects import Effect
from simulator.identity import Identity
from simulator.report_api import error_response


def variant(**switches: Any) -> Effect:
    """Change fields of ``SimulatorConfig`` for the requests that the rule matches.

    :raises ValueError: for an unknown field.
    """
    SimulatorConfig.from_json(switches)
    return Effect(variant=switches)


def refusal(
    message: str = "Something is wrong with the request", error_code: str = "VALIDATION_ERROR"
) -> Effect:
    """Answer with an error in the configured style and shape; by default with HTTP 200."""

    def answer(identity: Identity) -> Response:
        return error_response(
            identity.config, int(identity.config.error_style), message, error_code
        )

    return Effect(instead=answer)


def no_rows() -> Effect:
    """Answer with success and no rows, as for an account that may see no one."""

    def remove_all(answer: Response, _: Identity) -> Response:
        content = _content(answer)
        if "data" not in content:
            return answer
        return _with_content(answer, content | {"data": []} | _nothing(content))

    return Effect(after=remove_all)


def rows_missing(count: int = 1) -> Effect:
    """Remove the last rows, and leave the pagination as it is."""

    def remove_last(answer: Response, _: Identity) -> Response:
        content = _content(answer)
        if "data" not in content:
            return answer
        return _with_content(answer, content | {"data": content["data"][: -count or None]})

    return Effect(after=remove_last)


def _nothing(content: dict[str, Any]) -> dict[str, Any]:
    pages = content.get("pagination")
    if not isinstance(pages, dict):
        return {}
    empty: dict[str, Any] = {"total_records": 0, "total_pages": 0, "has_next": False}
    return {"pagination": pages | {name: value for name, value in empty.items() if name in pages}}


def _content(answer: Response) -> dict[str, Any]:
    """Return the JSON object of a success, or an empty one."""
    content = answer.json() if answer.status == 200 else None
    return content if isinstance(content, dict) else {}


def _with_content(answer: Response, content: dict[str, Any]) -> Response:
    return dataclasses.replace(
        answer,
        body=json.dumps(content, ensure_ascii=False).encode(),
        notes={**answer.notes, "rows": len(content["data"])},
    )


FAULTS: dict[str, tuple[str, Callable[..., Effect]]] = {
    "variant": ("F28", variant),
    "refusal": ("F27", refusal),
    "no_rows": ("F28", no_rows),
    "rows_missing": ("F28", rows_missing),
    "total_wrong": ("F28", lambda by=1: variant(total_offset=by)),
    "total_as_text": ("F28", lambda: variant(totals_as_text=True)),
    "total_missing": ("F28", lambda: variant(pagination="absent")),
    "total_drifts": ("F28", lambda by=1: variant(total_drift=by)),
    "limit_capped": ("F28", lambda rows=500: variant(cap=rows)),
    "limit_capped_hidden": ("F28", lambda rows=500: variant(cap=rows, cap_hidden=True)),
    "zero_limit_refused": ("F28", lambda: variant(zero_limit="refused")),
    "past_end_clamped": ("F28", lambda: variant(past_end="clamped")),
    "unstable_order": ("F28", lambda: variant(order="unstable")),
    "duplicate_rows": ("F28", lambda every=10: variant(duplicate_every=every)),
    "differing_duplicates": (
        "F28",
        lambda every=10: variant(duplicate_every=every, duplicates_differ=True),
    ),
    "null_keys": ("F28", lambda every=10: variant(null_key_every=every)),
    "rows_inserted": ("F28", lambda: variant(shift_between_pages="insert")),
    "rows_deleted": ("F28", lambda: variant(shift_between_pages="delete")),
    "rows_updated": ("F28", lambda: variant(shift_between_pages="update")),
    "column_missing": ("F28", lambda column="active_duration": variant(drop_columns=(column,))),
    "column_refused": ("F27", lambda column="active_duration": variant(refuse_columns=(column,))),
    "column_new": (
        "F28",
        lambda column="x_new", value="new": variant(extra_columns={column: value}),
    ),
    "type_flip": (
        "F28",
        lambda column="active_duration", to="garbage": variant(type_flips={column: to}),
    ),
    "not_a_number": ("F28", lambda column="active_percent": variant(type_flips={column: "nan"})),
}
