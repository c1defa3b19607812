"""The demo's report: one HTML file without scripts, fonts or any other request to a network."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

PARTS = {
    "productive": "#1b7f5c",
    "neutral": "#8fb3a5",
    "unproductive": "#d99a1c",
    "idle": "#c4c8ce",
}
"""Categories of We360, each with its colour."""

HOURS_SQL = """\
SELECT
    coalesce(group_name, 'No team') AS team,
    CAST(date_trunc('week', attendance_date) AS DATE) AS week,
    count(*) AS row_count,
    count(DISTINCT identity_id) AS people,
    coalesce(sum(online_duration), 0) / 3600 AS online_hours,
    coalesce(sum(productive_duration), 0) / 3600 AS productive_hours,
    coalesce(sum(neutral_duration), 0) / 3600 AS neutral_hours,
    coalesce(sum(unproductive_duration), 0) / 3600 AS unproductive_hours,
    coalesce(sum(idle_duration), 0) / 3600 AS idle_hours
FROM we360_days
WHERE attendance_date BETWEEN DATE '{first}' AND DATE '{last}'
GROUP BY ALL
ORDER BY ALL"""

DAYS_SQL = """\
SELECT
    day,
    arg_max(row_count, _we360_loaded_at) AS rows_loaded,
    (SELECT count(*) FROM we360_days WHERE attendance_date = day) AS rows_in_table
