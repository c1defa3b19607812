"""Every error this provider raises on purpose, grouped by what the reader should do next.

::

    We360Error
    ├── We360ConfigError (ValueError)    fix the Connection or an argument         never retried
    ├── We360AuthError
    │   ├── CredentialsRefused           fix Login or Password                     never retried
    │   │   └── AccountRefused           have the account enabled or set up        never retried
    │   ├── ClientRefused                fix customer_id, realm or auth_url        never retried
    │   ├── RefreshRejected              log in again (handled inside ``auth``)
    │   └── AuthUnavailable              the token endpoint is in trouble: wait
    ├── We360ApiError                    report, slice, status and request id as attributes
    │   ├── RetryableApiError            429, 5xx, time-outs, half an answer: wait
    │   ├── RequestRejected              the server refused what was asked         never retried
    │   └── AccessDenied                 the account's role or scope               never retried
    ├── We360DataError                   the answer cannot be trusted
    │   ├── PaginationInconsistent       pages of one slice never agreed
    │   └── ValueDoesNotFit              column and row number, never the value
    ├── SinkError                        the load failed and was rolled back
    │   ├── EmptyDayRefused              on_empty="fail" and rows would vanish
    │   ├── SinkBusy                     the target stayed locked by another load
    │   └── WindowOverlaps               a sum over days that another sum holds    never retried
    └── NoDayInInterval                  nothing to do: the interval holds no day's end

The tree knows nothing of Airflow. ``hooks.failures`` turns the never-retried ones into
``AirflowFailException``. No message holds a token, a password, an e-mail or a row's value.
"""

from __future__ import annotations

import re
from typing import ClassVar

_EMAIL = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_TOKEN = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)*|\b[\w-]{40,}\b")
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def foreign_text(text: object, limit: int = 300) -> str:
    """Text of another party, made fit to be shown: one line, cut to ``limit`` characters, e-mails and tokens blanked."""
    line = _NOT_PRINTABLE.sub(" ", str(text)).strip()
    line = _TOKEN.sub("<hidden>", _EMAIL.sub("<e-mail>", line))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


class We360Error(Exception):
    """Root of all errors of this provider."""

    remedy: ClassVar[str] = "read the message; if it does not help, open an issue with it"
    """What to do, in words that hold for every case; the message knows more."""

    never_retry: ClassVar[bool] = False
    """True where another try cannot help, or could lock a person out of their account."""


class We360ConfigError(We360Error, ValueError):
    """A Connection field or an argument is wrong. The message names it and says what is expected."""

    remedy = "change the field or argument that the message names"
    never_retry = True


class We360AuthError(We360Error):
    """No token could be had."""

    remedy = "as its kinds say"


class CredentialsRefused(We360AuthError):
    """The login was refused (Keycloak ``invalid_grant``): wrong password, second factor, or locked; it never says which."""

    remedy = "log in with a browser as that account, then put e-mail and password of the Connection right"
    never_retry = True


class AccountRefused(CredentialsRefused):
    """The account is disabled or not set up. The password was not at fault."""

    remedy = "have a We360 administrator enable the account, or finish its set-up in a browser"


class ClientRefused(We360AuthError):
    """The server refused the Customer ID, the realm or the grant itself: configuration, not credentials."""

    remedy = "compare customer_id, realm and auth_url of the Connection with what We360 gave you"
    never_retry = True


class RefreshRejected(We360AuthError):
    """The refresh token is dead (RFC 6749 section 5.2, ``invalid_grant``). The manager logs in again."""

    remedy = "nothing: the next login is made by itself"


