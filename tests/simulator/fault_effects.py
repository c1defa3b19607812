"""What a fault does: replaces an answer, changes the server before it, or changes the answer."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_we360.sandbox.http import Response

if TYPE_CHECKING:
    from simulator.identity import Identity


@dataclass(frozen=True, slots=True)
class Effect:
    """One of the four, or several.

    :param instead: returns the answer; the request is not carried out.
    :param before: runs first, for example an administrator who ends a session.
    :param variant: fields of ``SimulatorConfig`` for this one request.
    :param after: changes the answer; the request was carried out, and what it committed stays.
    """

    instead: Callable[[Identity], Response] | None = None
    before: Callable[[Identity], None] | None = None
    variant: Mapping[str, Any] = field(default_factory=dict)
    after: Callable[[Response, Identity], Response] | None = None


@dataclass(frozen=True, slots=True)
class SocketFault:
    """A fault of the connection, in the answer's note ``socket_fault``.

    ``reset`` and ``close`` send nothing, ``cut_off`` sends half of the body that the headers
    promise, ``drip`` a few bytes at a time, ``not_http`` bytes that are not HTTP.
    """

    kind: Literal["reset", "close", "cut_off", "drip", "not_http"]
    pause_s: float = 0.05
    chunk: int = 16


def unpack(answer: Response) -> Response:
    """Return the answer without gzip, because most faults change the body's text."""
    if ("Content-Encoding", "gzip") not in answer.headers:
        return answer
    headers = tuple(pair for pair in answer.headers if pair[0] != "Content-Encoding")
    return replace(answer, body=gzip.decompress(answer.body), headers=headers)
