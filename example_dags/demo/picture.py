"""Hours productive, neutral, unproductive and idle, per team and day, as one picture."""

from __future__ import annotations

from pathlib import Path

import duckdb
import matplotlib as mpl

mpl.use("Agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt

PARTS = {
    "productive_duration": ("productive", "#1b7f5c"),
    "neutral_duration": ("neutral", "#9fb8ad"),
    "unproductive_duration": ("unproductive", "#e0a526"),
    "idle_duration": ("idle", "#c9ccd1"),
}


def draw(database: Path, table: str, picture: Path) -> None:
    """Read the table and write the picture."""
    sums = ", ".join(f"sum({column}) / 3600" for column in PARTS)
    with duckdb.connect(str(database), read_only=True) as warehouse:
        rows = warehouse.execute(
            f"SELECT coalesce(group_name, 'no team'), attendance_date, {sums} FROM {table} GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
    teams = sorted({row[0] for row in rows})
    columns = 2
    lines = -(-len(teams) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(11, 2.1 * lines + 0.9), sharex=True, squeeze=False
    )
    for axis, team in zip(axes.flat, teams, strict=False):
        mine = [row for row in rows if row[0] == team]
        days = [row[1] for row in mine]
        bottom = [0.0] * len(mine)
        for number, (label, colour) in enumerate(PARTS.values(), start=2):
            heights = [float(row[number] or 0) for row in mine]
            axis.bar(days, heights, bottom=bottom, color=colour, width=0.85, label=label)
            bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
        axis.set_title(team, loc="left", fontsize=10, fontweight="bold")
        axis.set_ylabel("hours a day", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.set_major_locator(mdates.WeekdayLocator(byweekday=mdates.MO))
        axis.xaxis.set_major_formatter(mdates.DateFormatter("%d %b"))
    for axis in axes.flat[len(teams) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncols=len(PARTS), frameon=False, fontsize=9)
    figure.suptitle(
        "How each team's online time was spent", x=0.01, ha="left", fontsize=13, fontweight="bold"
    )
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(picture, dpi=130)
    plt.close(figure)
