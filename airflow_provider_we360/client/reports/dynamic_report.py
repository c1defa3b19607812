"""The Dynamic Report: attendance, activity and productivity, per person and day or over a range.

``docs/reference/we360-api.md`` has the source of each fact: We360's documentation ("Dynamic Report
API") or the live API.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_we360.client.report import Mode, Query, Report
from airflow_provider_we360.rows.schema import Column, Kind

_COLUMNS = (
    # person
    Column("identity_id", description="The person's key, a UUID"),
    Column("employee_id", description="The company's own number for the person"),
    Column("first_name", description="First name", personal=True),
    Column("last_name", description="Last name; may be absent", personal=True),
    Column("email", description="E-mail", personal=True),
    Column("secondary_email", description="Second e-mail", personal=True),
    Column("phone_number", description="Telephone number", personal=True),
    Column("gender", description="Gender", personal=True),
    Column("designation", description="Job title"),
    Column("group_name", description="Team"),
    Column("manager", description="Name of the manager", personal=True),
    Column("created_date", description="When the person was added to We360", confirmed=False),
    # day and shift
    Column("attendance_date", Kind.DATE, "The local business day"),
    Column("punch_date", Kind.DATE, "Local day of the punch"),
    Column("punch_in", Kind.TIMESTAMP, "First punch, local time of the company, without zone"),
    Column(
        "punch_out",
        Kind.TIMESTAMP,
        "Last punch, local time of the company, without zone; may be automatic",
    ),
    Column("punch_in_location", description="Place of the first punch", personal=True),
    Column("punch_out_location", description="Place of the last punch", personal=True),
    Column("shift_name", description="Shift"),
    Column("shift_start_dt", description="Start of the shift", confirmed=False),
    Column("shift_end_dt", description="End of the shift", confirmed=False),
    # durations
    Column("punch_duration", Kind.DURATION, "From punch in to punch out, seconds"),
    Column("online_duration", Kind.DURATION, "Online, seconds"),
    Column("online_in_sec", Kind.BIGINT, "Online, seconds, as the server counts them"),
    Column("active_duration", Kind.DURATION, "With keyboard or mouse input, seconds"),
    Column(
        "idle_duration", Kind.DURATION, "Online without input, seconds; never counts as productive"
    ),
    Column("break_duration", Kind.DURATION, "On a break, seconds"),
    Column("productive_duration", Kind.DURATION, "Active in productive applications, seconds"),
    Column("unproductive_duration", Kind.DURATION, "Active in unproductive applications, seconds"),
    Column("neutral_duration", Kind.DURATION, "Active in neutral applications, seconds"),
    # averages a day, summary mode
    Column("avg_online_duration", Kind.DURATION, "Online, average a day, seconds"),
    Column("avg_active_duration", Kind.DURATION, "Active, average a day, seconds"),
    Column("avg_idle_duration", Kind.DURATION, "Idle, average a day, seconds"),
    Column("avg_break_duration", Kind.DURATION, "On a break, average a day, seconds"),
    Column("avg_prod_duration", Kind.DURATION, "Productive, average a day, seconds"),
    Column("avg_unprod_duration", Kind.DURATION, "Unproductive, average a day, seconds"),
    Column("avg_neutral_duration", Kind.DURATION, "Neutral, average a day, seconds"),
    # percents
    Column("active_percent", Kind.DOUBLE, "Active of online, percent; over 100 can occur"),
    Column("idle_percent", Kind.DOUBLE, "Idle of online, percent"),
    Column("productive_percent", Kind.DOUBLE, "Productive of active, percent"),
    # input
    Column("key_presses", Kind.BIGINT, "Key presses, a count"),
    Column("mouse_clicks", Kind.BIGINT, "Mouse clicks, a count"),
    # tops
    Column("top_application_used", description="Application used longest"),
    Column("top_application_duration", Kind.DURATION, "Time in it, seconds"),
    Column("top_url_used", description="Web address used longest", personal=True),
    Column("top_url_duration", Kind.DURATION, "Time at it, seconds", personal=True),
)

_DURATIONS = (
    "online_duration",
    "active_duration",
    "idle_duration",
    "break_duration",
    "productive_duration",
    "unproductive_duration",
    "neutral_duration",
)
_PERCENTS = ("active_percent", "idle_percent", "productive_percent")


def _body(query: Query) -> dict[str, Any]:
    """Return the body. Days are sent long and without zone, in the company's own time."""
    return {
        "start_date": f"{query.first_day.isoformat()}T00:00:00",
        "end_date": f"{query.last_day.isoformat()}T23:59:59",
        "mode": query.mode,
        "columns": list(query.columns),
        "group_id": ",".join(query.group_ids),
        "user_id": ",".join(query.user_ids),
        "shift": list(query.shift_ids),
        "page": query.page,
        "limit": query.limit,
    }


REPORT = Report(
    name="dynamic_report",
    path="/query/external/reports/dynamic_report",
    columns={column.name: column for column in _COLUMNS},
    modes={
        "detailed": Mode(
            key=("attendance_date", "identity_id"),
            default_columns=(
                "attendance_date",
                "identity_id",
                "employee_id",
                "group_name",
                "shift_name",
                "punch_in",
                "punch_out",
                "punch_duration",
                *_DURATIONS,
                *_PERCENTS,
            ),
            is_daily=True,
        ),
        "summary": Mode(
            key=("identity_id",),
            default_columns=(
                "identity_id",
                "employee_id",
                "group_name",
                *_DURATIONS,
                "avg_online_duration",
                "avg_active_duration",
                "avg_idle_duration",
                "avg_break_duration",
                "avg_prod_duration",
                "avg_unprod_duration",
                "avg_neutral_duration",
                *_PERCENTS,
            ),
            is_daily=False,
        ),
    },
    day_column="attendance_date",
    body=_body,
)
