"""Draw docs/images/result.svg from a loaded table: python docs/result_picture.py warehouse.duckdb.

The database is the one of the quickstart: 90 days of the sandbox's company in ``we360_days``.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).resolve().parent / "images" / "result.svg"
QUERY = """\
SELECT group_name, CAST(date_trunc('week', attendance_date) AS DATE) AS week,
       sum(online_duration) / 3600.0 / count(DISTINCT identity_id) AS hours
FROM we360_days
GROUP BY group_name, week"""
FIRST, LAST = dt.date(2026, 1, 5), dt.date(2026, 3, 23)
LEFT, TOP, WIDTH, HEIGHT = 176, 132, 50, 26

# Pictures in an <img> follow the reader's colour scheme by a media query alone.
STYLE = """
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2933; }
.code { font: 12.5px ui-monospace, Consolas, monospace; fill: #3e4c59; white-space: pre; }
.head, .code .word { font-weight: 600; } .soft { fill: #616e7c; font-size: 12px; }
.cell { font-size: 12px; text-anchor: middle; } .card { fill: #ffffff; stroke: #d9e2ec; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb; } .code { fill: #cbd2d9; } .soft { fill: #9aa5b1; }
  .card { fill: #161b22; stroke: #30363d; }
}
"""


def main(database: str) -> None:
    """Read the hours and write the picture."""
    import duckdb

    with duckdb.connect(database, read_only=True) as connection:
        rows = connection.execute(QUERY).fetchall()
    hours = {(team, week): value for team, week, value in rows if team and FIRST <= week <= LAST}
    PICTURE.write_text(svg(hours))


def svg(hours: dict[tuple[str, dt.date], float]) -> str:
    """Return the picture: the query above, then one line a team and one cell a week."""
    weeks = sorted({week for _, week in hours})
    teams = sorted({team for team, _ in hours})
    width, height = LEFT + WIDTH * len(weeks) + 24, TOP + HEIGHT * len(teams) + 40
    label = "Hours online per person and week, by team"
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" role="img"',
        f'viewBox="0 0 {width} {height}" aria-label="{label}">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>',
    ]
    for number, line in enumerate(QUERY.splitlines()):
        x = 20 + 7.55 * (len(line) - len(line.lstrip()))
        out.append(
            f'<text class="code" x="{x:g}" y="{28 + 18 * number}">{escape(line.lstrip())}</text>'
        )
    for column, week in enumerate(weeks):
        x = LEFT + WIDTH * column + WIDTH / 2
        out.append(f'<text class="soft cell" x="{x:g}" y="{TOP - 10}">{week:%d %b}</text>')
    for row, team in enumerate(teams):
        y = TOP + HEIGHT * row
        out.append(f'<text x="20" y="{y + 17}">{escape(team)}</text>')
        for column, week in enumerate(weeks):
            if (value := hours.get((team, week))) is None:
                continue
            strength = max(0.0, min(1.0, (value - 22) / 22))
            x = LEFT + WIDTH * column
            red, green, blue = (round(a + (b - a) * strength) for a, b in COLOURS)
            ink = "#ffffff" if strength > 0.5 else "#102a43"
            out.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="3" '
                f'fill="#{red:02x}{green:02x}{blue:02x}"/>'
                f'<text class="cell" x="{x + WIDTH / 2:g}" y="{y + 17}" style="fill:{ink}">'
                f"{value:.0f}</text>"
            )
    note = f"{label}. Sandbox company, 90 days, loaded by one task."
    out.append(f'<text class="soft" x="20" y="{height - 14}">{note}</text></svg>')
    return "\n".join(out) + "\n"


COLOURS = ((222, 15), (238, 110), (245, 130))
"""Red, green and blue of the fewest and of the most hours."""


if __name__ == "__main__":
    main(sys.argv[1])
