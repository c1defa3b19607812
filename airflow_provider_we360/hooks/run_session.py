"""Find the XCom of the login task in which a Dag run keeps its own session."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_we360 import _compat
from airflow_provider_we360.errors import We360ConfigError

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
