"""A Keycloak session for one Dag run: a setup task opens it, a teardown task ends it.

The tasks between them share it through the setup task's XCom.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_we360 import links
from airflow_provider_we360.errors import We360AuthError, We360Error

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_we360.arguments.signatures import OperatorArguments
    from airflow_provider_we360.auth.token_store import TokenStore
    from airflow_provider_we360.connection import We360Settings
    from airflow_provider_we360.hooks.encrypted_variable import Texts
    from airflow_provider_we360.hooks.run_session import EarlierAttempt
    from airflow_provider_we360.hooks.we360 import We360Hook


class We360LoginOperator(BaseOperator):
    """Log in and keep the session, encrypted, in the task's own XCom: a setup task.

    Downstream tasks whose Connection sets ``token_cache = xcom`` use this session and no other. The
    session that other Dags share through an Airflow Variable is never touched, whatever
    ``token_cache`` is.

    :param we360_conn_id: the Connection, of type ``we360``.
    """

    template_fields: Sequence[str] = ("we360_conn_id",)
    ui_color = "#e8f1fb"
    operator_extra_links = (links.DocumentationLink(),)
    opens_we360_session = True

    def __init__(
        self, *, we360_conn_id: str = "we360_default", **kwargs: Unpack[OperatorArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.we360_conn_id = we360_conn_id
        self.as_setup()  # type: ignore[no-untyped-call]

    def execute(self, context: Context) -> None:
        """Log in.

        If this task is retried, the session of its earlier attempt is ended first (Airflow 3.3 and
        later; a clear in 3.4 discards it unless the task state is kept).

        :raises We360AuthError: if the login fails, or if the XCom does not keep the session, which
            is then ended again.
        """
        from airflow_provider_we360.hooks.run_session import earlier_attempt, own_xcoms

        xcoms, earlier = own_xcoms(context), earlier_attempt(context)
        if earlier is not None:
            self._end_session_of(earlier, xcoms.task_id)
        with (
            links.linked_errors(self, context),
            closing(_hook(self.we360_conn_id, xcoms, xcoms.task_id)) as hook,
        ):
            if not hook.login():
                raise We360AuthError(
                    "the XCom of this task did not keep the session, so it was ended again; see the"
                    " warning above for the reason, and check whether a custom XCom backend refuses"
                    " the entry"
                )
        if earlier is not None:
            earlier.keep(xcoms)

    def _end_session_of(self, earlier: EarlierAttempt, task_id: str) -> None:
        try:
            with closing(_hook(self.we360_conn_id, earlier, f"{task_id} (earlier)")) as hook:
                hook.logout()
        except We360Error as error:
            # A session too many does no harm; a run that cannot log in does.
            self.log.warning("The session of an earlier attempt was not ended: %s", error)


class We360LogoutOperator(BaseOperator):
    """End the session of the upstream login task and empty its XCom: a teardown task.

    Succeeds if there is nothing to end. If the login server does not confirm the logout, the task
    fails, keeps the XCom, and can be retried.

    :param we360_conn_id: the same Connection as the login task's.
    """

    template_fields: Sequence[str] = ("we360_conn_id",)
    ui_color = "#e8f1fb"
    operator_extra_links = (links.DocumentationLink(),)
    opens_we360_session = False

    def __init__(
        self, *, we360_conn_id: str = "we360_default", **kwargs: Unpack[OperatorArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.we360_conn_id = we360_conn_id
        self.as_teardown()

    def execute(self, context: Context) -> None:
        """Log out.

        :raises We360ConfigError: if two login tasks of this Connection are upstream.
        :raises AuthUnavailable: if the login server did not confirm the logout.
        """
        from airflow_provider_we360.hooks.run_session import login_task_xcoms

        with links.linked_errors(self, context):
            xcoms = login_task_xcoms(context, self.we360_conn_id)
        if xcoms is None:
            self.log.warning(
                "No We360LoginOperator of Connection %s is upstream; there is no session to end",
                self.we360_conn_id,
            )
            return
        with (
            links.linked_errors(self, context),
            closing(_hook(self.we360_conn_id, xcoms, xcoms.task_id)) as hook,
        ):
            if not hook.logout():
                self.log.info("Task %s left no session; nothing to end", xcoms.task_id)


def _hook(we360_conn_id: str, texts: Texts, login_task: str) -> We360Hook:
    from airflow_provider_we360 import _compat
    from airflow_provider_we360.hooks.encrypted_variable import xcom_store
    from airflow_provider_we360.hooks.encryption import TokenCipher
    from airflow_provider_we360.hooks.we360 import We360Hook

    def build_store(settings: We360Settings) -> TokenStore:
        cipher = TokenCipher(settings, _compat.get_fernet())
        variables, team = _compat.variables(), _compat.current_team()
        return xcom_store(settings, texts, login_task, variables, cipher, team=team)

    return We360Hook(we360_conn_id, store=build_store)
