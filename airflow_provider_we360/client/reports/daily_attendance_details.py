"""Daily attendance: who came and left when, early, on time or late. **Unconfirmed for We360.**

Documented for another product on the same platform, with the same idiom under other hosts ("sibling" in
``docs/reference/we360-api.md``). It names people by their e-mail alone, so that is its key: use ``pseudonymize``.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_we360.client.report import Mode, Query, Report
from airflow_provider_we360.rows.schema import Column, Kind

_COLUMNS = (
    Column("date", Kind.DATE, "The local business day"),
    Column(
        "email", description="E-mail, the only thing that tells people apart here", personal=True
    ),
    Column("name", description="Name", personal=True),
    Column("shift", description="Shift"),
    Column("arrival_status", description="early, on_time or late"),
    Column("departure_status", description="early, on_time or late"),
    Column("punch_in", Kind.TIMESTAMP, "First punch, local time of the company, without zone"),
    Column("punch_out", Kind.TIMESTAMP, "Last punch, local time of the company, without zone"),
    Column("punch_duration", Kind.DURATION, "From punch in to punch out, seconds"),
    Column("online_duration", Kind.DURATION, "Online, seconds"),
)


def _body(query: Query) -> dict[str, Any]:
    """Plain days; the columns are always all of them."""
    return {
        "start_date": query.first_day.isoformat(),
        "end_date": query.last_day.isoformat(),
        "page": query.page,
        "limit": query.limit,
    }


REPORT = Report(
    name="daily_attendance_details",
    path="/query/reports/daily_attendance_details",
    columns={column.name: column for column in _COLUMNS},
    modes={
        "detailed": Mode(
            key=("date", "email"),
            default_columns=(
                "date",
                "email",
                "shift",
                "arrival_status",
                "departure_status",
                "punch_in",
                "punch_out",
                "punch_duration",
                "online_duration",
            ),
            sliced_by_day=True,
        ),
    },
    day_column="date",
    body=_body,
    filters=frozenset(),
)
