"""Block: the account was refused, and asking again could lock a person out. All tasks of the deployment mind it.

The rhythm: two password grants 90 s apart, for Keycloak answers "Invalid user credentials" also to a right password while
another login of that account is in flight. Then one probe after an hour, then one every twelve hours. A login whose answer got
lost may have been counted as a failed one, too: then the pauses are shorter, and end at an hour.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    We360AuthError,
)

SECOND_TRY_AFTER_S = 90.0
FIRST_PROBE_AFTER_S = 3600.0
NEXT_PROBE_AFTER_S = 12 * 3600.0
BELIEVED_FOR_S = 13 * 3600.0
"""An end further off than this was written by a clock that is wrong."""

UNANSWERED_AFTER_S = (90.0, 300.0, 3600.0)

Kind = Literal["credentials", "account", "client", "unanswered"]
_ERRORS: dict[Kind, type[We360AuthError]] = {
    "unanswered": AuthUnavailable,
    "credentials": CredentialsRefused,
    "account": AccountRefused,
    "client": ClientRefused,
}


@dataclass(frozen=True, slots=True)
class Block:
    """A refusal.

    :param kind: ``credentials`` (password wrong, or locked), ``account`` (disabled, not set up), ``client`` (configuration) or
        ``unanswered`` (the server may have judged the login; nobody knows).
    :param refused: how many grants were refused in a row.
    :param until: when the next grant may be sent; seconds since the epoch.
    :param reason: what to do about it, in our own words.
    """

    kind: Kind
    refused: int
    until: float
    reason: str

    def is_in_force(self, now: float) -> bool:
        """True while no grant may be sent."""
        return now < self.until

    @property
    def is_first_try(self) -> bool:
        """True between the two grants of the beginning: who holds the lease waits for the second, nobody fails yet."""
        return self.kind == "credentials" and self.refused == 1

    def error(self, where: str | None) -> We360AuthError:
        """The error that tells a person what to do.

        :param where: name of the entry that tells other tasks; None where only this process knows.
        """
        end = dt.datetime.fromtimestamp(self.until, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        who, lift = "This process asks no more", ""
        if where:
            who = "No task asks again"
            lift = f" A changed Connection is tried at once; if the trouble was elsewhere, delete the {where} to be tried at once."
        return _ERRORS[self.kind](
            f"{self.reason}. {who} before {end}, lest the account be locked.{lift}"
        )


def after_refusal(
    error: We360AuthError, previous: Block | None, now: float, *, asks_again: bool = True
) -> Block:
    """The block that follows a refused grant.

    :param asks_again: False where the first grant is the last of its beginning, too.
    """
    kind: Kind = "unanswered" if isinstance(error, AuthUnavailable) else "client"
    if isinstance(error, CredentialsRefused):
        kind = "account" if isinstance(error, AccountRefused) else "credentials"
    refused = previous.refused + 1 if previous is not None and previous.kind == kind else 1
    if kind == "credentials":
        refused = max(refused, 1 if asks_again else 2)
        wait_s = {1: SECOND_TRY_AFTER_S, 2: FIRST_PROBE_AFTER_S}.get(refused, NEXT_PROBE_AFTER_S)
    elif kind == "unanswered":
        wait_s = UNANSWERED_AFTER_S[min(refused, len(UNANSWERED_AFTER_S)) - 1]
    else:
        wait_s = FIRST_PROBE_AFTER_S if refused == 1 else NEXT_PROBE_AFTER_S
    return Block(kind, refused, now + wait_s, str(error))
