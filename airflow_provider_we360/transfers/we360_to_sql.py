"""We360ToSqlOperator: load a We360 report into a table of a warehouse you already use."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_we360.arguments.values import (
    is_absent,
    read_choice,
    read_flag,
    read_mapping,
    read_required_text,
    read_text,
)
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers.base import We360Transfer
from airflow_provider_we360.transfers.catch_up import MAX_CATCH_UP_DAYS
from airflow_provider_we360.window import SETTLE_HOURS

if TYPE_CHECKING:
    from typing import Unpack

    from airflow_provider_we360.arguments.signatures import (
        Edge,
        TransferArguments,
        WriteModeChoice,
    )
    from airflow_provider_we360.hooks.we360 import We360Hook
    from airflow_provider_we360.sinks.base import LoadPlan, Sink
    from airflow_provider_we360.transfers.catch_up import MissedDays

TABLE = "table, schema.table or database.schema.table"
_TARGET_FIELDS = (
    "sql_conn_id",
    "table",
    "write_mode",
    "load_log_table",
    "complete_since",
    "max_catch_up_days",
    "settle_hours",
    "sql_hook_params",
)


class We360ToSqlOperator(We360Transfer):
    """Load the days of a We360 report into a table, each exactly once however often the task runs.

    Rows are written to a staging table first. One transaction then replaces the rows of the same
    days. If the task is killed, retried, or runs twice at once, every day is either as before or
    completely loaded, never in between.

    :param sql_conn_id: the warehouse, a Connection of any type in
        :mod:`airflow_provider_we360.sinks.warehouses`. (templated)
    :param table: the target: ``table``, ``schema.table`` or ``database.schema.table``. (templated)
    :param we360_conn_id: the We360 account, a Connection of type ``we360``. (templated)
    :param report: name of the report. (templated)
    :param mode: ``detailed``: a row per person and day; ``summary``: a row per person over the
        window. One table holds one mode. (templated)
    :param columns: columns to load. Default: the report's own list, which contains no personal
        columns. The key columns are always included. (templated)
    :param group_ids: load only these groups, a list of UUIDs; needs ``write_mode="merge"``.
        (templated)
    :param user_ids: load only these people, a list of UUIDs. (templated)
    :param shift_ids: load only these shifts, a list of UUIDs; needs ``write_mode="merge"``.
        (templated)
    :param report_params: further inputs of the report, if it has any. (templated)
    :param window_start: first day, or start of an interval. Default: the run decides (see "Windows"
        in the docs). (templated)
    :param window_end: last day, inclusive, or end of an interval. (templated)
    :param timezone: IANA name of the time zone in which days are counted. Default: the one of the
        We360 Connection. (templated)
    :param lookback_days: number of days before the window to load again, because We360 corrects
        past days. (templated)
    :param write_mode: ``replace_window``: replace the rows of the window; ``merge``: replace rows
        with the same key and keep all others (upsert); ``append``: add rows. (templated)
    :param on_empty: what to do if a day's row count would drop to zero, or by more than half (days
        with at least 20 rows): ``fail`` rolls the whole load back and fails the task, ``keep``
        keeps the rows of that day, ``replace`` removes them. (templated)
    :param create_table: create the table if it does not exist.
    :param evolve_schema: add columns that the table lacks; none is ever dropped or narrowed.
    :param column_types: type by column name, if it should differ from the report's: ``text``,
        ``bigint``, ``double``, ``date``, ``timestamp``, ``duration``. In a template, write
        ``{{ ... | tojson }}`` or set ``render_template_as_native_obj=True`` on the Dag. (templated)
    :param pseudonymize: columns to pseudonymize, and where the key is stored:
        ``{"email": "conn:we360_pseudonyms"}``, the password of that Connection, or ``"var:NAME"``,
        a Variable that Airflow masks (docs: "Privacy"). (templated)
    :param load_log_table: a table in the same database that records each load, in the same
        transaction as its rows: a row per day, empty days included. Named like ``table``.
        (templated)
    :param sql_hook_params: arguments for the hook of ``sql_conn_id``, as Airflow's own SQL
        operators take them in ``hook_params``. (templated)
    :param complete_since: a date. Each run also loads the days from this one on, up to its own
        window, that ``load_log_table`` does not hold, or holds only from before they settled;
        oldest first, each run of successive days in a transaction of its own, after the run's own
        window. Needs ``load_log_table``. (templated)
    :param max_catch_up_days: most days that one run catches up. (templated)
    :param settle_hours: hours from the end of a day until it counts as settled.
        (templated)
    :param max_parallel_requests: number of days requested at the same time, 1 to 32.
    :param partition_events: make each loaded day a partition of the outlets, for Dags with a
        ``PartitionedAssetTimetable`` (Airflow 3.3; no effect before). Airflow does not start Dags
        without partitions for such an event.
    :returns: ``{"report", "window", "rows", "days", "requests", "table", "seconds"}``, never rows.
    """

    template_fields: Sequence[str] = (
        *We360Transfer.template_fields,
        *_TARGET_FIELDS,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **We360Transfer.template_fields_renderers,
        "sql_hook_params": "json",
    }

    def __init__(
        self,
        *,
        sql_conn_id: str,
        table: str,
        write_mode: WriteModeChoice = "replace_window",
        create_table: bool = True,
        evolve_schema: bool = True,
        load_log_table: str | None = None,
        complete_since: Edge = None,
        max_catch_up_days: int | Any = MAX_CATCH_UP_DAYS,
        settle_hours: float | str = SETTLE_HOURS,
        sql_hook_params: Mapping[str, Any] | None = None,
        **kwargs: Unpack[TransferArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.write_mode = write_mode
        self.create_table = create_table
        self.evolve_schema = evolve_schema
        self.load_log_table = load_log_table
        self.complete_since = complete_since
        self.max_catch_up_days = max_catch_up_days
        self.settle_hours = settle_hours
        self.sql_hook_params = sql_hook_params
        self._check_target_literals()

    def _check_target_literals(self) -> None:
        from airflow_provider_we360.arguments.literals import find_literals
        from airflow_provider_we360.sinks.base import WriteMode
        from airflow_provider_we360.sinks.target import parse_table
        from airflow_provider_we360.transfers import catch_up

        given = find_literals(self, _TARGET_FIELDS)
        if "sql_conn_id" in given:
            read_required_text(given["sql_conn_id"], "sql_conn_id", "the ID of a Connection")
        if "table" in given:
            parse_table(read_required_text(given["table"], "table", TABLE))
        if log_table := read_text(given.get("load_log_table"), "load_log_table"):
            parse_table(log_table, "load_log_table")
        read_choice(WriteMode, given.get("write_mode"), "write_mode", WriteMode.REPLACE_WINDOW)
        catch_up.check_literals({**given, **find_literals(self, ("mode",))})
        read_mapping(given.get("sql_hook_params"), "sql_hook_params")
        read_flag(self.create_table, "create_table")
        read_flag(self.evolve_schema, "evolve_schema")

    def _build_sink(self) -> Sink:
        from airflow_provider_we360.sinks.registry import sink_for

        conn_id = read_required_text(self.sql_conn_id, "sql_conn_id", "the ID of a Connection")
        return sink_for(
            self._sql_hook(conn_id),
            read_required_text(self.table, "table", TABLE),
            conn_id=conn_id,
            clock=time.monotonic,
            sleep=time.sleep,
            load_log_table=read_text(self.load_log_table, "load_log_table"),
        )

    def _plan_fields(self) -> dict[str, Any]:
        from airflow_provider_we360.sinks.base import WriteMode

        default = WriteMode.REPLACE_WINDOW
        return {
            **super()._plan_fields(),
            "write_mode": read_choice(WriteMode, self.write_mode, "write_mode", default),
            "create_table": self.create_table,
            "evolve_schema": self.evolve_schema,
        }

    def _sql_hook(self, conn_id: str) -> Any:
        from airflow_provider_we360.hooks.connections import get_connection
        from airflow_provider_we360.sinks import registry

        connection = get_connection(conn_id, "sql_conn_id", "one to the warehouse")
        params = read_mapping(self.sql_hook_params, "sql_hook_params")
        try:
            return registry.open_hook(connection, params)
        except (AirflowException, ImportError, AttributeError) as error:
            raise We360ConfigError(
                f"sql_conn_id: Airflow has no hook for Connection {conn_id!r} of type"
                f" {connection.conn_type!r} ({type(error).__name__});"
                f" {_explain_install(str(connection.conn_type))}"
            ) from None
        except TypeError as error:
            # Without hook parameters it is a fault in the hook, which its own traceback explains.
            if not params:
                raise
            raise We360ConfigError(
                f"sql_hook_params: the hook of Connection {conn_id!r} does not accept"
                f" {', '.join(map(repr, params))}; pass arguments of its __init__"
            ) from error

    def _find_missed_days(self, hook: We360Hook, plan: LoadPlan, sink: Any) -> MissedDays | None:
        from airflow_provider_we360.transfers import catch_up

        if is_absent(self.complete_since):
            return None
        return catch_up.find_for_operator(
            self, plan, sink.read_log, now=self._now(), timezone=self._zone(hook)
        )

    @property
    def _target(self) -> dict[str, str]:
        return {"table": str(self.table).strip()}

    @property
    def _destination(self) -> str:
        mode = read_text(self.write_mode, "write_mode") or "replace_window"
        return f"table {self.table} of Connection {self.sql_conn_id}, write_mode {mode}"


def _explain_install(conn_type: str) -> str:
    """Return what to install for a Connection type whose hook is missing."""
    from airflow_provider_we360.sinks import registry

    if extra := registry.pip_extra(conn_type):
        return f'install its provider: pip install "airflow-provider-we360[{extra}]"'
    return "if it is a warehouse, install the Airflow provider that brings this connection type"
