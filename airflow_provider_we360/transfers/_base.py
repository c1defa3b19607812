"""What all transfers share: the arguments that say which rows, the window, the way the rows take, and the small result."""

from __future__ import annotations

import enum
import json
import time
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import BaseOperator, timezone  # type: ignore[attr-defined]

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.hooks.lineage import tell_of_target
from airflow_provider_we360.hooks.run_facts import run_facts, run_id
from airflow_provider_we360.transfers.lineage import Moved, of_end, of_start
from airflow_provider_we360.transfers.progress import Progress
from airflow_provider_we360.transfers.story import tell_of_result, tell_of_task, told_where_it_fails
from airflow_provider_we360.window import explained_window, is_running

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_we360.client.extract import Extract
    from airflow_provider_we360.client.stats import ReadStats
    from airflow_provider_we360.hooks.we360 import We360Hook
    from airflow_provider_we360.rows.pseudonyms import PseudonymKey
    from airflow_provider_we360.sinks.base import Load, LoadResult, Sink
    from airflow_provider_we360.types import Window


class We360Transfer(BaseOperator):
    """Pulls one report over a window into a target. Subclasses name the target.

    All text arguments are templated. Arguments are checked when the task runs, before the first byte is sent.
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
    filters_lie_apart: ClassVar[bool] = False
    """True where each filter set has a place of its own in the target, so that a replace leaves nobody's old rows behind."""

    def __init__(
        self,
        *,
        we360_conn_id: str = "we360_default",
        report: str = "dynamic_report",
        mode: str = "detailed",
        columns: Sequence[str] | None = None,
        group_ids: Collection[str] = (),
        user_ids: Collection[str] = (),
        shift_ids: Collection[str] = (),
        report_params: Mapping[str, Any] | None = None,
        window_start: Any = None,
        window_end: Any = None,
        timezone: str | None = None,
        lookback_days: int = 0,
        on_empty: str = "fail",
        column_types: Mapping[str, str] | None = None,
        pseudonymize: Mapping[str, str] | None = None,
        max_parallel_requests: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.we360_conn_id = we360_conn_id
        self.report = report
        self.mode = mode
        self.columns = columns
        self.group_ids = group_ids
        self.user_ids = user_ids
        self.shift_ids = shift_ids
        self.report_params = report_params
        self.window_start = window_start
        self.window_end = window_end
        self.timezone = timezone
        self.lookback_days = lookback_days
        self.on_empty = on_empty
        self.column_types = column_types
        self.pseudonymize = pseudonymize
        self.max_parallel_requests = max_parallel_requests
        self._moved: Moved | None = None

    @abstractmethod
    def _sink(self) -> Sink:
        """The target, not yet opened."""

    @property
    @abstractmethod
    def _target(self) -> dict[str, str]:
        """Name and value of the argument that says where the rows go; part of the result."""

    @property
    @abstractmethod
    def _destination(self) -> str:
        """The target, for the log."""

    def _write(self) -> dict[str, Any]:
        """Fields of :class:`Load` that arguments of this kind of target decide, checked."""
        from airflow_provider_we360.sinks.base import OnEmpty

        return {"on_empty": one_of(OnEmpty, self.on_empty, "on_empty")}

    def execute(self, context: Context) -> dict[str, Any]:
        """Resolve the window, pull, load, report. Returns counts, never rows."""
        from airflow_provider_we360.hooks.we360 import We360Hook

        self._moved = None  # of an earlier try in this process, as ``dag.test()`` makes them
        with closing(We360Hook(self.we360_conn_id)) as hook:
            extract = self._extract(hook, context)
            progress, stats, result = self._move(hook, extract, context)
        return self._conclude(context, extract, progress, stats, result)

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any] | None:
        """For Airflow's OpenLineage provider: what will be read; None where the Connection does not say whose it is."""
        from airflow_provider_we360.hooks.we360 import We360Hook

        with suppress(Exception):  # the task itself says what is wrong, once
            return of_start(We360Hook(self.we360_conn_id).settings.customer_id, self.report)
        return None

    def get_openlineage_facets_on_complete(
        self,
        task_instance: object,  # noqa: ARG002 - the signature of Airflow's listener
    ) -> OperatorLineage[Any, Any] | None:
        """What was read and written, with columns and counts; where the load failed, as far as it came, without counts."""
        return (
            of_end(self._moved)
            if self._moved is not None
            else self.get_openlineage_facets_on_start()
        )

    def get_openlineage_facets_on_failure(
        self, task_instance: object
    ) -> OperatorLineage[Any, Any] | None:
        """As on completion."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _extract(self, hook: We360Hook, context: Context) -> Extract:
        from airflow_provider_we360.client.extract import parse_extract

        extract = parse_extract(
            self.report,
            window=self._window(context, self.timezone or hook.settings.timezone),
            mode=self.mode,
            columns=self.columns,
            group_ids=self.group_ids,
            user_ids=self.user_ids,
            shift_ids=self.shift_ids,
            report_params=self.report_params,
            column_types=self.column_types,
        )
        if not extract.mode.sliced_by_day and str(self.lookback_days) != "0":
            raise We360ConfigError(
                f"lookback_days: cannot be used with mode {self.mode!r}, where the window is summed up into one row a person: "
                "a longer window is another sum. Give window_start and window_end"
            )
        return extract

    def _window(self, context: Context, zone: str) -> Window:
        window, why = explained_window(
            run_facts(context),
            window_start=self.window_start,
            window_end=self.window_end,
            timezone=zone,
            lookback_days=self.lookback_days,
        )
        self.log.info(
            "We360 report %s, %s, days %s to %s (%s): %s",
            self.report,
            self.mode,
            *window,
            zone,
            why,
        )
        if is_running(window, now=timezone.utcnow(), timezone=zone):
            self.log.warning(
                "The window's last day has not ended in %s: its rows will change; load it again later",
                zone,
            )
        return window

    def _move(
        self, hook: We360Hook, extract: Extract, context: Context
    ) -> tuple[Progress, ReadStats, LoadResult]:
        from airflow_provider_we360.client.extract import require_parallel_requests
        from airflow_provider_we360.client.stats import ReadStats
        from airflow_provider_we360.rows.pseudonyms import pseudonymize, pseudonymize_columns

        parallel = require_parallel_requests(self.max_parallel_requests)
        keys = self._keys(extract)
        load, sink = self._describe(context, hook, extract, keys), self._sink()
        tell_of_task(self.log, self.we360_conn_id, extract, load, self._destination)
        stats = ReadStats()
        progress = Progress(
            extract.slices,
            clock=time.monotonic,
            tell=self.log.info,
            requests=lambda: stats.requests,
        )
        with (
            told_where_it_fails(self.log, extract, progress, stats),
            progress,
            hook.read(extract, max_parallel_requests=parallel, stats=stats) as rows,
        ):
            columns = pseudonymize_columns(rows.columns, keys)
            self._moved = moved = Moved(replace(load, columns=columns), sink)
            batches = progress.watch(pseudonymize(batch, keys) for batch in rows)
            moved.result = result = sink.load(moved.load, batches)
        tell_of_target(hook, lambda: moved.uri)
        return progress, stats, result

    def _keys(self, extract: Extract) -> dict[str, PseudonymKey]:
        """The key of each column that shall hold pseudonyms."""
        from airflow_provider_we360.hooks.pseudonym_keys import read_keys
        from airflow_provider_we360.rows.pseudonyms import require_pseudonymizable

        keys = read_keys(self.pseudonymize)
        require_pseudonymizable(keys, extract.columns)
        return keys

    def _describe(
        self, context: Context, hook: We360Hook, extract: Extract, keys: Mapping[str, PseudonymKey]
    ) -> Load:
        from airflow_provider_we360.sinks.base import Load

        people = next((keys[name] for name in extract.mode.key if name in keys), None)
        return Load(
            report=extract.report.name,
            mode=extract.mode_name,
            tenant=hook.settings.customer_id,
            window=extract.window,
            day_column=extract.report.day_column if extract.mode.sliced_by_day else None,
            key=extract.mode.key,
            columns=extract.columns,
            user_ids=tuple(map(people.pseudonym, extract.user_ids)) if people else extract.user_ids,
            pseudonyms={name: key.prefix for name, key in keys.items()},
            personal=frozenset(
                column.name for column in extract.report.columns.values() if column.personal
            ),
            group_filtered=not self.filters_lie_apart
            and bool(extract.group_ids or extract.shift_ids),
            filters=_filter_set(extract),
            run_id=run_id(context),
            loaded_at=timezone.utcnow(),
            **self._write(),
        )

    def _conclude(
        self,
        context: Context,
        extract: Extract,
        progress: Progress,
        stats: ReadStats,
        result: LoadResult,
    ) -> dict[str, Any]:
        """The log's last lines, the outlets' extra, and the result that goes to XCom: counts only."""
        tell_of_result(self.log, extract, progress, stats, result)
        window = [day.isoformat() for day in extract.window]
        for outlet in self.outlets:
            if getattr(outlet, "uri", None):
                context["outlet_events"][outlet].extra.update(
                    {"report": extract.report.name, "window": [*window], "rows": result.rows}
                )
        return {
            "report": extract.report.name,
            "window": window,
            "rows": result.rows,
            "slices": extract.slices,
            "requests": stats.requests,
            **self._target,
            "seconds": round(progress.seconds, 3),
        }


def _filter_set(extract: Extract) -> str:
    """All that narrows the rows, as one text: the same whatever the order and case in which ids are written."""
    ids = {
        "group_ids": extract.group_ids,
        "shift_ids": extract.shift_ids,
        "user_ids": extract.user_ids,
    }
    filters: dict[str, Any] = {
        name: sorted({one.lower() for one in given}) for name, given in ids.items() if given
    }
    if extract.params:
        filters["report_params"] = extract.params
    return json.dumps(filters, sort_keys=True, default=str) if filters else ""


E = TypeVar("E", bound=enum.StrEnum)


def one_of(choices: type[E], value: object, argument: str) -> E:
    """The member of that value.

    :raises We360ConfigError: otherwise; names the argument and the choices.
    """
    try:
        return choices(str(value))
    except ValueError:
        raise We360ConfigError(
            f"{argument}: {value!r} is unknown; use one of {', '.join(choices)}"
        ) from None
