"""Retry policy for tasks of this provider (Airflow 3.3 and later).

Set it for one task or for a whole Dag::

    default_args = {"retries": 3, "retry_policy": We360RetryPolicy()}

On earlier Airflow this module raises :class:`ImportError`; set ``retries``, ``retry_delay`` and
``retry_exponential_backoff`` instead.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

try:
    from airflow.providers.common.compat.sdk import (
        RetryAction,
        RetryDecision,
        RetryPolicy,
    )
except (ImportError, AttributeError) as error:
    raise ImportError(
        "We360RetryPolicy needs Airflow 3.3 or later; on earlier versions set retries, "
        "retry_delay and retry_exponential_backoff"
    ) from error

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

MAX_WAIT = dt.timedelta(hours=12)


class We360RetryPolicy(RetryPolicy):
    """Wait as long as We360 asks before the task runs again.

    Some failures only need time, and the time is known: the API or the login server answered with
    ``Retry-After``, logins are suspended until a moment, or another task holds the lease. For
    these the policy uses that delay:

    - Airflow 3.4 and later: the task is rescheduled (``up_for_reschedule``). It keeps its try
      number and all its retries, and ``on_retry_callback`` is not called.
    - Airflow 3.3: the task is retried after that delay, which uses one retry.

    Every other failure follows the standard logic of the task. A failure that another try cannot
    fix, such as a wrong password, fails the task at once with or without this policy: Airflow does
    not pass ``AirflowFailException`` to policies. A worker that died does not reach one either.

    :param max_wait: the longest delay, and the longest time that reschedules of one try may take
        in total. A longer delay follows the standard logic.
    """

    def __init__(self, max_wait: dt.timedelta = MAX_WAIT) -> None:
        if max_wait <= dt.timedelta(0):
            raise ValueError(f"max_wait: must be a positive timedelta, not {max_wait!r}")
        self.max_wait = max_wait

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - the signature of Airflow's base class
        max_tries: int,  # noqa: ARG002 - as above
        context: Context | None = None,  # noqa: ARG002 - as above
    ) -> RetryDecision:
        """Return the delay that the failure names, or the standard behaviour if it names none."""
        wait_s = getattr(exception, "retry_after_s", None)
        if not wait_s or wait_s > self.max_wait.total_seconds():
            return RetryDecision.default()
        # Rounded up: a task that runs a moment too early would be refused again.
        delay = dt.timedelta(seconds=math.ceil(wait_s))
        reason = f"{type(exception).__name__}: runs again in {delay}"
        if hasattr(RetryAction, "RESCHEDULE"):
            reschedule: Callable[..., RetryDecision] = RetryDecision.reschedule  # type: ignore[attr-defined]
            return reschedule(delay, reschedule_timeout=self.max_wait, reason=reason)
        return RetryDecision.retry(delay, reason=reason)

    def serialize(self) -> dict[str, Any]:
        """Return the arguments as JSON."""
        return {"max_wait": self.max_wait.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Return the policy that :meth:`serialize` described."""
        return cls(max_wait=dt.timedelta(seconds=data["max_wait"]))
