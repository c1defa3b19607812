"""Load four weeks of sums per person every Monday, and build a table of teams for a dashboard.

In ``summary`` mode, We360 adds up a window. Windows in one table must not overlap, or days would
count twice, so each window is a week from Monday to Sunday. The last four weeks are loaded because
past days change; a week that exists is replaced.

The dashboard reads only ``hr.we360_team_weeks``. It contains no person, and no team of fewer than
five, whose average would reveal individuals: ``SELECT week, team, hours_a_person FROM
hr.we360_team_weeks ORDER BY week, team``.

It needs two Connections: ``we360_default`` (type We360) and ``postgres_default`` (type Postgres),
and the schema: ``CREATE SCHEMA hr``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, get_current_context, task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator

TEAM_WEEKS = """
CREATE TABLE IF NOT EXISTS hr.we360_team_weeks (
    week date, team text, people bigint,
    hours_a_person double precision, productive_percent double precision
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
        """Return the four complete weeks before the run as windows."""
        context = get_current_context()
        # A manual run has no interval in Airflow 3, and no run_after in Airflow 2.11.
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

    # Without autocommit, all statements are one transaction: the dashboard never sees an empty
    # table.
    load >> SQLExecuteQueryOperator(
        task_id="team_weeks", conn_id="postgres_default", sql=TEAM_WEEKS, split_statements=True
    )
