"""python -m benchmarks.tokens: what a month of a fleet costs the login server, for every mix, as a Markdown table."""

from __future__ import annotations

import itertools
import logging
from typing import Any

from support.fleet import Fleet, Trouble, month

DAYS = 30
HEAD = (
    "mix",
    "tasks",
    "logins",
    "refused",
    "refreshes",
    "tokens reused",
    "failed tasks",
    "live sessions",
)


def mixes() -> list[tuple[str, dict[str, Any]]]:
    """Name and switches of each."""
    told: list[tuple[str, dict[str, Any]]] = [
        (
            f"rotation {_on(rotation)}, login guard {_on(guard)}",
            {"rotation": rotation, "login_guard": guard},
        )
        for rotation, guard in itertools.product((False, True), (False, True))
    ]
    told += [
        ("both on, clocks of workers ten minutes apart", {"skews": (0.0, 600.0, -600.0)}),
        ("both on, clock of the server ten minutes ahead", {"clock_skew_s": 600}),
        ("both on, token lives 300 s", {"access_lifetime_s": 300}),
        (
            "both on, token lives 60 s, tasks every 20 s for a day",
            {"access_lifetime_s": 60, "every_s": 20.0, "days": 1},
        ),
        ("both on, 2 % of Variable calls take up to 3 s", {"trouble": Trouble(slow_share=0.02)}),
        ("both on, 20 % of Variable calls take up to 3 s", {"trouble": Trouble(slow_share=0.2)}),
        ("both on, reads up to 1 s behind", {"trouble": Trouble(stale_s=1.0)}),
        (
            "both on, writes within 0.3 s collide (Airflow 2.11)",
            {"trouble": Trouble(colliding=0.3)},
        ),
        ("both on, 40 tasks an hour", {"tasks": 40}),
    ]
    return told


def row(name: str, fleet: Fleet) -> tuple[str, ...]:
    """One line of the table."""
    counts = fleet.request_log.counts
    figures = (
        fleet.done + len(fleet.failures),
        fleet.request_log.logins,
        counts["logins_refused"],
        fleet.request_log.refreshes,
        fleet.reuses,
        len(fleet.failures),
        fleet.live_sessions,
    )
    return name, *(f"{figure:,}" for figure in figures)


def main() -> None:
    """Print it."""
    logging.disable(logging.CRITICAL)
    print(
        f"Eight tasks that start together every hour, for {DAYS} simulated days; a token lives ten hours.\n"
    )
    print("| " + " | ".join(HEAD) + " |")
    print("| --- |" + " ---: |" * (len(HEAD) - 1))
    for name, switches in mixes():
        print("| " + " | ".join(row(name, month(**({"days": DAYS} | switches)))) + " |", flush=True)


def _on(switch: bool) -> str:
    return "on" if switch else "off"


if __name__ == "__main__":
    main()
