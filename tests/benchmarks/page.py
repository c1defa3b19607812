"""The table and the picture of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
HEAD = "| rows | ms a request | target | contender | seconds | CPU s | rows/s | of reference (goal) | peak MB | requests |"
RULE = "| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
NIGHT_HEAD = "| days | contender | seconds | times ours | requests |"
NIGHT_RULE = "| ---: | --- | ---: | ---: | ---: |"
NIGHT_NAMES = {
    "ours, replace_window x4": "this provider",
    "pandas": "script, day after day",
    "dlt, pages until one is empty": "dlt, page after page",
}
COLOURS = {"ours": "#2b6cb0", "reference": "#a0aec0"}


def row(line: Any) -> str:
    """A line of the table."""
    scene = line.scene
    goal = f" ({line.goal})" if line.goal else ""
    ratio = f"{line.ratio:.2f}{goal}" if line.ratio else "-"
    cells = [
        f"{scene.rows:,}",
        scene.latency_ms,
        scene.target,
        line.name,
        f"{line.seconds:.2f}",
        f"{line.cpu:.2f}",
    ]
    cells += [
        f"{scene.rows / line.seconds:,.0f}",
        ratio,
        f"{line.peak_mb:.0f}",
        f"{line.requests:,}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def night_row(line: Any, lines: list[Any]) -> str:
    """Return a line of the table of nights; the first contender of its scene is ours."""
    ours = next(other for other in lines if other.scene == line.scene)
    times = f"{line.seconds / ours.seconds:.1f}"
    cells = (line.scene.days, line.name, f"{line.seconds:.1f}", times, line.requests)
    return f"| {' | '.join(map(str, cells))} |"


def replace(name: str, text: str) -> None:
    """Put a text between the marks of its name."""
    page, begin, end = DOCS / "performance.md", f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def write_nights(lines: list[Any], waits: list[str]) -> None:
    """Put the two tables of slow answers into the page, and draw the picture."""
    table = [NIGHT_HEAD, NIGHT_RULE, *(night_row(line, lines) for line in lines)]
    replace("nights", "\n".join(table))
    replace("waits", "\n".join(waits))
    (DOCS / "images" / "night.svg").write_text(night_svg(lines))


NIGHT_STYLE = """
text { font: 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2933; }
.head { font-weight: 600; } .ours { fill: #2b6cb0; } .other { fill: #a0aec0; }
.card { fill: #ffffff; stroke: #d9e2ec; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb; } .card { fill: #161b22; stroke: #30363d; } .ours { fill: #63a4e8; }
  .other { fill: #5b6675; }
}
"""


def night_svg(lines: list[Any]) -> str:
    """Return the picture: a bar of seconds for each contender, a group for each window."""
    longest, bar_at, bar_width = max(line.seconds for line in lines), 200, 430
    shapes, y, days = [], 20, 0
    for line in lines:
        if line.scene.days != days:
            days, y = line.scene.days, y + (38 if days else 18)
            head = f"Load {days} days, one second per response"
            shapes.append(f'<text class="head" x="20" y="{y}">{head}</text>')
        y += 26
        width = bar_width * line.seconds / longest
        kind = "ours" if line.name.startswith("ours") else "other"
        shapes.append(
            f'<text x="20" y="{y}">{NIGHT_NAMES[line.name]}</text>'
            f'<rect class="{kind}" x="{bar_at}" y="{y - 14}" width="{width:.1f}" height="18" rx="3"/>'
            f'<text x="{bar_at + width + 8:.1f}" y="{y}">{line.seconds:.1f} s</text>'
        )
        y += 6 if line is lines[-1] else 0
    width, height = bar_at + bar_width + 90, y + 20
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" '
                'aria-label="Seconds to load 8 and 30 days if each response takes a second">'
            ),
            f"<style>{NIGHT_STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def write(lines: list[Any], about: str) -> None:
    """Put the table between its marks, and draw the picture."""
    replace("table", "\n".join([f"{about}.", "", HEAD, RULE, *map(row, lines)]))
    draw([line for line in lines if line.scene.rows == 200_000 and not line.scene.latency_ms])


def draw(lines: list[Any]) -> None:
    """Rows a second of each contender, a panel a target."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "we360"
    from matplotlib import pyplot as plt

    targets = list(dict.fromkeys(line.scene.target for line in lines))
    if not targets:
        return
    counts = [sum(line.scene.target == target for line in lines) for target in targets]
    size: dict[str, Any] = {
        "figsize": (8, 0.3 * sum(counts) + 1.6),
        "height_ratios": counts,
        "sharex": True,
        "layout": "constrained",
    }
    figure, panels = plt.subplots(len(targets), squeeze=False, **size)
    for target, panel in zip(targets, panels[:, 0], strict=True):
        shown = [line for line in lines if line.scene.target == target][::-1]
        colours = [COLOURS.get(line.name.split()[0].strip(","), "#dd9955") for line in shown]
        panel.barh(
            [line.name for line in shown],
            [line.scene.rows / line.seconds for line in shown],
            color=colours,
        )
        panel.set_title(target, loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    panels[-1, 0].set_xlabel("rows a second, 200,000 rows, no latency")
    figure.savefig(DOCS / "performance.svg", metadata={"Date": None})
