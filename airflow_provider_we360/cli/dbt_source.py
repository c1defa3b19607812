"""The command ``dbt-source``: a dbt source that describes and tests the table of a load."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_we360.client import reports
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import Column, require_column_names
from airflow_provider_we360.sinks import load_log
from airflow_provider_we360.sinks.base import LOADED_AT, LoadPlan
from airflow_provider_we360.sinks.target import TableName, parse_table

_NIGHTLY_H = 26
# A weekend brings no row of a person, so the rows of Friday must count as fresh on Monday.
_WEEKEND_H = 98


def build_dbt_source(
    table: str,
    *,
    report: str = "dynamic_report",
    mode: str = "detailed",
    columns: Sequence[str] = (),
    load_log_table: str | None = None,
) -> str:
    """Return a ``sources.yml`` for dbt 1.10 and later.

    :param table: the table as the operator names it.
    :param columns: the operator's ``columns``; empty: the default ones of the mode.
    :param load_log_table: the operator's ``load_log_table``; if given, freshness is measured on it.
    :raises We360ConfigError: a name is wrong; the message says which.
    """
    name = parse_table(table)
    plan = _build_plan(report, mode, columns)
    lines = [
        "version: 2",
        "",
        "sources:",
        "  - name: we360",
        *(f"    database: {_quote(part)}" for part in [name.database] if part),
        # Without a schema, dbt would look in one that is named like the source.
        f"    schema: {_quote(name.schema or '{{ target.schema }}')}",
        "    tables:",
        *_table_lines(name, plan, _WEEKEND_H if load_log_table is None else None),
    ]
    if load_log_table is not None:
        log_name = parse_table(load_log_table, load_log.ARGUMENT)
        if log_name.parts[:-1] != name.parts[:-1]:
            raise We360ConfigError(
                f"{load_log.ARGUMENT}: {log_name} is not in the schema of {name}, and a dbt source "
                "has one schema; name both the same way"
            )
        lines += _table_lines(log_name, load_log.log_plan(plan), _NIGHTLY_H)
    return "\n".join(lines)


def _build_plan(report_name: str, mode_name: str, columns: Sequence[str]) -> LoadPlan:
    """Return the plan of a load, which knows the table's columns and key."""
    report = reports.get(report_name)
    mode = report.mode(mode_name)
    chosen = require_column_names(columns) if columns else mode.default_columns
    moment = dt.datetime.min.replace(tzinfo=dt.UTC)  # of no load: only columns and key are used
    return LoadPlan(
        report=report_name,
        mode=mode_name,
        tenant="",
        window=(moment.date(), moment.date()),
        day_column=report.day_column if mode.is_daily else None,
        key=mode.key,
        columns=tuple(map(report.column, dict.fromkeys((*mode.key, *chosen)))),
        run_id="",
        loaded_at=moment,
    )


def _table_lines(name: TableName, plan: LoadPlan, fresh_hours: int | None) -> Iterator[str]:
    yield f"      - name: {_quote(name.table)}"
    yield f"        description: {_quote(plan.about)}"
    if fresh_hours is not None:
        yield "        config:"
        yield f"          loaded_at_field: {LOADED_AT.name}"
        yield f"          freshness: {{error_after: {{count: {fresh_hours}, period: hour}}}}"
    # dbt's own test takes an expression in place of a column, so no package is needed.
    key = ", '|', ".join(plan.table_key)
    yield "        data_tests:"
    yield "          - unique:"
    yield "              name: " + _quote(f"unique_{name.table}_key")
    yield f"              arguments: {{column_name: {_quote(f'concat({key})')}}}"
    yield "        columns:"
    yield from _column_lines(plan.all_columns, plan.table_key)


def _column_lines(columns: Iterable[Column], key: Sequence[str]) -> Iterator[str]:
    for column in columns:
        yield f"          - name: {_quote(column.name)}"
        if column.description:
            yield f"            description: {_quote(column.description)}"
        if column.name in key:
            yield "            data_tests: [not_null]"


def _quote(text: str) -> str:
    """Return the text as a YAML scalar: every JSON string is one."""
    return json.dumps(text, ensure_ascii=False)
