"""The table and the picture of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = "| rows | ms a request | target | contender | seconds | CPU s | rows/s | of reference (goal) | peak MB | requests |"
RULE = "| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
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


def write(lines: list[Any], about: str) -> None:
    """Put the table between its marks, and draw the picture."""
    page = DOCS / "performance.md"
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join([HEAD, RULE, *map(row, lines)])
    page.write_text(f"{before}{BEGIN}\n{about}.\n\n{table}\n{END}{after}")
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
