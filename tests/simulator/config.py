"""What the sandbox plays. Whatever is not known of the real API or of its Keycloak is a switch here."""

from __future__ import annotations

import datetime as dt
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

LOGIN = "canary.etl@acme-demo.example.com"
PASSWORD = "canary-Passw0rd-7f3a91"
"""Made up, and easy to find: whoever sees either in a log, an XCom or an exception has found a leak."""


@dataclass(frozen=True, slots=True)
class Account:
    """One login of the tenant.

    :param sees: names of the teams whose people its reports hold; None for everybody, an empty tuple for nobody.
    :param refused: None, or why Keycloak refuses it: ``disabled``, ``not_set_up``, ``otp``, ``service_account``.
    """

    login: str = LOGIN
    password: str = PASSWORD
    sees: tuple[str, ...] | None = None
    refused: Literal["disabled", "not_set_up", "otp", "service_account"] | None = None


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
class SimulatorConfig:
    """Everything that can differ. The defaults are the live API's ways where they are known."""

    # the company
    customer_id: str = "acme-demo"
    more_customers: tuple[str, ...] = ()
    """Other clients of the realm; the switches that say how Keycloak treats a client are of all."""
    login: str = LOGIN
    password: str = PASSWORD
    more_accounts: tuple[Account, ...] = ()
    sees: tuple[str, ...] | None = None
    """As in ``Account``, for the first login."""
    employees: int = 50
    seed: int = 360
    timezone: str = "Asia/Kolkata"
    today: dt.date | None = None
    """The local day that it is; None for the clock's."""
    mail_domain: str = "acme-demo.example.com"
    night_rows_on: Literal["start", "end"] = "start"

    # identity: Keycloak
    realm: str = "ind-prod"
    kc_version: str = "26.5"
    access_lifetime_s: int = 36000
    refresh_lifetime_s: int | None = None
    """None: the refresh token has no ``exp`` and ``refresh_expires_in`` is 0."""
    offline: bool = True
    """Offline sessions, as We360's answers show; False for online ones, unless ``offline_access`` is asked for."""
    idle_s: float = 30 * 86400
    session_max_s: float | None = None
    """Greatest age of a session; with it refresh tokens have an ``exp``, and no token outlives its session."""
    rotation: bool = False
    max_reuse: int = 0
    rotation_race: bool = False
    """Keycloak before 26.4.11: refreshes that overlap all win (CVE-2026-1035)."""
    brute_force: BruteForce | None = None
    login_guard: bool | None = None
    """A login while another of that user is in flight is refused; None: where ``brute_force`` is on."""
    login_takes_s: float = 0.0
    refresh_takes_s: float = 0.0
    clock_skew_s: float = 0.0
    """How far the servers' clocks run ahead, in tokens and in the Date header."""
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
    """Added to the total once for each data request answered before."""
    cap: int | None = None
    """No answer holds more rows, and nothing says so but the pagination."""
    cap_hidden: bool = False
    """With ``cap``: the pagination claims that the capped answer was all."""
    default_limit: int = 50
    zero_limit: Literal["all", "refused", "default"] = "all"
    past_end: Literal["empty", "clamped", "refused"] = "empty"
    order: Literal["by_day", "by_person", "shuffled", "unstable"] = "by_day"
    """``unstable``: another order with every request."""
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
    """Known, yet missing from the answer."""
    refuse_columns: tuple[str, ...] = ()
    """No longer known: a validation error."""
    extra_columns: Mapping[str, Any] = field(default_factory=dict)
    """In every row, though nobody asked."""
    type_flips: Mapping[
        str, Literal["number", "text", "boolean", "object", "list", "nan", "negative", "garbage"]
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in _choices().items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}: {getattr(self, name)!r} is none of {', '.join(map(repr, allowed))}"
                )

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> SimulatorConfig:
        """Switches told as JSON: dates as text, ``brute_force`` and each of ``more_accounts`` as an object.

        :raises ValueError: for a switch, or a position of one, that there is not.
        """
        if strange := told.keys() - cls.__dataclass_fields__.keys():
            raise ValueError(f"no such switch: {', '.join(sorted(strange))}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        if isinstance(values.get("today"), str):
            values["today"] = dt.date.fromisoformat(values["today"])
        if isinstance(values.get("brute_force"), Mapping):
            values["brute_force"] = BruteForce(**values["brute_force"])
        values["more_accounts"] = tuple(
            Account(**account) for account in values.get("more_accounts", ())
        )
        return cls(**values)

    def accounts(self) -> dict[str, Account]:
        """All accounts by login, lower case: Keycloak does not tell cases of a login apart."""
        first = Account(self.login, self.password, self.sees)
        return {account.login.lower(): account for account in (first, *self.more_accounts)}

    @property
    def keycloak(self) -> tuple[int, ...]:
        """The version as numbers that compare."""
        return tuple(int(part) for part in self.kc_version.split("."))


@functools.cache
def _choices() -> dict[str, tuple[Any, ...]]:
    """Which positions a switch has, for those that have a list of them."""
    hints = typing.get_type_hints(SimulatorConfig)
    return {
        name: typing.get_args(hint)
        for name, hint in hints.items()
        if typing.get_origin(hint) is Literal
    }
