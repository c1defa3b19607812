"""A company whose past changes at will: rows taken back, given late, restated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from airflow_provider_we360.sandbox.company import Company, ReportRow

Key = tuple[dt.date, str]


class DriftingCompany(Company):
    """Rows of the made-up company, less those withheld, with those restated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.withheld: set[Key] = set()
        self.restated: dict[Key, int] = {}

    def report_rows(
        self,
        first_day: dt.date,
        last_day: dt.date,
        mode: str = "detailed",
        *,
        as_of: dt.date | None = None,
    ) -> Iterator[ReportRow]:
        for entry in super().report_rows(first_day, last_day, mode, as_of=as_of):
            key = (entry.row["attendance_date"], entry.person.identity_id)
            if key in self.withheld:
                continue
            more = self.restated.get(key)
            yield (
                entry
                if more is None
                else replace(
                    entry, row={**entry.row, "active_duration": more, "group_name": f"g{more}"}
                )
            )

    def drift(self, dice: Random, first: dt.date, last: dt.date) -> str:
        """Changes something of these days; what, in a word."""
        self.withheld, kept = set(), set(self.withheld)
        everything = [
            (row["attendance_date"], row["identity_id"]) for row in self.rows(first, last)
        ]
        self.withheld = kept
        what = dice.choice(
            ("removed", "late", "restated", "restated", "emptied", "shrunken", "nothing")
        )
        if not everything:
            return "nothing"
        some = dice.sample(everything, dice.randint(1, max(1, len(everything) // 6)))
        day = dice.choice(everything)[0]
        of_day = [key for key in everything if key[0] == day]
        if what == "removed":
            self.withheld.update(some)
        elif what == "late":
            self.withheld.difference_update(
                dice.sample(sorted(self.withheld), len(self.withheld) * 2 // 3)
            )
        elif what == "restated":
            self.restated.update((key, dice.randrange(90_000)) for key in some)
        elif what == "emptied":
            self.withheld.update(of_day)
        elif what == "shrunken":
            self.withheld.update(of_day[: len(of_day) * dice.choice((40, 60)) // 100])
        return what
