"""We360Hook: an Airflow Connection becomes an authenticated client and typed rows."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_we360.connection import TokenCache, parse_connection
from airflow_provider_we360.errors import We360ConfigError, We360Error, describe_unexpected
from airflow_provider_we360.hooks.connections import get_connection
from airflow_provider_we360.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_we360.types import Clock, Sleep, Window

if TYPE_CHECKING:
    from airflow_provider_we360.auth.token_manager import TokenManager
    from airflow_provider_we360.auth.token_store import TokenStore
    from airflow_provider_we360.client.client import We360Client
    from airflow_provider_we360.client.extract import Extract
    from airflow_provider_we360.client.stats import ReadStats
    from airflow_provider_we360.connection import We360Settings
    from airflow_provider_we360.rows.batch import RowBatch
    from airflow_provider_we360.rows.stream import RowStream

DEFAULT_PARALLEL_REQUESTS = 4


class We360Hook(BaseHook):
    """Reads reports of We360.ai.

    Logs in with the Connection's Customer ID, e-mail and password (OAuth 2.0 password grant). The
    tokens are kept in an Airflow Variable for all tasks of the account, and renewed in time.

    :param we360_conn_id: the Connection, of type ``we360``.
    :param transport: replaces the network; for tests.
    :param clock: returns the time now; for tests.
    :param sleep: waits; for tests.
    :param store: where tokens are kept, instead of what ``token_cache`` of the Connection says; for
        operators and tests.
    """

    conn_name_attr = "we360_conn_id"
    default_conn_name = "we360_default"
    conn_type = "we360"
    hook_name = "We360"

    def __init__(
        self,
        we360_conn_id: str = default_conn_name,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        store: Callable[[We360Settings], TokenStore] | None = None,
    ) -> None:
        super().__init__()
        self.we360_conn_id = we360_conn_id
        self._transport = transport
        self._clock = clock
        self._sleep = sleep
        self._store = store or self._configured_store
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._opened: tuple[httpx.Client, TokenManager] | None = None

    @cached_property
    def settings(self) -> We360Settings:
        """The fields of the Connection.

        :raises We360ConfigError: a field is missing or wrong; the message names the first one.
        """
        return self._read_connection()

    def get_conn(self) -> httpx.Client:
        """Return an ``httpx.Client`` for paths of the API whose requests carry a valid token.

        A URL of another host raises before anything is sent, and redirects are not followed. Close
        the hook when done.
        """
        return self._open()[0]

    def iter_batches(
        self,
        report: str = "dynamic_report",
        *,
        window: Window,
        mode: str = "detailed",
        columns: Iterable[str] | None = None,
        group_ids: Iterable[str] = (),
        user_ids: Iterable[str] = (),
        shift_ids: Iterable[str] = (),
        report_params: Mapping[str, Any] | None = None,
        column_types: Mapping[str, str] | None = None,
        max_parallel_requests: int = DEFAULT_PARALLEL_REQUESTS,
    ) -> Iterator[RowBatch]:
        """Yield the typed rows of a window: one batch per day, or one batch in ``summary`` mode.

        :param report: name of the report.
        :param window: first and last local day, both inclusive.
        :param mode: ``detailed`` (a row per person and day) or ``summary`` (a row per person).
        :param columns: the columns to read; None: the report's default list, without names and
            e-mails. Key columns are always included.
        :param group_ids: only these groups (UUIDs).
        :param user_ids: only these people (UUIDs).
        :param shift_ids: only these shifts (UUIDs).
        :param report_params: further inputs of the report, if it has any.
        :param column_types: type of a column by name, if it is not the report's own: ``text``,
            ``bigint``, ...
        :param max_parallel_requests: requests that are sent at once.
        :raises We360ConfigError: an argument or Connection field is wrong; the message names it.
        :raises We360Error: login or request failed, see :mod:`airflow_provider_we360.errors`.
        """
        from airflow_provider_we360.client.extract import parse_extract

        extract = parse_extract(
            report,
            window=window,
            mode=mode,
            columns=columns,
            group_ids=group_ids,
            user_ids=user_ids,
            shift_ids=shift_ids,
            report_params=report_params,
            column_types=column_types,
        )
        with self.read(extract, max_parallel_requests=max_parallel_requests) as rows:
            yield from rows

    def read(
        self, extract: Extract, *, max_parallel_requests: int, stats: ReadStats | None = None
    ) -> RowStream:
        """Return the rows of an extract that was checked before; for operators.

        Blocks until the first answer is in. Close the stream when done, and commit nothing before
        its end.

        :param stats: counts requests and dropped duplicates.
        """
        from airflow_provider_we360.lineage import record_input

        rows = self._client().read(
            extract, max_parallel_requests=max_parallel_requests, stats=stats
        )
        record_input(self, self.settings.customer_id, extract.report.name)
        return rows

    def has_rows(
        self,
        report: str = "dynamic_report",
        *,
        day: dt.date,
        group_ids: Iterable[str] = (),
        user_ids: Iterable[str] = (),
        shift_ids: Iterable[str] = (),
        report_params: Mapping[str, Any] | None = None,
    ) -> bool:
        """Return whether the report of a local day holds any row. Reads one row of key columns.

        :raises We360ConfigError: an argument is wrong; the message names it.
        :raises We360Error: as :meth:`iter_batches`.
        """
        from airflow_provider_we360.client import reports
        from airflow_provider_we360.client.extract import parse_extract

        by_day = [name for name, mode in reports.get(report).modes.items() if mode.is_daily]
        if not by_day:
            raise We360ConfigError(f"report: {report!r} has no rows by day")
        extract = parse_extract(
            report,
            window=(day, day),
            mode=by_day[0],
            group_ids=group_ids,
            user_ids=user_ids,
            shift_ids=shift_ids,
            report_params=report_params,
        )
        return self._client().has_rows(extract)

    def _client(self) -> We360Client:
        from airflow_provider_we360.client.client import We360Client

        settings = self.settings
        return We360Client(
            self.get_conn(),
            timezone=settings.timezone,
            timeout_s=settings.timeout_s,
            clock=self._clock,
            sleep=self._sleep,
        )

    def login(self) -> bool:
        """Log in now instead of at the first request. Return whether other tasks share the session.

        :raises We360AuthError: no token is available.
        """
        _, manager = self._open()
        return manager.is_shared(manager.token())

    def logout(self) -> bool:
        """End the session on the server and empty the token cache. Return whether there was one.

        The next task logs in again.

        :raises AuthUnavailable: the server did not confirm it. The cache is kept, so that it can be
            tried again.
        """
        return self._open()[1].logout()

    def close(self) -> None:
        """Close all connections to the server. A session that no other task can use is ended."""
        self._forget_after_fork()
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            http, manager = opened
            with closing(http):
                manager.close()

    def test_connection(self) -> tuple[bool, str]:
        """Log in, read one row, log out, for *Test Connection*. The token cache is not touched.

        Never raises: Airflow would answer the form with a bare HTTP 500.
        """
        from airflow_provider_we360.hooks.connection_test import ConnectionTest, run_connection_test

        try:
            with ConnectionTest(
                self.settings, transport=self._transport, clock=self._clock, sleep=self._sleep
            ) as test:
                return True, run_connection_test(test)
        except We360Error as error:
            # Airflow tests a copy under a random ID, which means nothing to the reader.
            return False, str(error).removeprefix(f"Connection {self.we360_conn_id!r}: ")
        except Exception as error:  # noqa: BLE001 - any failure is an answer to the person who tests
            return False, describe_unexpected(error)

    def _open(self) -> tuple[httpx.Client, TokenManager]:
        """Return the client and the manager of its token; build them if needed."""
        from airflow_provider_we360.hooks.authentication import open_client

        self._forget_after_fork()
        with self._lock:
            if self._opened is not None and self._opened[0].is_closed:
                self._opened[1].close()
                self._opened = None
            if self._opened is None:
                settings = self.settings
                self._opened = open_client(
                    settings,
                    self._store(settings),
                    transport=self._transport,
                    clock=self._clock,
                    sleep=self._sleep,
                    reload=self._reload,
                )
            return self._opened

    def _forget_after_fork(self) -> None:
        """Share neither sockets nor lock nor session with the parent process."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._opened = os.getpid(), threading.Lock(), None

    def _reload(self) -> tuple[We360Settings, TokenStore] | None:
        """Return settings and store if the Connection has a new password, else None.

        :raises AuthUnavailable: the Connection is now one of another account.
        """
        from airflow_provider_we360.errors import AuthUnavailable

        old, new = self.settings, self._read_connection()
        if (old.issuer, old.customer_id, old.login) != (new.issuer, new.customer_id, new.login):
            raise AuthUnavailable(
                f"Connection {self.we360_conn_id!r} was changed to another account while this "
                "process runs; the old password is not sent. A retry of the task uses the new one"
            )
        if old.password == new.password:
            return None
        self.settings = new
        return new, self._store(new)

    def _read_connection(self) -> We360Settings:
        return parse_connection(
            get_connection(
                self.we360_conn_id, "we360_conn_id", "one of type we360", conn_type=self.conn_type
            )
        )

    def _configured_store(self, settings: We360Settings) -> TokenStore:
        """Return the entries in Airflow that ``token_cache`` names."""
        from airflow_provider_we360 import _compat
        from airflow_provider_we360.hooks.encrypted_variable import variable_store, xcom_store
        from airflow_provider_we360.hooks.encryption import TokenCipher
        from airflow_provider_we360.hooks.run_session import login_task_xcoms, running_context

        variables, team, cipher = _compat.variables(), _compat.current_team(), None
        try:
            if settings.token_cache is not TokenCache.MEMORY:
                cipher = TokenCipher(settings, _compat.get_fernet())
        except Exception as error:  # noqa: BLE001 - outside of a deployment there may be no key at all
            self.log.warning(
                "Airflow's Fernet key cannot be used (%s); this process keeps its token to itself. "
                "Set [core] fernet_key",
                type(error).__name__,
            )
        if settings.token_cache is TokenCache.XCOM and cipher is not None:
            context = running_context()
            xcoms = None if context is None else login_task_xcoms(context, self.we360_conn_id)
            if xcoms is not None:
                return xcom_store(
                    settings, xcoms, xcoms.task_id, variables, cipher, team=team, clock=self._clock
                )
            if context is None:
                # A trigger, or plain Python: there is no upstream task that could be missing.
                self.log.info("token_cache is xcom: outside of a task, the hook logs in by itself")
            else:
                self.log.warning(
                    "token_cache is xcom, but no We360LoginOperator of Connection %s is upstream; "
                    "this process logs in for itself",
                    self.we360_conn_id,
                )
            cipher = None
        return variable_store(settings, variables, cipher, team=team, clock=self._clock)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the Connection form of Airflow 2.11 to 3.1. Later ones read provider metadata."""
        return {
            "hidden_fields": FIELD_BEHAVIOUR["hidden-fields"],
            "relabeling": FIELD_BEHAVIOUR["relabeling"],
            "placeholders": FIELD_BEHAVIOUR["placeholders"],
        }

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of that form, built from the same metadata."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, StringField

        def field(spec: dict[str, Any]) -> Any:
            label, description = lazy_gettext(spec["label"]), spec["description"]
            if "boolean" in spec["schema"]["type"]:
                return BooleanField(label, description=description)
            return StringField(label, description=description, widget=BS3TextFieldWidget())

        return {name: field(spec) for name, spec in CONNECTION_FIELDS.items()}
