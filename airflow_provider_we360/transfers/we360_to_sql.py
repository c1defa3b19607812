"""We360ToSqlOperator: a We360 report into a table, through the warehouse connection you already have."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.hooks.connections import get_connection
from airflow_provider_we360.transfers._base import We360Transfer, one_of

if TYPE_CHECKING:
    from airflow_provider_we360.sinks.base import Sink

EXTRAS = {"gcpbigquery": "google", "google_cloud_platform": "google"}
"""Where what is to be installed is not called as the type of Connection is."""


class We360ToSqlOperator(We360Transfer):
    """Loads the days of a We360 report into a table, each exactly once, however often the task runs.

    The rows land in a staging table first and then, in one transaction, take the place of those of the same days. A task
    that is killed, retried or run twice at once leaves every day either as it was or as it is now, never in between.

    :param sql_conn_id: the warehouse, a Connection of any type in :mod:`airflow_provider_we360.sinks.warehouses`. (templated)
    :param table: where the rows go: ``table``, ``schema.table`` or ``database.schema.table``. (templated)
    :param we360_conn_id: the We360 account, a Connection of type ``we360``. (templated)
    :param report: name of the report. (templated)
    :param mode: ``detailed``: a row per person and day; ``summary``: a row per person over the window. One table holds one
        mode. (templated)
    :param columns: what to load; left out: the report's default list, which names nobody. The key columns always come
        along. (templated)
    :param group_ids: only these groups, a list of UUIDs; needs ``write_mode="merge"``. (templated)
    :param user_ids: only these people, a list of UUIDs. (templated)
    :param shift_ids: only these shifts, a list of UUIDs; needs ``write_mode="merge"``. (templated)
    :param report_params: further inputs of the report, where it has any. (templated)
    :param window_start: first day, or start of an interval; left out, the run decides (see "Windows" in the docs). (templated)
    :param window_end: last day, inclusive, or end of an interval. (templated)
    :param timezone: IANA name of the zone in which days are counted; left out: the We360 Connection's. (templated)
    :param lookback_days: so many days before the window are loaded again, as We360 restates the past. (templated)
    :param write_mode: ``replace_window``: the window's rows take the place of those there; ``merge``: rows of the same key
        are replaced, all others stay; ``append``: rows are added. (templated)
    :param on_empty: where a day that holds rows would lose them, or more than half of at least 20: ``fail`` changes nothing
        and fails, ``keep`` leaves that day as it is, ``replace`` lets them go. (templated)
    :param create_table: create the table where it is absent.
    :param evolve_schema: add columns that the table lacks; none is ever dropped or narrowed.
    :param column_types: type of a column by name, where it shall not be the report's own: ``text``, ``bigint``, ``double``,
        ``date``, ``timestamp``, ``duration``. (templated)
    :param pseudonymize: columns that shall hold pseudonyms, and where the key is: ``{"email": "conn:we360_pseudonyms"}``, the
        password of that Connection, or ``"var:NAME"``, a Variable that Airflow masks (docs: "Privacy"). (templated)
    :param load_log_table: a table in the same database in which each load writes down, with the rows and in one transaction,
        what it did: a row per day, empty days too. Named like ``table``. (templated)
    :param max_parallel_requests: days that are asked for at once, 1 to 32.
    :returns: ``{"report", "window", "rows", "slices", "requests", "table", "seconds"}``, never rows.
    """

    template_fields: Sequence[str] = (
        *We360Transfer.template_fields,
        "sql_conn_id",
        "table",
        "write_mode",
        "load_log_table",
    )

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str,
        write_mode: str = "replace_window",
        create_table: bool = True,
        evolve_schema: bool = True,
        load_log_table: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.write_mode = write_mode
        self.create_table = create_table
        self.evolve_schema = evolve_schema
        self.load_log_table = load_log_table

    def _sink(self) -> Sink:
        from airflow_provider_we360.sinks.registry import sink_for

        # A template may render to nothing.
        log = str(self.load_log_table or "").strip()
        return sink_for(
            self._sql_hook(),
            self.table,
            conn_id=self.sql_conn_id,
            clock=time.monotonic,
            sleep=time.sleep,
            load_log_table=log if log not in ("", "None") else None,
        )

    def _write(self) -> dict[str, Any]:
        from airflow_provider_we360.sinks.base import WriteMode

        return {
            **super()._write(),
            "write_mode": one_of(WriteMode, self.write_mode, "write_mode"),
            "create_table": self.create_table,
            "evolve_schema": self.evolve_schema,
        }

    def _sql_hook(self) -> Any:
        connection = get_connection(self.sql_conn_id, "sql_conn_id", "one to the warehouse")
        try:
            if (
                connection.conn_type == "google_cloud_platform"
            ):  # is for all of Google; what takes rows there is BigQuery
                from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook

                return BigQueryHook(gcp_conn_id=self.sql_conn_id)
            return connection.get_hook()
        except (AirflowException, ImportError, AttributeError) as error:
            raise We360ConfigError(
                f"sql_conn_id: no hook can be had for Connection {self.sql_conn_id!r} of type {connection.conn_type!r} "
                f"({type(error).__name__}); {_how_to_install(str(connection.conn_type))}"
            ) from None

    @property
    def _target(self) -> dict[str, str]:
        return {"table": self.table}

    @property
    def _destination(self) -> str:
        return f"table {self.table} of Connection {self.sql_conn_id}, {self.write_mode}"


def _how_to_install(conn_type: str) -> str:
    """What brings the hook of that connection type."""
    from airflow_provider_we360.sinks import registry

    if conn_type in EXTRAS or conn_type in registry.names():
        return f'install what it needs: pip install "airflow-provider-we360[{EXTRAS.get(conn_type, conn_type)}]"'
    return "if it is a warehouse, install the Airflow provider that brings this connection type"
