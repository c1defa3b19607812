"""The errors of BigQuery that a load can meet, and what to do about them."""

from __future__ import annotations

import re

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError, We360Error
from airflow_provider_we360.sinks.error_map import (
    NOTHING_CHANGED,
    DriverFacts,
    ErrorKind,
    ErrorMap,
    Failure,
)
from airflow_provider_we360.sinks.session import LoadStep

_CONFLICT = re.compile(
    r"Transaction is aborted due to concurrent update|Could not serialize access to table",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"Required field (?:\w+\.)*(\w+) cannot be null"
    r"|NULL value for (?:non-nullable )?column (\w+)",
    re.IGNORECASE,
)
_BILLING = re.compile(r"billing has not been enabled|free tier|sandbox", re.IGNORECASE)
_QUOTA = ("quotaExceeded", "rateLimitExceeded", "resourcesExceeded", "responseTooLarge")


def _read_error(error: Exception) -> DriverFacts:
    """Return BigQuery's one-word reason as the code.

    A load job quotes the values that it refuses, so the text is only matched, never shown.
    """
    reported = getattr(error, "errors", None) or [{}]
    first = reported[0] if isinstance(reported[0], dict) else {}
    reason = re.sub(r"\W", "", str(first.get("reason", "")))[:40]
    text = str(getattr(error, "message", ""))
    column = _NO_VALUE.search(text)
    return DriverFacts(reason, text, column=(column[1] or column[2]) if column else None)


def _is_conflict(error: Exception) -> bool:
    return _CONFLICT.search(_read_error(error).text) is not None


def _explain_account(failure: Failure) -> We360Error | None:
    """Return the error of a missing credential, permission or billing account."""
    from google.auth.exceptions import GoogleAuthError

    error, facts, conn_id = failure.error, failure.facts, failure.target.conn_id
    if isinstance(error, GoogleAuthError):
        return SinkError(
            f"sql_conn_id: Google refused the credentials of {conn_id!r}; check its key file, or "
            "the service account of this machine, and its impersonation chain"
        )
    if _BILLING.search(facts.text) or facts.code == "billingNotEnabled":
        return We360ConfigError(
            "sql_conn_id: the project has no billing account, and without one (the sandbox) "
            "BigQuery runs no DML; enable billing for the project in which jobs run"
        )
    if getattr(error, "code", None) in (401, 403) and facts.code not in (*_QUOTA, "stopped"):
        return We360ConfigError(
            f"sql_conn_id: the account of {conn_id!r} lacks a permission that a load into "
            f"{failure.table} needs; {NOTHING_CHANGED}. Grant it roles/bigquery.jobUser on the "
            "project and roles/bigquery.dataEditor on the dataset"
        )
    return None


def _explain_first(failure: Failure) -> We360Error:
    from google.api_core.exceptions import RetryError

    error, table, facts = failure.error, failure.table, failure.facts
    if _is_conflict(error):
        return ERRORS.explain_kind(ErrorKind.BUSY, failure)
    if facts.column:
        return ERRORS.explain_kind(ErrorKind.NO_VALUE, failure)
    if found := _explain_account(failure):
        return found
    if facts.code in _QUOTA:
        return SinkBusy(
            f"BigQuery's quota is used up ({facts.code}); {NOTHING_CHANGED}. Run the task again "
            "later, or raise the quota"
        )
    if facts.code == "stopped":
        return SinkError(
            f"a job of the load into {table} was cancelled; {NOTHING_CHANGED}. Run the task again"
        )
    if getattr(error, "code", None) == 404 and failure.step is LoadStep.CONNECT:
        return We360ConfigError(
            f"table: the dataset of {table} does not exist, or the account may not see it; create "
            "it first, with CREATE SCHEMA, in the region where rows shall be stored"
        )
    if isinstance(error, (OSError, RetryError)):
        return ERRORS.explain_kind(ErrorKind.LOST, failure)
    name = f"{type(error).__name__}, {facts.code}" if facts.code else type(error).__name__
    return SinkError(
        f"BigQuery refused the load into {table} ({name}); {NOTHING_CHANGED}. The job's error in "
        "the project history has the details"
    )


def _error_classes() -> tuple[type[Exception], ...]:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    # A broken connection is an error of requests, which is an OSError.
    return (GoogleAPIError, GoogleAuthError, OSError)


ERRORS = ErrorMap(
    database="BigQuery",
    classes=_error_classes,
    read=_read_error,
    is_already_there=lambda error: (
        getattr(error, "code", None) == 409 and _read_error(error).code == "duplicate"
    ),
    is_conflict=_is_conflict,
    connect_hint="",
    explain_first=_explain_first,
    code_label="reason",
)
