"""Lockout protection: how often a password is sent while it brings no token.

A login server counts failed logins and locks the account. So every password grant counts as
failed until a token proves otherwise: it is counted *before* it is sent, whatever the answer is,
and even if the process is killed. Only a request that reached no server is taken back.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from airflow_provider_we360.auth.token_store import Entry, EntryUnreadable
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import (
    AccountRefused,
    AuthUnavailable,
    ClientRefused,
    CredentialsRefused,
    We360AuthError,
)
from airflow_provider_we360.types import Clock

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
SECOND_GRANT_AFTER_S = 90.0
UNCLEAR_AFTER_S = (0.0, 90.0, HOUR_S, 3 * HOUR_S, 5.5 * HOUR_S, 12 * HOUR_S)
"""Times of grants whose answers are no refusal in Keycloak's words, counted from the first: six
in 24 hours. Keycloak locks after 30 failures in 12 hours by default, strict tenants after 5; at
most 5 of these fall into 12 hours."""
MOST_GRANTS = 6
WITHIN_S = 12 * HOUR_S
"""At most six failed grants in twelve hours for one account, whatever the credentials."""
BELIEVED_FOR_S = DAY_S + HOUR_S
"""A suspension that ends later than this was written by a wrong clock."""
# The Variable must not grow without bound if someone tries many passwords.
MOST_CREDENTIALS = 16
WRITE_TRIES = 3
VERSION = 2

Kind = Literal["credentials", "account", "client", "unclear", "pending"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Grants of one set of credentials that brought no token.

    :param kind: ``credentials`` (wrong password, or locked), ``account`` (disabled, not set up),
        ``client`` (configuration), ``unclear`` (any other answer, or none) or ``pending`` (sent;
        the answer is not in yet, or its task was killed).
    :param count: how many in a row.
    :param since: when the first was sent, in seconds since the epoch.
    :param until: when the next may be sent.
    :param reason: what to do about it.
    """

    kind: Kind
    count: int
    since: float
    until: float
    reason: str

    @property
    def awaits_second_grant(self) -> bool:
        """True between the two first grants: the holder of the lease waits and sends the second.

        Keycloak refuses a right password while another login of the account is in progress.
        """
        return (
            self.kind == "credentials" and self.count == 1 and self.until - self.since < HOUR_S / 2
        )


@dataclass(frozen=True, slots=True)
class LockoutState:
    """What all tasks of an account know about failed logins. Holds no secret.

    :param refusals: by mark of the credentials, see :func:`mark_credentials`.
    :param grants: when the failed grants of the account were sent, all credentials together.
    :param not_before: no grant before this moment, whatever the credentials.
    :param reason: why.
    """

    salt: str = field(default_factory=lambda: os.urandom(16).hex())
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    grants: tuple[float, ...] = ()
    not_before: float = 0.0
    reason: str = ""

    @property
    def ends_at(self) -> float:
        """When the state no longer matters."""
        ends = [refusal.until for refusal in self.refusals.values()]
        return max([self.not_before, *ends, *(sent + WITHIN_S for sent in self.grants)])


def encode_state(state: LockoutState) -> str:
    """Return the state as JSON. ``not_before`` stays readable for every version of this format."""
    ends = [refusal.until for refusal in state.refusals.values()]
    return json.dumps(
        {
            "v": VERSION,
            "not_before": max([state.not_before, *ends]),
            "expires_at": state.ends_at,
            "state": asdict(state),
        }
    )


