"""What a table must hold: the rules of docs/explanation/exactly-once.md in plain Python, sharing no code with the sinks."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


class Refuses(Exception):
    """The load must fail, and change nothing."""


class Empties(Refuses):
    """A day would vanish or shrink."""


@dataclass(frozen=True)
class Order:
    """One load, as the user writes it."""

    first: dt.date
    last: dt.date
    lookback: int
    write_mode: str
    on_empty: str
    people: tuple[str, ...]
    run_id: str

    @property
    def window(self) -> tuple[dt.date, dt.date]:
        return self.first - dt.timedelta(days=self.lookback), self.last


@dataclass
class Model:
    """The table as a list of rows, each with its run.

    :param unique: the target keeps keys apart by itself.
    :param in_place: the target updates rows that differ, and does not touch equal ones.
    """

    unique: bool
    in_place: bool = False
    held: list[Row] = field(default_factory=list)

    def take(self, order: Order, told: list[Row]) -> list[Row]:
        """What the table holds after the load of what the company told.

        :raises Refuses: it must fail.
        """
        coming = [
            {**row, "run": order.run_id}
            for row in told
            if not order.people or row["identity_id"] in order.people
        ]
        if self.in_place and order.write_mode != "append":
            coming = self._untouched(coming)
        if order.write_mode == "append":
            left = [row for row in self.held if row["run"] != order.run_id] + coming
        elif order.write_mode == "merge":
            new = {_key(row) for row in coming}
            left = [row for row in self.held if _key(row) not in new] + coming
        else:
            left = self._replaced(order, coming)
        if self.unique and len({_key(row) for row in left}) < len(left):
            raise Refuses
        return left

    def _untouched(self, coming: list[Row]) -> list[Row]:
        """Return the rows; those that equal a row of the table keep its run."""
        held: dict[object, list[Row]] = {}
        for row in self.held:
            held.setdefault(_key(row), []).append(row)
        if any(len(held.get(_key(row), ())) > 1 for row in coming):
            return coming  # duplicates are deleted, and all rows inserted again
        return [
            found[0] if found and {**found[0], "run": row["run"]} == row else row
            for row in coming
            for found in [held.get(_key(row), [])]
        ]

    def _replaced(self, order: Order, coming: list[Row]) -> list[Row]:
        first, last = order.window
        in_scope = [
            row
            for row in self.held
            if first <= row["attendance_date"] <= last
            and (not order.people or row["identity_id"] in order.people)
        ]
        had, has = (Counter(row["attendance_date"] for row in rows) for rows in (in_scope, coming))
        suspect = {
            day
            for day, count in had.items()
            if has[day] == 0 or (count >= 20 and has[day] * 2 < count)
        }
        if suspect and order.on_empty == "fail":
            raise Empties
        kept = suspect if order.on_empty == "keep" else set()
        goes = {id(row) for row in in_scope if row["attendance_date"] not in kept}
        return [row for row in self.held if id(row) not in goes] + [
            row for row in coming if row["attendance_date"] not in kept
        ]


def _key(row: Row) -> tuple[object, object]:
    return row["attendance_date"], row["identity_id"]
