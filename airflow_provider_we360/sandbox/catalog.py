"""Every fault by name, with its number in the project's fault list (F1 to F29; F30 is a fault of the store, not of We360)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_we360.sandbox import http_faults, report_faults, token_faults
from airflow_provider_we360.sandbox.effects import Effect
from airflow_provider_we360.sandbox.refusals import REFUSALS


@dataclass(frozen=True, slots=True)
class Fault:
    """A named fault: its number, what makes its effect, and whether only a server can play it."""

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

CATALOG: dict[str, Fault] = {
    **{
        name: Fault(_REFUSAL_NUMBERS.get(name, "P/R"), partial(token_faults.refused, name))
        for name in REFUSALS
    },
    **{name: Fault(number, make) for name, (number, make) in token_faults.FAULTS.items()},
    **{name: Fault(number, make) for name, (number, make) in http_faults.FAULTS.items()},
    **{name: Fault("F23", make, socket=True) for name, make in http_faults.WIRE_FAULTS.items()},
    **{name: Fault(number, make) for name, (number, make) in report_faults.FAULTS.items()},
}


def make(name: str, args: Mapping[str, Any]) -> Effect:
    """The effect of that fault with these arguments.

    :raises ValueError: where there is no such fault, or it takes no such argument.
    """
    if name not in CATALOG:
        raise ValueError(f"fault: {name!r} is no fault; use one of {', '.join(sorted(CATALOG))}")
    known = CATALOG[name]
    try:
        inspect.signature(known.make).bind(**args)
    except TypeError as wrong:
        raise ValueError(f"fault {name}: {wrong}") from None
    return known.make(**args)
