"""The command example: every example Dag can be listed and printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_we360.cli.command import main

FOLDER = Path(__file__).resolve().parents[3] / "example_dags"


def test_examples_are_listed_with_a_sentence_each(capsys):
    assert main(["example"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(FOLDER.glob("*.py")))
    assert {"postgres", "duckdb", "history"} <= {line.split()[0] for line in lines}
    assert all(line.endswith(".") for line in lines)


@pytest.mark.parametrize("name", ["postgres", "we360_to_postgres", "we360_to_postgres.py"])
def test_an_example_is_printed_as_it_is(name, capsys):
    assert main(["example", name]) == 0
    assert capsys.readouterr().out == (FOLDER / "we360_to_postgres.py").read_text()


def test_an_unknown_example_names_those_there_are(capsys):
    assert main(["example", "oracle"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no example 'oracle'; use one of accounts, " in printed.err
