"""Any sequence of loads leaves what a few lines of plain Python would leave."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_we360.errors import EmptyDayRefused, SinkError
from airflow_provider_we360.sinks.base import LoadPlan, OnEmpty, WriteMode
from support.engines import Engine
from support.loads import COLUMNS, batch, day, load, row

FEW = tuple(
    column for column in COLUMNS if column.name in ("attendance_date", "identity_id", "count")
)
PEOPLE = ("p0", "p1", "p2")


IN_PLACE = ("duckdb", "mysql", "postgres", "sqlite")


@dataclass
class Model:
    """The table as a list."""

    unique: bool
    held: list[dict[str, Any]] = field(default_factory=list)

    def take(self, load: LoadPlan, rows: list[dict[str, Any]]) -> None:
        coming = [{**one, "tenant": load.tenant, "run": load.run_id} for one in rows]
        if load.write_mode is WriteMode.APPEND:
            stay = [one for one in self.held if one["run"] != load.run_id]
        elif load.write_mode is WriteMode.MERGE:
            keys = {self.key(one) for one in coming}
            stay = [one for one in self.held if self.key(one) not in keys]
        else:
            stay, coming = self.replaced(load, coming)
        left = stay + coming
        if self.unique and len({self.key(one) for one in left}) < len(left):
            raise SinkError
        self.held = left

    def replaced(
        self, load: LoadPlan, coming: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        first, last = load.window

        def in_scope(one: dict[str, Any]) -> bool:
            mine = one["tenant"] == load.tenant and first <= one["attendance_date"] <= last
            return mine and (not load.user_ids or one["identity_id"] in load.user_ids)

        emptied = {one["attendance_date"] for one in self.held if in_scope(one)} - {
            one["attendance_date"] for one in coming
        }
        if emptied and load.on_empty is OnEmpty.FAIL:
            raise EmptyDayRefused
        kept = emptied if load.on_empty is OnEmpty.KEEP else set()
        stay = [one for one in self.held if not in_scope(one) or one["attendance_date"] in kept]
        return stay, coming

    def keep_untouched(self, before: list[dict[str, Any]], stored: Counter[Any]) -> None:
        """Give new rows the run of an equal row before the load, if the table kept that row.

        An unchanged row is not touched where rows are updated in place (docs/adr/0016).
        """
        missing = [one for one in self.held if not _take(stored, _row(one))]
        for one in missing:
            for old in before:
                if _row(old)[:-1] == _row(one)[:-1] and _take(stored, _row(old)):
                    one["run"] = old["run"]
                    break

    @staticmethod
    def key(one: dict[str, Any]) -> tuple[object, ...]:
        return one["tenant"], one["attendance_date"], one["identity_id"]


@st.composite
def steps(draw: st.DrawFn) -> tuple[LoadPlan, list[dict[str, Any]]]:
    first = draw(st.integers(1, 3))
    last = draw(st.integers(first, 3))
    mode = draw(st.sampled_from(WriteMode))
    people = draw(st.sets(st.sampled_from(PEOPLE), min_size=1)) if draw(st.booleans()) else set()
    filtered = people if mode is WriteMode.REPLACE_WINDOW else set()
    keys = draw(
        st.sets(
            st.tuples(st.integers(first, last), st.sampled_from(sorted(filtered) or PEOPLE)),
            max_size=5,
        )
    )
    asked = load(
        columns=FEW,
        window=(day(first), day(last)),
        write_mode=mode,
        tenant=draw(st.sampled_from(["one", "two"])),
        run_id=draw(st.sampled_from(["a", "b"])),
        user_ids=tuple(sorted(filtered)),
        on_empty=draw(st.sampled_from(OnEmpty)),
    )
    return asked, [
        row(number, person, count=draw(st.integers(0, 9))) for number, person in sorted(keys)
    ]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(unique=st.booleans(), sequence=st.lists(steps(), min_size=1, max_size=6))
def test_any_sequence_of_loads_equals_the_model(
    engine: Engine, unique: bool, sequence: list[tuple[LoadPlan, list[dict[str, Any]]]]
) -> None:
    table = f"model_{uuid.uuid4().hex[:12]}"
    unique = unique and engine.has_keys
    model = Model(unique)
    made = replace(sequence[0][0], write_mode=WriteMode.MERGE if unique else WriteMode.APPEND)
    engine.sink(table).load(made, [batch([], FEW)])
    before: list[dict[str, Any]] = []
    for asked, content in sequence:
        expected = _outcome(lambda asked=asked, content=content: model.take(asked, content))
        actual = _outcome(
            lambda asked=asked, content=content: engine.sink(table).load(
                asked, [batch(content, FEW)]
            )
        )
        assert expected == actual
        stored = sorted(
            (
                one["_we360_tenant"],
                one["attendance_date"],
                one["identity_id"],
                one["count"],
                one["_we360_run_id"],
            )
            for one in engine.rows(table, FEW, extra=("_we360_tenant", "_we360_run_id"))
        )
        if engine.conn_type in IN_PLACE:
            model.keep_untouched(before, Counter(stored))
        before = list(model.held)
        assert _comparable(model) == stored


def _outcome(act: Any) -> type[BaseException] | None:
    try:
        act()
    except SinkError as error:
        return type(error)
    return None


def _comparable(model: Model) -> list[tuple[Any, ...]]:
    return sorted(map(_row, model.held))


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["tenant"], one["attendance_date"], one["identity_id"], one["count"], one["run"]


def _take(stored: Counter[Any], one: tuple[Any, ...]) -> bool:
    stored[one] -= 1
    if stored[one] < 0:
        stored[one] += 1
        return False
    return True


def test_the_model_itself_can_refuse() -> None:
    with pytest.raises(SinkError):
        Model(unique=True).take(load(), [row(1, "p0"), row(1, "p0")])
