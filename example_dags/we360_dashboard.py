"""Every Monday: four weeks summed up by We360, a row a person and week, and of these a small table for a dashboard.

In ``summary`` mode We360 itself adds up a window. Windows in one table must not overlap, or a day would count twice: so each is
a week from Monday to Sunday. The last four are loaded, because the past changes; a week that is there already is replaced.

The dashboard reads ``hr.we360_team_weeks`` and needs no right on anything else. No person is in it, and no team of fewer than
five, whose average would tell of persons: ``SELECT week, team, hours_a_person FROM hr.we360_team_weeks ORDER BY week, team``.

It needs two Connections: ``we360_default`` (type We360) and ``postgres_default`` (type Postgres), and the schema, once:
``CREATE SCHEMA hr``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, get_current_context, task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

TEAM_WEEKS = """
CREATE TABLE IF NOT EXISTS hr.we360_team_weeks (
    week date, team text, people bigint, hours_a_person double precision, productive_percent double precision
);
DELETE FROM hr.we360_team_weeks;
INSERT INTO hr.we360_team_weeks
SELECT
    _we360_window_start,
    coalesce(group_name, 'no team'),
    count(*),
    sum(active_duration) / 3600.0 / count(*),
    100.0 * sum(productive_duration) / nullif(sum(active_duration), 0)
FROM hr.we360_weeks
GROUP BY 1, 2
HAVING count(*) >= 5;
"""

with DAG(
    dag_id="we360_dashboard",
    schedule="0 12 * * 1",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Kolkata"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["we360"],
) as dag:

    @task
    def weeks() -> list[dict[str, str]]:
        """The four whole weeks before the run, as windows."""
        context = get_current_context()
        # A manual run of Airflow 3 has no interval, and Airflow 2.11 has no run_after.
        moment = context.get("data_interval_end") or context["dag_run"].run_after
        this_monday = pendulum.instance(moment).in_timezone("Asia/Kolkata").start_of("week")
        mondays = [this_monday.subtract(weeks=number) for number in (4, 3, 2, 1)]
        return [
            {"window_start": str(day.date()), "window_end": str(day.add(days=6).date())}
            for day in mondays
        ]

    load = We360ToSqlOperator.partial(
        task_id="load",
        sql_conn_id="postgres_default",
        table="hr.we360_weeks",
        mode="summary",
        retries=3,
        map_index_template="{{ task.window_start }}",
    ).expand_kwargs(weeks())

    # Without autocommit all statements are one transaction: the dashboard never finds the table empty.
    load >> SQLExecuteQueryOperator(
        task_id="team_weeks", conn_id="postgres_default", sql=TEAM_WEEKS, split_statements=True
    )