def decode_state(text: str) -> LockoutState:
    """Return the state in the text.

    Entries of other versions suspend all logins until the moment that they show.

    :raises ValueError: the text has no known form.
    """
    try:
        outer = json.loads(text)
        if outer["v"] != VERSION:
            # Version 1 encrypted everything but its end.
            shown = outer["not_before"] if "not_before" in outer else outer["expires_at"]
            reason = "another version of this provider suspended the logins of this account"
            return LockoutState(not_before=float(shown), reason=reason)
        fields: dict[str, Any] = outer["state"]
        return LockoutState(
            salt=str(bytes.fromhex(fields["salt"]).hex()),
            refusals={
                str(mark): Refusal(
                    kind=_known_kind(one["kind"]),
                    count=int(one["count"]),
                    since=float(one["since"]),
                    until=float(one["until"]),
                    reason=str(one["reason"]),
                )
                for mark, one in fields["refusals"].items()
            },
            grants=tuple(float(sent) for sent in fields["grants"]),
            not_before=float(fields["not_before"]),
            reason=str(fields["reason"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError("the text is not a lockout state") from None


def mark_credentials(settings: We360Settings, salt: str) -> str:
    """Return a mark that differs between credentials without revealing them.

    The mark is readable in the Variable. It is a slow hash, cut to 20 bits: a guessed
    password cannot be confirmed, because one in a million of all passwords has that mark.
    """
    secret = f"{settings.password}\0{settings.customer_id}".encode()
    digest = hashlib.scrypt(secret, salt=bytes.fromhex(salt), n=2**10, r=8, p=1)
    return digest.hex()[:5]


class Lockout:
    """Counts password grants of one account, and refuses those that could lock it.

    :param entry: where all tasks of the account share the state.
    :param sends_twice: False if a person waits for the answer: then a refused login is reported
        at once.
    """

    def __init__(
        self,
        entry: Entry[LockoutState],
        settings: We360Settings,
        clock: Clock,
        *,
        sends_twice: bool = True,
    ) -> None:
        self._entry = entry
        self._settings = settings
        self._clock = clock
        self._sends_twice = sends_twice
        self._marks: dict[str, str] = {}
        self._local: LockoutState | None = None
        """What the store could not keep."""
        self._state: LockoutState | None = None
        """As the last check read it."""
        self._before: LockoutState | None = None
        self._may_send_twice = False
        self.awaits_second_grant = False
        """True after :meth:`record` if this process may send the second of two grants."""

    def check(self, *, is_waiting: bool = False) -> float:
        """Return the seconds to wait before a grant: 0, or up to 90 for the second of two.

        :param is_waiting: True if another task may be sending a grant at this moment.
        :raises CredentialsRefused: logins are suspended because the credentials were refused.
        :raises AccountRefused: likewise, the account.
        :raises ClientRefused: likewise, the configuration.
        :raises AuthUnavailable: likewise for other reasons, or the state cannot be read.
        """
        self._state = state = self._read()
        now = self._clock()
        # Before the credentials are looked at: this suspension holds for all of them.
        if now < state.not_before:
            raise self._error(AuthUnavailable, state.reason, state.not_before, is_for_all=True)
        refusal = self._find_refusal(state)
        if refusal is not None and now < refusal.until:
            if refusal.awaits_second_grant:
                return min(refusal.until - now, SECOND_GRANT_AFTER_S)
            # The lease's holder sends it right now; whether it counts is known when it ends.
            if is_waiting and refusal.kind == "pending":
                return 0.0
            raise self._error(_ERRORS[refusal.kind], refusal.reason, refusal.until)
        # Times in the future come from a wrong clock and would suspend logins for longer than they
        # may.
        recent = sorted(sent for sent in state.grants if -BELIEVED_FOR_S < now - sent < WITHIN_S)
        if len(recent) >= MOST_GRANTS and not (
            is_waiting and refusal and refusal.kind == "pending"
        ):
            kinds = {one.kind for one in state.refusals.values()}
            raise self._error(
                CredentialsRefused if "credentials" in kinds else AuthUnavailable,
                f"{len(recent)} logins of this account failed within 12 hours, with the present "
                "or with other credentials",
                # When that one is 12 hours old, fewer than six are left.
                recent[-MOST_GRANTS] + WITHIN_S,
                is_for_all=True,
            )
        return 0.0

    def is_suspended(self) -> bool:
        """Return whether no grant may be sent now. An unreadable state does not count as one."""
        try:
            return self.check(is_waiting=True) > 0
        except We360AuthError as error:
            # Only used to decide whether to renew early. If the store does not answer, the renewal
            # decides.
            return not isinstance(error.__cause__, Exception)

    def count_grant(self, *, alone: bool) -> None:
        """Count a grant as failed, before it is sent and right after :meth:`check`.

        :param alone: True if no other task can know of this one.
        """
        self._before = state = self._state or self._read()
        now, mark = self._clock(), self._mark(state.salt)
        previous = state.refusals.get(mark)
        # A day without a grant ends the series: the servers that count have forgotten it by then.
        if previous and previous.kind in ("unclear", "pending") and now - previous.until > DAY_S:
            previous = None
        others = [one for other, one in state.refusals.items() if other != mark]
        count = previous.count + 1 if previous else 1
        since = previous.since if previous else now
        # A worker that is killed now leaves this: one sibling may try at once, and then no more.
        pending = Refusal(
            "pending",
            count,
            since,
            now if count == 1 else _next_grant("pending", count, since, now),
            "a login was sent, and its task ended before the answer was in",
        )
        grants = (*(sent for sent in state.grants if now - DAY_S < sent), now)
        is_shared = self._write(_with_refusal(replace(state, grants=grants), mark, pending))
        # One grant is enough for a changed password that follows a refused one: three mistyped
        # passwords must not use up the six grants that an account has.
        self._may_send_twice = self._sends_twice and is_shared and not (alone or others)

    def take_back(self) -> None:
        """Undo :meth:`count_grant`: the request reached no server."""
        if self._before is None:
            return
        if self._before.refusals or self._before.grants:
            self._write(self._before)
        else:
            self.lift()

    def record(self, error: We360AuthError, pause: Callable[[], None]) -> We360AuthError:
        """Replace the counted grant by what the server answered. Return the error to raise.

        :param pause: waits between tries of the write.
        """
        # Read again: another task may have written while the request was under way.
        state, now = self._read(), self._clock()
        mark = self._mark(state.salt)
        counted = state.refusals.get(mark)
        count, since = (counted.count, counted.since) if counted else (1, now)
        kind = _kind_of(error)
        until = _next_grant(kind, count, since, now)
        if kind == "credentials" and count == 1 and not self._may_send_twice:
            until = now + HOUR_S
        if retry_after_s := getattr(error, "retry_after_s", None):
            until = max(until, now + min(retry_after_s, DAY_S))
        refusal = Refusal(kind, count, since, until, str(error))
        self.awaits_second_grant = refusal.awaits_second_grant
        state = _with_refusal(state, mark, refusal)
        # If this write is lost, every other task sends the refused password once more.
        for _ in range(WRITE_TRIES):
            if self._write(state) or self._local is None or self._entry.refuses:
                break
            pause()
        return self._error(type(error), str(error), until) if self._sends_twice else error

    def suspend(self, seconds: float, reason: str) -> None:
        """Suspend all logins for some time, as the server requested (Retry-After)."""
        until = self._clock() + min(seconds, DAY_S)
        self._write(replace(self._read(), not_before=until, reason=reason))

    def lift(self) -> None:
        """Remove all refusals of the account after a login that succeeded.

        Keycloak resets its own count then, too.
        """
        self._local = self._before = self._state = None
        self._entry.delete()

    def _read(self) -> LockoutState:
        """Return the state of the store and of this process, whichever says more.

        :raises AuthUnavailable: the store does not answer. No grant may be sent then.
        """
        now = self._clock()
        try:
            stored = self._entry.read(strict=True)
        except EntryUnreadable as error:
            if not error.is_damaged:
                raise AuthUnavailable(
                    f"{error}; no password is sent while it is unknown whether logins are "
                    "suspended. Airflow's retries try again"
                ) from error
            # Replaced by one that can be read, so that the suspension ends by itself in a day.
            reason = f"{error}, so that it is unknown how often the password was sent"
            stored = LockoutState(not_before=now + DAY_S, reason=reason)
            self._write(stored)
        # A store that lost the entry must not make this process forget it.
        known = [state for state in (stored, self._local) if state is not None]
        state = max(known, key=lambda one: (len(one.grants), one.ends_at), default=LockoutState())
        corrected = _without_wrong_clocks(state, now)
        if corrected != state:
            self._write(corrected)
        return corrected

    def _write(self, state: LockoutState) -> bool:
        is_kept = self._entry.write(state)
        self._local = None if is_kept else state
        return is_kept and self._entry.is_shared

    def _find_refusal(self, state: LockoutState) -> Refusal | None:
        return state.refusals.get(self._mark(state.salt)) if state.refusals else None

    def _mark(self, salt: str) -> str:
        # The hash is slow on purpose, and needed several times for one login.
        if salt not in self._marks:
            self._marks[salt] = mark_credentials(self._settings, salt)
        return self._marks[salt]

    def _error(
        self, kind: type[We360AuthError], reason: str, until: float, *, is_for_all: bool = False
    ) -> We360AuthError:
        end = dt.datetime.fromtimestamp(until, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
        name = None if self._local is not None else self._entry.name
        text = f"{reason}. Logins are suspended until {end} to avoid locking the account"
        if name is None:
            text += "; other processes do not know of it"
        elif is_for_all:
            text += f". Deleting the {name} allows the next login at once"
        else:
            text += (
                f". Updating the Connection or deleting the {name} allows the next login at once"
            )
        error = kind(text)
        if isinstance(error, AuthUnavailable):
            # Airflow's retry policy waits for this long, instead of failing at once again.
            error.retry_after_s = max(0.0, until - self._clock())
        return error


_ERRORS: dict[Kind, type[We360AuthError]] = {
    "credentials": CredentialsRefused,
    "account": AccountRefused,
    "client": ClientRefused,
    "unclear": AuthUnavailable,
    "pending": AuthUnavailable,
}


def _kind_of(error: We360AuthError) -> Kind:
    # AccountRefused is a CredentialsRefused: the order matters.
    if isinstance(error, AccountRefused):
        return "account"
    if isinstance(error, CredentialsRefused):
        return "credentials"
    return "client" if isinstance(error, ClientRefused) else "unclear"


def _known_kind(kind: object) -> Kind:
    return next((known for known in _ERRORS if known == kind), "unclear")


def _next_grant(kind: Kind, count: int, since: float, now: float) -> float:
    """Return when the grant after this one may be sent."""
    if kind in ("unclear", "pending"):
        if count < len(UNCLEAR_AFTER_S):
            return max(since + UNCLEAR_AFTER_S[count], now + SECOND_GRANT_AFTER_S)
        return now + 12 * HOUR_S
    if kind == "credentials":
        return now + {1: SECOND_GRANT_AFTER_S, 2: HOUR_S}.get(count, 12 * HOUR_S)
    return now + (HOUR_S if count <= 2 else 12 * HOUR_S)


def _with_refusal(state: LockoutState, mark: str, refusal: Refusal) -> LockoutState:
    """Return the state with this refusal; the oldest go if there are too many credentials."""
    known = {key: one for key, one in state.refusals.items() if key != mark}
    newest = sorted(known.items(), key=lambda item: item[1].until)[-(MOST_CREDENTIALS - 1) :]
    return replace(state, refusals=dict(newest) | {mark: refusal})


def _without_wrong_clocks(state: LockoutState, now: float) -> LockoutState:
    """Return the state with ends that no right clock wrote cut to 12 hours from now."""
    # One worker with a clock a year ahead must not suspend logins for a year.
    latest = now + BELIEVED_FOR_S
    refusals = {
        mark: replace(one, until=now + 12 * HOUR_S) if one.until > latest else one
        for mark, one in state.refusals.items()
    }
    not_before = now + 12 * HOUR_S if state.not_before > latest else state.not_before
    return replace(state, refusals=refusals, not_before=not_before)
