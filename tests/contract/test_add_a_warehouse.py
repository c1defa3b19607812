"""The example of docs/how-to/add-a-warehouse.md is a warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.errors import EmptyDayRefused, SinkError
from airflow_provider_we360.sinks import registry, warehouses
from support.documents import blocks
from support.engines import Postgres
from support.loads import NASTY, append, batch, day, load, merge, row, rows

PAGE = Path(__file__).parents[2] / "docs/how-to/add-a-warehouse.md"


class Yugabyte(Postgres):
    """PostgreSQL behind a hook of another type."""

    def hook(self) -> Any:
        hook = super().hook()
        hook.conn_type = "yugabytedb"
        return hook

    sink = Postgres.__mro__[1].sink  # type: ignore[assignment, attr-defined]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str) -> Postgres:
    (block,) = blocks("python", of=[PAGE])
    assert len(block.text.splitlines()) <= 120
    (tmp_path / "yugabytedb.py").write_text(block.text)
    monkeypatch.setattr(warehouses, "__path__", [*warehouses.__path__, str(tmp_path)])
    return Yugabyte(postgres_server)


def test_the_example_loads_replaces_and_merges(engine: Postgres, table: str) -> None:
    content = [row(1, name, **values) for name, values in NASTY.items()]
    assert engine.sink(table).warehouse is registry.get("yugabytedb")
    assert engine.load(table, load(), content, f"{table}_log").rows == len(content)
    assert engine.load(table, load(), content, f"{table}_log").rows_changed == 0
    assert engine.load(table, merge(), [row(1, "zeros", note="x")]).rows_changed == 1
    changed = [one | ({"note": "x"} if one["identity_id"] == "zeros" else {}) for one in content]
    # merge replaced the whole row: columns without a value are NULL.
    zeros = row(1, "zeros", note="x")
    expected = [zeros if one["identity_id"] == "zeros" else one for one in changed]
    assert engine.rows(table) == sorted(batch(expected).rows, key=repr)


def test_the_example_keeps_the_rules(engine: Postgres, table: str) -> None:
    engine.load(table, load(), rows(1, 3, note="old"))
    with pytest.raises(EmptyDayRefused):
        engine.load(table, load(), rows(2, 1))
    with pytest.raises(SinkError, match=r"Use write_mode='replace_window' or 'merge'") as caught:
        engine.load(table, append(run_id="two"), [row(1, "p0", note="secret")])
    assert "secret" not in str(caught.value)
    with pytest.raises(SinkError, match="CREATE SCHEMA"):
        engine.load("absent.attendance", load(), rows(1, 1))
    assert engine.load(table, load(window=(day(1), day(1))), rows(1, 2)).rows_removed == 3
