"""Exceptions raised by this provider, grouped by what to do next.

::

    We360Error (AirflowException)
    ├── We360ConfigError (ValueError)    correct the Connection or an argument     never retried
    ├── ConnectionUnreadable             restore access to the Connection
    ├── We360AuthError
    │   ├── CredentialsRefused           correct the e-mail or the password        never retried
    │   │   └── AccountRefused           have the account enabled or set up        never retried
    │   ├── ClientRefused                correct customer_id, realm or auth_url    never retried
    │   ├── RefreshRejected              handled inside auth: a new login follows
    │   └── AuthUnavailable              the login server is in trouble: wait
    ├── We360ApiError                    report, days, status, request ID as attributes
    │   ├── RetryableApiError            429, 5xx, time-out, gateway page: wait
    │   ├── RequestRejected              the API refused an argument               never retried
    │   └── AccessDenied                 the API refused the account's role        never retried
    ├── We360DataError                   the answer cannot be trusted
    │   ├── PaginationInconsistent       pages of one day never agreed
    │   └── ValueDoesNotFit              column and row number, never the value
    ├── SinkError                        the load failed and was rolled back
    │   ├── EmptyDayRefused              the shrink guard refused to remove rows
    │   ├── SinkBusy                     the target stayed locked by another load
    │   └── WindowOverlaps               a stored sum covers some of these days    never retried
    └── NoDayInInterval                  the interval ends no day: task skipped

A class marked "never retried" inherits from ``AirflowFailException``: Airflow fails the task at
once. Only what a person must change belongs there; everything that can pass by itself is left to
Airflow's retries. No message holds a token, a password, an e-mail or a value of a row.
"""

from __future__ import annotations

from typing import ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from airflow_provider_we360.redaction import foreign_text


class We360Error(AirflowException):
    """Base class of all exceptions of this provider."""

    remedy: ClassVar[str] = "read the message; if it does not help, open an issue that quotes it"
    """What to do, in words that hold for every instance. The message is more specific."""


class We360ConfigError(We360Error, AirflowFailException, ValueError):
    """A Connection field or an argument is wrong. The message names it and what is expected."""

    remedy = "change the field or argument that the message names"


class ConnectionUnreadable(We360Error):
    """The Connection exists or may exist, but Airflow cannot read it from this process."""

    remedy = "restore access to the metadata database or secrets backend, then retry the task"


class We360AuthError(We360Error):
    """No access token is available."""

    remedy = "see the subclasses"


class CredentialsRefused(We360AuthError, AirflowFailException):
    """The login server refused the login (Keycloak ``invalid_grant``).

    The password is wrong, a second factor is required, or the account is locked. Keycloak does
    not say which.
    """

    remedy = (
        "log in with a browser as that account, then correct E-mail and Password of the Connection"
    )


class AccountRefused(CredentialsRefused):
    """The account is disabled or not set up. The password is not at fault."""

    remedy = "have a We360 administrator enable the account, or finish its set-up in a browser"


class ClientRefused(We360AuthError, AirflowFailException):
    """The login server refused the Customer ID, the realm or the grant, not the credentials."""

    remedy = "compare customer_id, realm and auth_url of the Connection with what We360 gave you"


class RefreshRejected(We360AuthError):
    """The refresh token has expired or was revoked (RFC 6749 section 5.2, ``invalid_grant``)."""

    remedy = "none needed: the provider logs in again"


class AuthUnavailable(We360AuthError):
    """The login server did not answer, or its answer holds no token.

    :param retry_after_s: seconds to wait before the next request, if the server named them.
    :param may_have_acted: False if the server cannot have acted on the request, because it never
        arrived or was turned away (429).
    :param status: HTTP status; None if no answer came.
    """

    remedy = "wait; if it persists, run on a worker: python -m airflow_provider_we360 check CONN_ID"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        may_have_acted: bool = True,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.may_have_acted = may_have_acted
        self.status = status

    @property
    def is_puzzling(self) -> bool:
        """Return True for a client error that Keycloak does not document.

        Sending the same request again does not help and could count as another failed login.
        """
        return (
            self.status is not None
            and 400 <= self.status < 500
            and self.status not in (408, 425, 429)
        )


