"""What a fault does to a request: answers in its place, changes the world before it, or changes its answer after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.http import Answer

if TYPE_CHECKING:
    from simulator.identity import Identity


@dataclass(frozen=True, slots=True)
class Effect:
    """One of the four, or several.

    :param instead: the answer; the request is not carried out.
    :param before: something that happens first, such as an administrator ending a session.
    :param variant: switches of ``SimulatorConfig`` for this one request.
    :param after: the answer, changed; the request was carried out, and what it committed stays.
    """

    instead: Callable[[Identity], Answer] | None = None
    before: Callable[[Identity], None] | None = None
    variant: Mapping[str, Any] = field(default_factory=dict)
    after: Callable[[Answer, Identity], Answer] | None = None
