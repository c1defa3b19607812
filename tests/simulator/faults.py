"""The plan of faults: which request fails, how often, and how; and every fault by name."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from simulator import http_faults, report_faults, token_faults
from simulator.fault_effects import Effect
from simulator.refusals import REFUSALS


@dataclass(frozen=True, slots=True)
class Fault:
    """A named fault: its number, the function that builds its effect, and if it needs a socket."""

    number: str
    make: Callable[..., Effect]
    socket: bool = False


_REFUSAL_NUMBERS = {
    "wrong_password": "F1",
    "locked_for_ever": "F2",
    "account_disabled": "F4",
    "not_set_up": "F5",
    "direct_grants_off": "F6",
    "unknown_client": "F7",
    "confidential_client": "F8",
    "realm_unknown": "F9",
    "realm_disabled": "F9",
    "offline_not_allowed": "F10",
    "refresh_expired": "F11",
    "refresh_garbage": "F12",
    "refresh_of_other_client": "F13",
    "session_expired": "F14",
    "session_gone": "F15",
    "online_session_ended": "F15",
    "reuse_exceeded": "F16",
    "session_detached": "F16",
    "stale_token": "F18",
    "user_disabled": "F19",
    "server_trouble": "F20",
    "no_refresh_token_sent": "F25",
    "revoke_unknown_token": "F25",
}

FAULTS: dict[str, Fault] = {
    **{
        name: Fault(_REFUSAL_NUMBERS.get(name, "P/R"), partial(token_faults.refused, name))
        for name in REFUSALS
    },
    **{name: Fault(number, make) for name, (number, make) in token_faults.FAULTS.items()},
    **{name: Fault(number, make) for name, (number, make) in http_faults.FAULTS.items()},
    **{name: Fault("F23", make, socket=True) for name, make in http_faults.SOCKET_FAULTS.items()},
    **{name: Fault(number, make) for name, (number, make) in report_faults.FAULTS.items()},
}


def make_effect(name: str, args: Mapping[str, Any]) -> Effect:
    """Return the effect of that fault with these arguments.

    :raises ValueError: for an unknown fault or argument.
    """
    if name not in FAULTS:
        raise ValueError(f"fault: {name!r} is no fault; use one of {', '.join(sorted(FAULTS))}")
    known = FAULTS[name]
    try:
        inspect.signature(known.make).bind(**args)
    except TypeError as wrong:
        raise ValueError(f"fault {name}: {wrong}") from None
    return known.make(**args)


KINDS = ("token", "login", "refresh", "logout", "revoke", "report", "any")
"""What a rule may match: ``token`` is login and refresh, ``any`` is every request to We360."""


@dataclass
class Rule:
    """One planned fault.

    :param times: how often; None for always.
    :param after: how many matching requests succeed first.
    :param page: only this page of a report.
    :param day: only reports whose first day this is (``2026-04-01``).
    :param probability: for each matching request, drawn from the plan's seed.
    """

    match: str
    fault: str
    effect: Effect
    times: int | None = 1
    after: int = 0
    page: int | None = None
    day: str | None = None
    probability: float = 1.0
    args: Mapping[str, Any] = field(default_factory=dict)
    played: int = 0

    def fits(self, kind: str, page: object, day: str | None) -> bool:
        kinds = {kind, "any"} | ({"token"} if kind in {"login", "refresh"} else set())
        return (
            self.match in kinds
            and (self.page is None or self.page == page)
            and (self.day is None or (day or "").startswith(self.day))
            and (self.times is None or self.played < self.times)
        )


class FaultPlan:
    """All rules in their order. The first that matches a request is played."""

    def __init__(self, seed: int = 0) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._rng = random.Random(seed)

    def add(
        self,
        match: str,
        fault: str,
        *,
        times: int | Literal["always"] | None = 1,
        after: int = 0,
        page: int | None = None,
        day: str | None = None,
        probability: float = 1.0,
        **args: Any,
    ) -> Rule:
        """Add a rule. ``args`` are those of the fault, such as ``retry_after="2"``.

        :param times: how often; None or ``always`` for always.
        :raises ValueError: for an unknown fault, kind of request or argument.
        """
        if match not in KINDS:
            raise ValueError(
                f"match: {match!r} is no kind of request; use one of {', '.join(KINDS)}"
            )
        rule = Rule(
            match,
            fault,
            make_effect(fault, args),
            None if times == "always" else times,
            after,
            page,
            day,
            probability,
            args,
        )
        with self._lock:
            self._rules.append(rule)
        return rule

    def load(self, plan: object) -> None:
        """Add the rules of a JSON list: ``[{"match": "report", "fault": "http_503", "times": 1}]``.

        Arguments of the fault are further keys, or in ``args``.

        :raises ValueError: as ``add``; then no rule of the list is added.
        """
        if not isinstance(plan, list) or not all(isinstance(rule, Mapping) for rule in plan):
            raise ValueError("a plan of faults is a list of objects, each with match and fault")
        kept = list(self._rules)
        try:
            for rule in plan:
                self._load_one(dict(rule))
        except ValueError:
            self._rules = kept
            raise

    def _load_one(self, rule: dict[str, Any]) -> None:
        if not {"match", "fault"} <= rule.keys():
            raise ValueError("a rule needs match and fault")
        args = rule.pop("args", {})
        self.add(rule.pop("match"), rule.pop("fault"), **rule, **args)

    def take(self, kind: str, *, page: object = None, day: str | None = None) -> Rule | None:
        """Return the rule that this request matches, and count it as played."""
        with self._lock:
            for rule in self._rules:
                if not rule.fits(kind, page, day):
                    continue
                if rule.after > 0:
                    rule.after -= 1
                    continue
                if rule.probability < 1 and self._rng.random() >= rule.probability:
                    continue
                rule.played += 1
                return rule
        return None

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> list[str]:
        """Faults that were not yet played as often as planned."""
        with self._lock:
            return [
                rule.fault
                for rule in self._rules
                if rule.times is not None and rule.played < rule.times
            ]

    def as_json(self) -> list[dict[str, Any]]:
        """Return all rules for JSON."""
        with self._lock:
            return [
                {
                    "match": r.match,
                    "fault": r.fault,
                    "times": r.times,
                    "after": r.after,
                    "played": r.played,
                    **r.args,
                }
                for r in self._rules
            ]