class We360ApiError(We360Error):
    """A data request failed. The facts are attributes; the text repeats them for the log.

    :param reason: what happened, and what to do next.
    :param report: name of the report.
    :param days: the days of the request, e.g. ``2026-04-01``.
    :param status: HTTP status; None if no answer came.
    :param request_id: the server's own ID of the request, if it sent one.
    """

    remedy = "see the subclasses"

    def __init__(
        self,
        reason: str,
        *,
        report: str | None = None,
        days: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.report = report
        self.days = days
        self.status = status
        self.request_id = request_id

    def _facts(self) -> dict[str, object]:
        return {
            "report": self.report,
            "day": self.days,
            "status": self.status,
            "request ID": self.request_id,
        }

    def __str__(self) -> str:
        facts = self._facts()
        known = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.reason} ({known})" if known else self.reason


class RetryableApiError(We360ApiError):
    """A fault that can pass by itself.

    :param retry_after_s: seconds to wait before the next request, if the server named them.
    :param retry_now: False if another try within the task cannot help.
    """

    remedy = "wait; give the task retries"

    def __init__(
        self,
        reason: str,
        *,
        report: str | None = None,
        days: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        retry_now: bool = True,
    ) -> None:
        super().__init__(reason, report=report, days=days, status=status, request_id=request_id)
        self.retry_after_s = retry_after_s
        self.retry_now = retry_now

    def _facts(self) -> dict[str, object]:
        wait = f"{self.retry_after_s:.0f} s" if self.retry_after_s else None
        return super()._facts() | {"retry after": wait}


class RequestRejected(We360ApiError, AirflowFailException):
    """The API refused a column, an ID or a range in its own words. They are part of the text."""

    remedy = "change the column, ID or range that the API's message names"


class AccessDenied(We360ApiError, AirflowFailException):
    """The API refused the account's role this report, in its own words."""

    remedy = "have a We360 administrator give the account's role access to that report"


class We360DataError(We360Error):
    """The server answered, but the answer cannot be trusted: nothing of it was loaded."""

    remedy = "retry the task; if it persists, open an issue with the output of check --probe"


class PaginationInconsistent(We360DataError):
    """The pages of one day never added up to one complete set of rows."""

    remedy = "retry the task; if it persists, schedule the load later in the day"


class ValueDoesNotFit(We360DataError):
    """A value does not match its column's type. Names column and row number, never the value."""

    remedy = "give the column another type with column_types, or leave it out of columns"


class SinkError(We360Error):
    """The load into the target failed and was rolled back: the target is unchanged.

    :ivar driver_error: class of the driver's exception; None if no driver raised one.
    :ivar sqlstate: the SQLSTATE that the database reported.
    :ivar errno: the database's own number of the error.
    """

    driver_error: str | None = None
    sqlstate: str | None = None
    errno: int | None = None

    remedy = "do in the warehouse what the message says"


class EmptyDayRefused(SinkError):
    """A day would lose its rows, or most of them, and ``on_empty`` is ``fail``."""

    remedy = (
        "check the account's role in We360; if the rows are gone for good, "
        "run once with on_empty='replace'"
    )


class SinkBusy(SinkError):
    """Another load held the target for too long."""

    remedy = "wait for the other load; give the loads of one table a pool"


class WindowOverlaps(SinkError, We360ConfigError):
    """A stored sum of another window shares days with this one: they would count twice."""

    remedy = "load the same windows as before, or use another table"


class NoDayInInterval(We360Error, AirflowSkipException):
    """The run's data interval ends no local day. Airflow shows the task as skipped."""

    remedy = "none needed: the run in whose interval the day ends loads it"


def describe_unexpected(error: Exception) -> str:
    """Return words for an exception that is none of ours, without secrets."""
    return (
        f"Unexpected {type(error).__name__}: {foreign_text(error)}; this is a fault of the "
        "provider. Open an issue that quotes this line"
    )
