"""Types of the operators' arguments: type checkers reject typos, and editors complete names.

The operators accept ``**kwargs`` and pass them on. ``Unpack`` of a ``TypedDict`` declares which
names and values those are; nothing here has an effect at run time. An argument that a later version
of Airflow adds works at once; type checkers accept it once it is listed here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Required, TypeAlias, TypedDict

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG, TaskGroup, XComArg

ReportName: TypeAlias = Literal["dynamic_report"]
ReportMode: TypeAlias = Literal["detailed", "summary"]
OnEmptyChoice: TypeAlias = Literal["fail", "keep", "replace"]
WriteModeChoice: TypeAlias = Literal["replace_window", "merge", "append"]
FileFormatChoice: TypeAlias = Literal["parquet", "jsonl", "csv"]
ColumnType: TypeAlias = Literal["text", "bigint", "double", "date", "timestamp", "duration"]
Edge: TypeAlias = "dt.date | str | XComArg | None"
"""A window's edge: a date, a datetime, or text of one."""
Names: TypeAlias = "Collection[str] | XComArg | None"
"""Names or ids; one text may hold several, as templates render them."""
Choices: TypeAlias = "Mapping[str, str] | XComArg | None"
"""Text by column name."""


class OperatorArguments(TypedDict, total=False):
    """Arguments that Airflow's ``BaseOperator`` accepts, in any supported version."""

    task_id: Required[str]
    allow_nested_operators: bool
    dag: DAG | None
    default_args: dict[str, Any] | None
    depends_on_past: bool
    do_xcom_push: bool
    doc: str | None
    doc_json: str | None
    doc_md: str | None
    doc_rst: str | None
    doc_yaml: str | None
    email: str | Sequence[str] | None
    email_on_failure: bool
    email_on_retry: bool
    end_date: dt.datetime | None
    execution_timeout: dt.timedelta | None
    executor: str | None
    executor_config: dict[str, Any] | None
    ignore_first_depends_on_past: bool
    inlets: Any
    logger_name: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    max_retry_delay: dt.timedelta | float | None
    multiple_outputs: bool
    on_execute_callback: Any
    on_failure_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    on_success_callback: Any
    outlets: Any
    owner: str
    params: MutableMapping[str, Any] | None
    pool: str | None
    pool_slots: int
    post_execute: Any
    pre_execute: Any
    priority_weight: int
    queue: str
    render_template_as_native_obj: bool | None
    resources: dict[str, Any] | None
    retries: int | None
    retry_delay: dt.timedelta | float
    retry_exponential_backoff: float
    retry_policy: Any
    run_as_user: str | None
    sla: dt.timedelta | None
    start_date: dt.datetime | None
    task_display_name: str | None
    task_group: TaskGroup | None
    trigger_rule: str
    wait_for_downstream: bool
    wait_for_past_depends_before_skipping: bool
    weight_rule: Any


class SensorArguments(OperatorArguments, total=False):
    """Arguments that Airflow's ``BaseSensorOperator`` adds."""

    exponential_backoff: bool
    max_wait: dt.timedelta | float | None
    mode: Literal["poke", "reschedule"]
    never_fail: bool
    silent_fail: bool
    soft_fail: bool


class TransferArguments(OperatorArguments, total=False):
    """Arguments that both transfers share; ``We360Transfer`` says what each means."""

    we360_conn_id: str
    report: ReportName
    mode: ReportMode
    columns: Names
    group_ids: Names
    user_ids: Names
    shift_ids: Names
    report_params: Mapping[str, Any] | XComArg | None
    window_start: Edge
    window_end: Edge
    timezone: str | dt.tzinfo | None
    lookback_days: int | XComArg | None
    on_empty: OnEmptyChoice
    column_types: Mapping[str, ColumnType] | XComArg | None
    pseudonymize: Choices
    max_parallel_requests: int
    partition_events: bool
