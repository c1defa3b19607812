"""Find the XCom of the login task in which a Dag run keeps its own session."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_we360 import _compat
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.hooks.encrypted_variable import XCOM_KEY

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskXComs:
    """XComs of one task of one Dag run, by key."""

    dag_id: str
    run_id: str
    task_id: str

    def get(self, name: str) -> str | None:
        return _compat.get_xcom(name, self._where)

    def set(self, name: str, value: str, description: str) -> None:  # noqa: ARG002 - XComs have none
        _compat.set_xcom(name, value, self._where)

    def delete(self, name: str) -> None:
        _compat.delete_xcom(name, self._where)

    def confirm_absent(self, name: str) -> None:
        """XComs hold the token alone, and a token that cannot be read counts as absent."""

    @property
    def _where(self) -> dict[str, Any]:
        return {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id}


@dataclass(frozen=True, slots=True)
class EarlierAttempt:
    """What an earlier attempt of this task left, by key.

    Airflow deletes a task's XComs before it runs again, and since 3.4 a task cannot reach those of
    its earlier attempts. Its state store stays.
    """

    state: Any

    def get(self, name: str) -> str | None:
        value = self.state.get(name)
        return None if value is None else str(value)

    def set(self, name: str, value: str, description: str) -> None:  # noqa: ARG002 - it has none
        self.state.set(name, value)

    def delete(self, name: str) -> None:
        self.state.delete(name)

    def confirm_absent(self, name: str) -> None:
        """As for XComs."""

    def keep(self, xcoms: TaskXComs) -> None:
        """Copy the token, still encrypted, from the XCom for a later attempt."""
        try:
            if text := xcoms.get(XCOM_KEY):
                self.state.set(XCOM_KEY, text)
        except Exception as error:  # noqa: BLE001 - the login succeeded; a retry would need another
            log.warning(
                "The task's state store cannot be written (%s): if this task is retried, its"
                " session stays at the login server until it expires there",
                type(error).__name__,
            )


def earlier_attempt(context: Context) -> EarlierAttempt | None:
    """Return what an earlier attempt of the running task left; None before Airflow 3.3."""
    state = _compat.task_state(context)
    return None if state is None else EarlierAttempt(state)


def own_xcoms(context: Context) -> TaskXComs:
    """Return the XComs of the running task.

    :raises We360ConfigError: the task is mapped, so tasks below it would find several sessions.
    """
    task = context["ti"]
    if getattr(task, "map_index", -1) not in (None, -1):
        raise We360ConfigError(
            f"task {task.task_id}: a We360LoginOperator cannot be mapped; write one per Connection"
        )
    return TaskXComs(task.dag_id, task.run_id, task.task_id)


def login_task_xcoms(context: Context, we360_conn_id: str) -> TaskXComs | None:
    """Return the XComs of this Connection's login task upstream; None if there is none.

    :raises We360ConfigError: there are two.
    """
    running: Any = context["ti"].task if hasattr(context["ti"], "task") else context["task"]
    ours = [
        task
        for task in running.get_flat_relatives(upstream=True)
        if hasattr(task, "opens_we360_session")
        and running.render_template(task.we360_conn_id, context) == we360_conn_id
    ]
    found = sorted(task.task_id for task in ours if task.opens_we360_session)
    has_ended = any(not task.opens_we360_session for task in ours)
    # The logout task itself still needs the session that it ends.
    if has_ended and not hasattr(running, "opens_we360_session"):
        return None  # below the logout: no task would end a new session in that XCom
    if len(found) > 1:
        raise We360ConfigError(
            f"tasks {' and '.join(found)} upstream of {running.task_id} both log in with "
            f"Connection {we360_conn_id!r}; keep one of them, or give each its own Connection"
        )
    if not found:
        return None
    return TaskXComs(context["ti"].dag_id, context["ti"].run_id, found[0])


def running_context() -> Context | None:
    """Return the context of the running task; None outside of a task."""
    context: Context | None = _compat.current_context()
    return context
