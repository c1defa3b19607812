"""A real transfer against a sandbox in this process, under a clock that only sleep moves, and the table it leaves."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx

from airflow_provider_we360.auth.token_store import TokenStore
from airflow_provider_we360.client import reports
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.rows.schema import Column
from airflow_provider_we360.sandbox.company import Company
from airflow_provider_we360.sinks.base import LoadResult, Sink
from airflow_provider_we360.transfers.base import We360Transfer
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from simulator.app import Simulator, SimulatorConfig
from support.engines import Engine
from support.mini_api import FakeTime
from support.session import shared_store

TODAY = dt.date(2026, 5, 27)
REPORT = reports.get("dynamic_report")
COLUMNS: tuple[Column, ...] = tuple(
    REPORT.column(name)
    for name in dict.fromkeys(
        (*REPORT.modes["detailed"].key, *REPORT.modes["detailed"].default_columns)
    )
)
Row = dict[str, Any]


def trimmed(rows: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> list[Row]:
    """The rows with these columns alone, sorted."""
    return sorted(({column.name: row[column.name] for column in columns} for row in rows), key=repr)


class ToEngine(We360ToSqlOperator):
    """The operator, into a database that watches its statements."""

    def __init__(
        self, *, engine: Engine, before: Callable[[str], None] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(sql_conn_id=engine.conn_id, **kwargs)
        self._engine, self._before = engine, before

    def _build_sink(self) -> Sink:
        hook = self._engine.hook_with(self._before) if self._before else self._engine.hook()
        return self._engine.sink(self.table, hook, self.load_log_table)


@dataclass
class Stage:
    """A server, a clock, and a session that all tasks share.

    :param transport: None: the server in this process.
    """

    config: SimulatorConfig = field(default_factory=SimulatorConfig)
    company: Company | None = None
    time: FakeTime = field(default_factory=FakeTime)
    store: TokenStore = field(default_factory=shared_store)

    def __post_init__(self) -> None:
        self.sandbox = Simulator(
            self.config, clock=self.time.clock, sleep=self.time.sleep, company=self.company
        )

    def connect(self, url: str = "http://127.0.0.1", **extra: object) -> str:
        """The Connection to this server, made known to this process."""
        account = {
            "conn_type": "we360",
            "host": url,
            "login": self.config.login,
            "password": self.config.password,
            "extra": {
                "customer_id": self.config.customer_id,
                "auth_url": url,
                "allow_http": True,
                **extra,
            },
        }
        os.environ["AIRFLOW_CONN_WE360_PROOF"] = json.dumps(account)
        return "we360_proof"

    def run(
        self, operator: We360Transfer, run_id: str = "run", *, on_a_socket: bool = False
    ) -> LoadResult:
        """What ``execute`` does, with this stage's clock and wire."""
        transport = None if on_a_socket else httpx.WSGITransport(self.sandbox)  # type: ignore[arg-type]
        hook = We360Hook(
            operator.we360_conn_id,
            transport=transport,
            clock=self.time.clock,
            sleep=self.time.sleep,
            store=lambda _: self.store,
        )
        moment = dt.datetime(2026, 5, 27, 6, 30, tzinfo=dt.UTC)
        context: Any = {
            "ti": SimpleNamespace(
                dag_id="dag", task_id=operator.task_id, run_id=run_id, map_index=-1
            ),
            "dag_run": SimpleNamespace(run_after=moment, start_date=moment),
        }
        try:
            with closing(hook):
                return operator._load_all(hook, context)[0][0].result
        finally:
            _forget_masks()


def _forget_masks() -> None:
    """Airflow's masker makes one expression of all tokens anew for each: thousands of tasks in one process would crawl."""
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    _secrets_masker().reset_masker()


def to_files(path: str, **arguments: Any) -> We360ToObjectStorageOperator:
    """The operator that writes Parquet."""
    return We360ToObjectStorageOperator(
        task_id="load", we360_conn_id="we360_proof", path=path, **arguments
    )


def to_engine(
    engine: Engine, table: str, before: Callable[[str], None] | None = None, **arguments: Any
) -> ToEngine:
    """The operator that loads a table of this database."""
    return ToEngine(
        engine=engine,
        before=before,
        task_id="load",
        we360_conn_id="we360_proof",
        table=table,
        **arguments,
    )
