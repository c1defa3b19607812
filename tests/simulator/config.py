"""What the simulator plays. Each thing that is not known of the real API or Keycloak is a field."""

from __future__ import annotations

import datetime as dt
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_we360.sandbox.config import LOGIN, PASSWORD, Account, SandboxConfig

__all__ = ["LOGIN", "PASSWORD", "Account", "BruteForce", "SimulatorConfig"]


@dataclass(frozen=True, slots=True)
class BruteForce:
    """Keycloak's brute-force detection with its defaults. Times in seconds but ``quick_ms``."""

    failure_factor: int = 30
    wait_increment_s: float = 60
    max_wait_s: float = 900
    reset_s: float = 43200
    quick_ms: float = 1000
    quick_wait_s: float = 60
    permanent: bool = False


@dataclass(frozen=True)
class SimulatorConfig(SandboxConfig):
    """Everything that can differ. The defaults are the live API's ways as far as they are known."""

    more_customers: tuple[str, ...] = ()
    """Other clients of the realm. How Keycloak treats a client applies to all of them."""
    more_accounts: tuple[Account, ...] = ()
    night_rows_on: Literal["start", "end"] = "start"

    # login server: Keycloak
    kc_version: str = "26.5"
    refresh_lifetime_s: int | None = None
    """None: the refresh token has no ``exp`` and ``refresh_expires_in`` is 0."""
    offline: bool = True
    """Offline sessions, as in We360's answers; False: only if the scope has ``offline_access``."""
    idle_s: float = 30 * 86400
    session_max_s: float | None = None
    """Maximum age of a session. If set, refresh tokens expire and no token outlives its session."""
    rotation: bool = False
    max_reuse: int = 0
    rotation_race: bool = False
    """Keycloak before 26.4.11: all overlapping refreshes succeed (CVE-2026-1035)."""
    brute_force: BruteForce | None = None
    login_guard: bool | None = None
    """Refuse a login while another of that user is in flight; None: if ``brute_force`` is on."""
    login_takes_s: float = 0.0
    refresh_takes_s: float = 0.0
    clock_skew_s: float = 0.0
    """How far the servers' clocks are ahead, in tokens and in the Date header."""
    direct_grants: bool = True
    confidential_client: bool = False
    consent_required: bool = False
    offline_allowed: bool = True
    """Whether the accounts have the role that offline sessions need."""
    realm_enabled: bool = True

    # API
    api_checks_session: bool = True
    """False: the API looks only at the token's signature and ``exp``."""
    tenant_header: Literal["optional", "required", "ignored"] = "optional"
    error_style: Literal["200", "400", "422"] = "200"
    error_body: Literal["json", "detail", "plain", "html"] = "json"
    pagination: Literal[
        "full", "has_next", "total_pages", "camel", "short", "top_level", "absent", "null"
    ] = "full"
    meta: bool = False
    totals_as_text: bool = False
    total_offset: int = 0
    total_drift: int = 0
    """Added to the total once for each data request that was answered before."""
    cap: int | None = None
    """Maximum of rows in an answer. Only the pagination reveals it."""
    cap_hidden: bool = False
    """With ``cap``: the pagination claims that the truncated answer is complete."""
    default_limit: int = 50
    zero_limit: Literal["all", "refused", "default"] = "all"
    past_end: Literal["empty", "clamped", "refused"] = "empty"
    order: Literal["by_day", "by_person", "shuffled", "unstable"] = "by_day"
    """``unstable``: another order for each request."""
    shift_between_pages: Literal["none", "insert", "delete", "update"] = "none"
    duplicate_every: int = 0
    duplicates_differ: bool = False
    null_key_every: int = 0
    max_days: int | None = None
    compress: bool = False

    # values on the wire
    durations: Literal["h_mm_ss", "mm_ss", "seconds", "seconds_text", "mixed"] = "h_mm_ss"
    numbers: Literal["number", "text", "mixed"] = "mixed"
    punches: Literal["blank", "t", "offset", "mixed"] = "blank"
    nothing: Literal["-", "\N{EN DASH}", "\N{EM DASH}", "null", "empty", "absent", "mixed"] = "-"
    drop_columns: tuple[str, ...] = ()
    """Accepted in a request, missing from the answer."""
    refuse_columns: tuple[str, ...] = ()
    """Refused with a validation error."""
    extra_columns: Mapping[str, Any] = field(default_factory=dict)
    """Added to every row without a request."""
    type_flips: Mapping[
        str, Literal["number", "text", "boolean", "object", "list", "nan", "negative", "garbage"]
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in _choices().items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is not one of {', '.join(map(repr, allowed))}"
                )

    @classmethod
    def from_json(cls, switches: Mapping[str, Any]) -> SimulatorConfig:
        """Return the configuration of a JSON object: dates as text, accounts as objects.

        :raises ValueError: for an unknown field or value.
        """
        if unknown := switches.keys() - cls.__dataclass_fields__.keys():
            raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in switches.items()
        }
        if isinstance(values.get("today"), str):
            values["today"] = dt.date.fromisoformat(values["today"])
        if isinstance(values.get("brute_force"), Mapping):
            values["brute_force"] = BruteForce(**values["brute_force"])
        values["more_accounts"] = tuple(
            Account(**account) for account in values.get("more_accounts", ())
        )
        return cls(**values)

    @property
    def keycloak(self) -> tuple[int, ...]:
        """The version as numbers that can be compared."""
        return tuple(int(part) for part in self.kc_version.split("."))


@functools.cache
def _choices() -> dict[str, tuple[Any, ...]]:
    """Return the values that each field with a closed list accepts."""
    hints = typing.get_type_hints(SimulatorConfig)
    return {
        name: typing.get_args(hint)
        for name, hint in hints.items()
        if typing.get_origin(hint) is Literal
    }
