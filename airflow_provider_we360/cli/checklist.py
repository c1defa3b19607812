"""Checklist: steps of a check and how each went, as lines for people and as JSON for scripts."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Outcome(enum.StrEnum):
    """How a step went."""

    OK = "ok"
    WARNING = "warning"
    """It works, but somebody should look at it."""
    FAILED = "FAILED"
    SKIPPED = "skipped"
    """Not tried, because a step before it failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``told`` holds no secret and no value of a row.

    :param seconds: how long it took.
    """

    name: str
    outcome: Outcome
    told: str
    seconds: float = 0.0

    def line(self) -> str:
        """The step for a terminal."""
        took = f" ({self.seconds:.1f} s)" if self.seconds >= 0.05 else ""
        return f"  {self.outcome.value:<8} {self.name:<13} {self.told}{took}"

    def facts(self) -> dict[str, Any]:
        """The step for JSON."""
        return asdict(self) | {
            "outcome": self.outcome.value.lower(),
            "seconds": round(self.seconds, 3),
        }


def has_passed(steps: list[Step]) -> bool:
    """Whether no step failed."""
    return all(step.outcome is not Outcome.FAILED for step in steps)