class AuthUnavailable(We360AuthError):
    """The token endpoint did not answer, or not with a token.

    :param retry_after_s: seconds after which the server wants to be asked again, where it said so.
    :param may_have_acted: False where the server cannot have acted on the request: it never arrived, or was turned away (429).
    :param status: HTTP status, or None where no answer came.
    """

    remedy = "wait; if it stays, check the Connection from a worker: python -m airflow_provider_we360 check CONN_ID"

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
        """True for a client error in no words of Keycloak's: asking again at once would not help, and could harm."""
        return (
            self.status is not None
            and 400 <= self.status < 500
            and self.status not in (408, 425, 429)
        )

    @property
    def may_have_counted(self) -> bool:
        """True where the server may have judged a login, and counted it as a failed one: no answer came, or one of trouble
        inside. A gateway in trouble, or a page that stands in its place, has judged none.
        """
        return self.may_have_acted and (self.status in (None, 500) or self.is_puzzling)


class We360ApiError(We360Error):
    """A data request failed. Facts are attributes; the text repeats them for the log.

    :param reason: what happened, and what to do next.
    :param report: name of the report.
    :param slice_name: the slice asked for, e.g. ``2026-04-01``.
    :param status: HTTP status, or None where no answer came.
    :param request_id: the server's own id of the request, if it sent one.
    """

    remedy = "as its kinds say"

    def __init__(
        self,
        reason: str,
        *,
        report: str | None = None,
        slice_name: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.report = report
        self.slice_name = slice_name
        self.status = status
        self.request_id = request_id

    def _facts(self) -> dict[str, object]:
        return {
            "report": self.report,
            "slice": self.slice_name,
            "status": self.status,
            "request id": self.request_id,
        }

    def __str__(self) -> str:
        facts = self._facts()
        known = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.reason} ({known})" if known else self.reason


class RetryableApiError(We360ApiError):
    """A passing fault. ``retry_after_s`` holds the server's own wish, in seconds."""

    remedy = "wait; give the task retries"

    def __init__(
        self,
        reason: str,
        *,
        report: str | None = None,
        slice_name: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            reason, report=report, slice_name=slice_name, status=status, request_id=request_id
        )
        self.retry_after_s = retry_after_s

    def _facts(self) -> dict[str, object]:
        asked = f"{self.retry_after_s:.0f} s" if self.retry_after_s else None
        return super()._facts() | {"retry after": asked}


class RequestRejected(We360ApiError):
    """The server understood and said no: a column, an id, a range. Its message is part of the text."""

    remedy = "change the column, id or range that the server's words name"
    never_retry = True


class AccessDenied(We360ApiError):
    """The account may not read this report (HTTP 403), or its token is refused even when new (HTTP 401)."""

    remedy = "have a We360 administrator give the account's role that report"
    never_retry = True


class We360DataError(We360Error):
    """The server answered, but the answer cannot be trusted: nothing of it was loaded."""

    remedy = (
        "let Airflow try again; if it stays, open an issue with the fingerprint of check --probe"
    )


class PaginationInconsistent(We360DataError):
    """The pages of one slice never added up to one whole set of rows."""

    remedy = "let Airflow try again; if it stays, schedule the load later in the day"


class ValueDoesNotFit(We360DataError):
    """A value is not of its column's type. Names column and row number, never the value."""

    remedy = "give the column another type by column_types, or leave it out of columns"


class SinkError(We360Error):
    """The load into the target failed and was rolled back: the target is as before."""

    remedy = "do in the warehouse what the message says"


class EmptyDayRefused(SinkError):
    """A day would lose its rows, or most of them, and ``on_empty`` is ``fail``."""

    remedy = "look at the account's role in We360; if the rows are gone for good, run once with on_empty='replace'"


class SinkBusy(SinkError):
    """Another load held the target for too long."""

    remedy = "let the other load end; give loads of one table a pool"


class WindowOverlaps(SinkError, We360ConfigError):
    """Sums over another window of the same tenant share days with this one: a day would count twice."""

    remedy = "load the same windows as before, or into another table"


class NoDayInInterval(We360Error):
    """The run's data interval ends no local day: an hourly Dag loads once a day. Airflow shows the task as skipped."""

    remedy = "nothing: the run that ends the day loads it"
