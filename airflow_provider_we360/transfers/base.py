"""What all transfers share: the arguments that select rows, the way of the rows, and the result.

Dag files import this module every time they are parsed. What only a task needs, and what takes
more than a millisecond to import, is therefore imported inside functions.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, timezone  # type: ignore[attr-defined]

from airflow_provider_we360 import links
from airflow_provider_we360.arguments.values import is_absent, read_choice, read_required_text
from airflow_provider_we360.run_context import build_run_id, read_run_facts
from airflow_provider_we360.transfers import load_logging, outlets
from airflow_provider_we360.transfers.result import WindowLoad, build_facts, build_result
from airflow_provider_we360.window import (
    check_has_begun,
    is_running,
    parse_timezone,
    resolve_window_with_reason,
)

if TYPE_CHECKING:
    import datetime as dt
    from typing import Unpack

    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_we360.arguments.signatures import (
        Choices,
        ColumnType,
        Edge,
        Names,
        OnEmptyChoice,
        OperatorArguments,
        ReportMode,
        ReportName,
    )
    from airflow_provider_we360.client.extract import Extract
    from airflow_provider_we360.hooks.we360 import We360Hook
    from airflow_provider_we360.rows.batch import RowBatch
    from airflow_provider_we360.rows.pseudonyms import PseudonymKey
    from airflow_provider_we360.sinks.base import LoadPlan, Sink
    from airflow_provider_we360.transfers.catch_up import MissedDays
    from airflow_provider_we360.transfers.openlineage import TrackedLoad
    from airflow_provider_we360.types import Window

DEFAULT_PARALLEL_REQUESTS = 4
CONNECTION = "the ID of a Connection of type we360"
_WINDOW_ARGUMENTS = ("window_start", "window_end", "timezone", "lookback_days")


class We360Transfer(BaseOperator):
    """Load one report over a window into a target. Subclasses define the target.

    All text arguments are templated. Those without a template are checked when the Dag is parsed;
    all of them are checked when the task runs, before the first request.
    """

    template_fields: Sequence[str] = (
        "we360_conn_id",
        "report",
        "mode",
        "columns",
        "group_ids",
        "user_ids",
        "shift_ids",
        "report_params",
        "window_start",
        "window_end",
        "timezone",
        "lookback_days",
        "on_empty",
        "column_types",
        "pseudonymize",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "columns": "json",
        "group_ids": "json",
        "user_ids": "json",
        "shift_ids": "json",
        "report_params": "json",
        "column_types": "json",
        "pseudonymize": "json",
    }
    ui_color = "#e8f1fb"
    operator_extra_links = (links.DocumentationLink(),)
    separates_filters: ClassVar[bool] = False
    """Whether each set of filters has a place of its own in the target, so that replacing a window
    with group or shift filters cannot leave rows of people who moved."""

    def __init__(
        self,
        *,
        we360_conn_id: str = "we360_default",
        report: ReportName = "dynamic_report",
        mode: ReportMode = "detailed",
        columns: Names = None,
        group_ids: Names = (),
        user_ids: Names = (),
        shift_ids: Names = (),
        report_params: Mapping[str, Any] | Any = None,
        window_start: Edge = None,
        window_end: Edge = None,
        timezone: str | dt.tzinfo | None = None,
        lookback_days: int | Any = 0,
        on_empty: OnEmptyChoice = "fail",
        column_types: Mapping[str, ColumnType] | Any = None,
        pseudonymize: Choices = None,
        max_parallel_requests: int = DEFAULT_PARALLEL_REQUESTS,
        partition_events: bool = False,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.we360_conn_id = we360_conn_id
        self.report = report
        self.mode = mode
        self.columns = columns
        self.group_ids, self.user_ids, self.shift_ids = group_ids, user_ids, shift_ids
        self.report_params = report_params
        self.window_start = window_start
        self.window_end = window_end
        self.timezone = timezone
        self.lookback_days = lookback_days
        self.on_empty = on_empty
        self.column_types = column_types
        self.pseudonymize = pseudonymize
        self.max_parallel_requests = max_parallel_requests
        self.partition_events = partition_events
        self._load: TrackedLoad | None = None
        self._check_literals()

    @abstractmethod
    def _build_sink(self) -> Sink:
        """Return the target, not yet opened."""

    @property
    @abstractmethod
    def _target(self) -> dict[str, str]:
        """Name and value of the argument that names the target; part of the result."""

    @property
    @abstractmethod
    def _destination(self) -> str:
        """The target as the log shows it."""

    def _plan_fields(self) -> dict[str, Any]:
        """Return the fields of the load plan that arguments decide, checked."""
        from airflow_provider_we360.sinks.base import OnEmpty

        return {"on_empty": read_choice(OnEmpty, self.on_empty, "on_empty", OnEmpty.FAIL)}

    def execute(self, context: Context) -> dict[str, Any]:
        """Load the window's rows into the target.

        :returns: counts for XCom, never rows.
        """
        from airflow_provider_we360.hooks.we360 import We360Hook

        self._load = None  # of an earlier try in the same process, as dag.test() makes them
        # Only here: templates are rendered after __init__, and may render to nothing.
        with links.linked_errors(self, context):
            conn_id = read_required_text(self.we360_conn_id, "we360_conn_id", CONNECTION)
            with closing(We360Hook(conn_id)) as hook:
                loads, missed = self._load_all(hook, context)
            outlets.fill_events(self, context, loads, build_facts(loads, missed))
        return build_result(loads, missed, self._target)

    def _load_all(
        self, hook: We360Hook, context: Context
    ) -> tuple[list[WindowLoad], MissedDays | None]:
        """Load the run's own window, then the days that it catches up."""
        from airflow_provider_we360.lineage import record_output
        from airflow_provider_we360.transfers import catch_up

        extract = self._read_extract(hook, context)
        keys = self._read_keys(extract)
        # The target is checked before the first request: a wrong table must not cost a login.
        plan, sink = self._build_plan(context, hook, extract, keys), self._build_sink()
        missed = self._find_missed_days(hook, plan, sink)
        load_logging.log_plan(self.log, hook.we360_conn_id, extract, plan, self._destination)
        if missed is not None:
            load_logging.log_missed_days(self.log, extract.days, missed)
        # The run's own days come first: what is missed has waited for days already.
        loads = [self._load_window(hook, extract, plan, keys, sink)]
        for window in missed.windows if missed else ():
            earlier = catch_up.plan_of(plan, window, self._now())
            loads.append(
                self._load_window(hook, replace(extract, window=window), earlier, keys, sink)
            )
        # After the commit: lineage must not name a table that a failed load left unchanged.
        record_output(hook, lambda: self._load.uri if self._load else "")
        return loads, missed

    def _load_window(
        self,
        hook: We360Hook,
        extract: Extract,
        plan: LoadPlan,
        keys: Mapping[str, PseudonymKey],
        sink: Sink,
    ) -> WindowLoad:
        from airflow_provider_we360.client.extract import require_parallel_requests
        from airflow_provider_we360.rows.pseudonyms import pseudonymize_columns
        from airflow_provider_we360.transfers.openlineage import TrackedLoad

        parallel = require_parallel_requests(self.max_parallel_requests)
        unit = "day" if extract.mode.is_daily else "window"
        progress = load_logging.LoadProgress(self.log, extract.days, unit, clock=time.monotonic)
        with (
            progress.log_failure(),
            progress.heartbeat(),
            hook.read(extract, max_parallel_requests=parallel, stats=progress.stats) as stream,
        ):
            # The server may refuse columns of the default list: only the stream knows the rest.
            brought = {column.name for column in stream.columns}
            plan = replace(
                plan,
                columns=pseudonymize_columns(stream.columns, keys),
                refused=tuple(c.name for c in extract.columns if c.name not in brought),
            )
            # Kept for on_kill and for Airflow's OpenLineage listener, which call this object later.
            self._load = load = TrackedLoad(plan, sink)
            load.result = result = sink.load(plan, _prepare_rows(stream, keys, progress))
        load_logging.log_result(self.log, extract, progress, result)
        return WindowLoad(extract, progress, result)

    def _find_missed_days(
        self,
        hook: We360Hook,  # noqa: ARG002 - targets with a load log need it
        plan: LoadPlan,  # noqa: ARG002
        sink: Sink,  # noqa: ARG002
    ) -> MissedDays | None:
        """Return the days before the window that this run loads too; None if it was not asked to."""
        return None

    def on_kill(self) -> None:
        """Cancel the statement that is running in the target, if its driver can."""
        if self._load is not None:
            self._load.sink.cancel()

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any] | None:
        """Return what will be read, for Airflow's OpenLineage provider; None if it is not known."""
        from airflow_provider_we360.hooks.we360 import We360Hook
        from airflow_provider_we360.transfers import openlineage

        with suppress(Exception):  # the task itself reports what is wrong, once
            return openlineage.build_start(
                We360Hook(self.we360_conn_id).settings.customer_id, self.report
            )
        return None

    def get_openlineage_facets_on_complete(
        self,
        task_instance: object,  # noqa: ARG002 - the signature of Airflow's listener
    ) -> OperatorLineage[Any, Any] | None:
        """Return what was read and written: columns, and the counts unless the load failed."""
        from airflow_provider_we360.transfers import openlineage

        if self._load is None:
            return self.get_openlineage_facets_on_start()
        return openlineage.build_end(self._load)

    def get_openlineage_facets_on_failure(
        self, task_instance: object
    ) -> OperatorLineage[Any, Any] | None:
        """Return the same as on completion."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _check_literals(self) -> None:
        """Check the arguments that are not templates, so that Airflow shows an import error."""
        from airflow_provider_we360.arguments import literals
        from airflow_provider_we360.client.extract import require_parallel_requests
        from airflow_provider_we360.rows.pseudonyms import require_pseudonymizable
        from airflow_provider_we360.sinks.base import OnEmpty
        from airflow_provider_we360.transfers.pseudonym_keys import parse_key_references

        names = (*literals.ROW_ARGUMENTS, *_WINDOW_ARGUMENTS, "on_empty", "pseudonymize")
        given = literals.find_literals(self, (*names, "we360_conn_id"))
        require_parallel_requests(self.max_parallel_requests)
        outlets.check_partition_events(self.partition_events, given.get("mode"))
        if "we360_conn_id" in given:
            read_required_text(given["we360_conn_id"], "we360_conn_id", CONNECTION)
        read_choice(OnEmpty, given.get("on_empty"), "on_empty", OnEmpty.FAIL)
        literals.check_window(given)
        # References only: the keys themselves are read by the task, never while a Dag is parsed.
        references = parse_key_references(given.get("pseudonymize"))
        # Columns can only be compared with each other if none of the arguments is a template.
        if (extract := literals.check_rows(given)) is not None:
            literals.warn_of_misspelled_columns(extract)
            require_pseudonymizable(references, extract.columns)
            literals.check_lookback(extract, given.get("lookback_days"))

    def _read_extract(self, hook: We360Hook, context: Context) -> Extract:
        """Return the rows to read, and log the window."""
        from airflow_provider_we360.arguments import literals

        window = self._window(context, self._zone(hook))
        values = {name: getattr(self, name) for name in literals.ROW_ARGUMENTS}
        extract = literals.build_extract(values, window)
        literals.check_lookback(extract, self.lookback_days)
        for sentence in literals.describe_misspelled_columns(extract):
            self.log.warning(sentence)
        return extract

    def _zone(self, hook: We360Hook) -> str:
        """Return the time zone in which days are counted."""
        zone = hook.settings.timezone if is_absent(self.timezone) else self.timezone
        return parse_timezone(zone)

    def _now(self) -> dt.datetime:
        return timezone.utcnow()

    def _read_keys(self, extract: Extract) -> dict[str, PseudonymKey]:
        from airflow_provider_we360.rows.pseudonyms import require_pseudonymizable
        from airflow_provider_we360.transfers.pseudonym_keys import read_keys

        keys = read_keys(self.pseudonymize)
        require_pseudonymizable(keys, extract.columns)
        return keys

    def _window(self, context: Context, zone: str) -> Window:
        now = self._now()
        window, reason = resolve_window_with_reason(
            read_run_facts(context),
            window_start=self.window_start,
            window_end=self.window_end,
            timezone=zone,
            lookback_days=self.lookback_days,
        )
        # Logged before the checks: a window that is refused must be visible, and why it was chosen.
        load_logging.log_window(self.log, window, zone, reason)
        check_has_begun(window, now=now, timezone=zone)
        if is_running(window, now=now, timezone=zone):
            self.log.warning(
                "The window's last day has not ended in %s; its rows will change, so load it again"
                " later",
                zone,
            )
        return window

    def _build_plan(
        self, context: Context, hook: We360Hook, extract: Extract, keys: Mapping[str, PseudonymKey]
    ) -> LoadPlan:
        from airflow_provider_we360.sinks.base import LoadPlan

        person_key = next((keys[name] for name in extract.mode.key if name in keys), None)
        user_ids = extract.user_ids
        if person_key is not None:  # the target holds pseudonyms of the IDs
            user_ids = tuple(map(person_key.pseudonym, user_ids))
        return LoadPlan(
            report=extract.report.name,
            mode=extract.mode_name,
            tenant=hook.settings.customer_id,
            window=extract.window,
            day_column=extract.report.day_column if extract.mode.is_daily else None,
            key=extract.mode.key,
            columns=extract.columns,
            user_ids=user_ids,
            pseudonyms={name: key.prefix for name, key in keys.items()},
            personal=frozenset(
                column.name for column in extract.report.columns.values() if column.personal
            ),
            # People change groups and shifts: a window of one group cannot be replaced in a table
            # that holds all of them without leaving rows of those who moved.
            group_filtered=not self.separates_filters
            and bool(extract.group_ids or extract.shift_ids),
            filters=_format_filters(extract),
            run_id=build_run_id(context),
            loaded_at=self._now(),
            **self._plan_fields(),
        )


def _prepare_rows(
    batches: Iterable[RowBatch],
    keys: Mapping[str, PseudonymKey],
    progress: load_logging.LoadProgress,
) -> Iterator[RowBatch]:
    """Yield the batches as the target takes them: counted, and with pseudonyms."""
    from airflow_provider_we360.rows.pseudonyms import pseudonymize

    for batch in batches:
        progress.count(batch)
        yield pseudonymize(batch, keys)
        # After the yield the target has taken the rows, so from here on the load waits for We360.
        progress.await_batch()


def _format_filters(extract: Extract) -> str:
    """Return all that narrows the rows as one text, independent of the order and case of IDs.

    Files are named by it, so the same filters must always give the same text.
    """
    filters: dict[str, Any] = {
        # UUIDs in another case or order are the same filter, and must name the same file.
        name: sorted({one.lower() for one in ids})
        for name in ("group_ids", "shift_ids", "user_ids")
        if (ids := getattr(extract, name))
    }
    if extract.params:
        filters["report_params"] = extract.params
    return json.dumps(filters, sort_keys=True, default=str) if filters else ""