FROM we360_load_log
WHERE day BETWEEN DATE '{first}' AND DATE '{last}'
GROUP BY day
ORDER BY day"""


@dataclass(frozen=True)
class Cell:
    """What one team did in one week."""

    rows: int
    online: float
    parts: tuple[float, ...]


def write_report(database: Path, first: dt.date, last: dt.date, facts: str, file: Path) -> None:
    """Read the tables of the demo and write the report.

    :param facts: a sentence under the title, plain text.
    """
    window = {"first": first.isoformat(), "last": last.isoformat()}
    with duckdb.connect(str(database), read_only=True) as warehouse:
        hours = warehouse.execute(HOURS_SQL.format(**window)).fetchall()
        days = warehouse.execute(DAYS_SQL.format(**window)).fetchall()
    cells = {(row[0], row[1]): Cell(row[2], row[4], tuple(row[5:])) for row in hours}
    sections = (
        _section("Hours per team and week", _hours(cells, first, last), HOURS_SQL.format(**window)),
        _section(
            "Completeness by day", _completeness(days, first, last), DAYS_SQL.format(**window)
        ),
    )
    title = f"We360 hours, {first:%-d %B} to {last:%-d %B %Y}"
    file.write_text(
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head>\n<body><main><h1>{title}</h1>"
        f"<p>{html.escape(facts)}</p>\n{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, body: str, sql: str) -> str:
    return (
        f"<section><h2>{title}</h2>{body}<details><summary>The SQL behind it</summary>"
        f"<pre>{html.escape(sql)};</pre></details></section>\n"
    )


def _hours(cells: dict[tuple[str, dt.date], Cell], first: dt.date, last: dt.date) -> str:
    """Return a table of bars on one scale, with sums of rows and columns."""
    teams = sorted({team for team, _ in cells}, key=lambda team: (team == "No team", team))
    weeks = sorted({week for _, week in cells})
    scale = max((sum(cell.parts) for cell in cells.values()), default=0) or 1
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{part}</span>' for part, colour in PARTS.items()
    )
    head = "".join(f"<th>{_week(week, first, last)}</th>" for week in weeks)
    lines = [
        f"<tr><th>{html.escape(team)}</th>"
        + "".join(_bar(cells.get((team, week)), scale) for week in weeks)
        + f"<td class=sum>{_online(cells, team=team):,.0f}</td></tr>"
        for team in teams
    ]
    sums = "".join(f"<td class=sum>{_online(cells, week=week):,.0f}</td>" for week in weeks)
    return (
        f"<p class=legend>{legend}<span>number: hours online</span></p>"
        f"<div class=wide><table><thead><tr><th></th>{head}"
        "<th class=sum>All weeks</th></tr></thead>"
        f"<tbody>{''.join(lines)}</tbody><tfoot><tr><th>All teams</th>{sums}"
        f"<td class=sum>{_online(cells):,.0f}</td></tr></tfoot></table></div>"
        "<p class=note>All bars share one scale. A bar may be longer or shorter than the hours "
        "online: We360 counts a passive meeting as active and idle, and some online time belongs "
        "to no category. Sums are rounded last.</p>"
    )


def _week(week: dt.date, first: dt.date, last: dt.date) -> str:
    """Return the heading of a week, with its number of days if it is cut by the window."""
    days = (min(last, week + dt.timedelta(days=6)) - max(first, week)).days + 1
    cut = "" if days == 7 else f" <small>({days} day{'s' if days > 1 else ''})</small>"
    return f"{week:%-d %b}{cut}"


def _bar(cell: Cell | None, scale: float) -> str:
    if cell is None:
        return "<td></td>"
    parts = "".join(
        f'<i style="width:{100 * hours / scale:.2f}%;background:{colour}"></i>'
        for hours, colour in zip(cell.parts, PARTS.values(), strict=True)
    )
    words = ", ".join(
        f"{part} {hours:.0f} h" for part, hours in zip(PARTS, cell.parts, strict=True)
    )
    return (
        f'<td title="{words}, {cell.rows} rows"><div class=bar>{parts}</div>{cell.online:,.0f}</td>'
    )


def _online(
    cells: dict[tuple[str, dt.date], Cell], team: str | None = None, week: dt.date | None = None
) -> float:
    return sum(
        cell.online
        for (cell_team, cell_week), cell in cells.items()
        if team in {None, cell_team} and week in {None, cell_week}
    )


def _completeness(days: Iterable[tuple[Any, ...]], first: dt.date, last: dt.date) -> str:
    """Return a calendar: for each day the rows of the load log, checked against the table."""
    loaded = {day: (logged, stored) for day, logged, stored in days}
    monday = first - dt.timedelta(days=first.weekday())
    lines = []
    for week in range((last - monday).days // 7 + 1):
        dates = [monday + dt.timedelta(days=7 * week + weekday) for weekday in range(7)]
        cells = (
            _day(day, loaded.get(day)) if first <= day <= last else "<td></td>" for day in dates
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))
    complete = sum(logged == stored for logged, stored in loaded.values())
    total = (last - first).days + 1
    return (
        f"<p>{complete} of {total} days are loaded, and the table holds exactly the rows that the "
        "load log counted. A day off is loaded too: with no rows.</p><div class=wide>"
        f"<table class=days><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        "</div>"
    )


def _day(day: dt.date, counts: tuple[int, int] | None) -> str:
    if counts is None:
        return f"<td class=bad><b>{day:%-d %b}</b>not loaded</td>"
    logged, stored = counts
    if logged != stored:
        return f"<td class=bad><b>{day:%-d %b}</b>{logged} loaded, {stored} there</td>"
    kind = "good" if stored else "empty"
    return f"<td class={kind}><b>{day:%-d %b}</b>{stored} row{'' if stored == 1 else 's'}</td>"


_STYLE = """
:root { color-scheme: light dark; --ink: #1d2530; --paper: #fff; --line: #d9dde3; --dim: #5d6876;
  --good: #dff1e9; --empty: #eef0f3; --bad: #f7d6d2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --paper: #14181e; --line: #343c47;
  --dim: #9aa5b3; --good: #1d4435; --empty: #262d36; --bad: #5c2a26; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 19px; margin: 36px 0 8px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 8px; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: bottom; }
th { font-weight: 600; white-space: nowrap; }
td { min-width: 76px; font-size: 13px; } td.sum, th.sum { text-align: right; font-weight: 600; }
tfoot td { text-align: left; } tfoot td.sum:not(:last-child) { text-align: left; }
small { color: var(--dim); font-weight: 400; }
.bar { display: flex; height: 12px; margin-bottom: 2px; } .bar i { display: block; }
.legend span { margin-right: 18px; white-space: nowrap; }
.legend i { display: inline-block; width: 12px; height: 12px; margin-right: 6px; }
.note { color: var(--dim); font-size: 13px; }
table.days { border-collapse: separate; border-spacing: 4px; table-layout: fixed; }
table.days td { border: 0; border-radius: 4px; min-width: 0; }
table.days b { display: block; } table.days th { border: 0; }
td.good { background: var(--good); } td.empty { background: var(--empty); color: var(--dim); }
td.bad { background: var(--bad); }
pre { overflow-x: auto; border: 1px solid var(--line); padding: 12px; font-size: 13px; }
summary { cursor: pointer; margin-top: 10px; }
"""
