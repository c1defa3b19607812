from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.schema import COLUMN_NAME
from airflow_provider_we360.sinks.target import TableName, parse_table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attendance", TableName("attendance")),
        ("hr.attendance", TableName("attendance", "hr")),
        ("lake.hr._attendance_2", TableName("_attendance_2", "hr", "lake")),
        ("our-project.hr.attendance", TableName("attendance", "hr", "our-project")),
    ],
)
def test_a_name_has_one_to_three_parts(text: str, expected: TableName) -> None:
    assert parse_table(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a.b.c.d",
        'a"b',
        '"a"',
        "a b",
        "a;drop table b",
        "a-b",
        "a-b.c",
        "a.b-c.d",
        "1a",
        "tábla",
        "a\n",
        "a" * 64,
    ],
)
def test_anything_else_is_refused_and_names_the_argument(text: str) -> None:
    with pytest.raises(We360ConfigError, match=r"^table: "):
        parse_table(text)


@given(st.text(max_size=20))
def test_whatever_is_taken_is_safe_between_quotes(text: str) -> None:
    try:
        name = parse_table(text)
    except We360ConfigError:
        return
    assert all(COLUMN_NAME.fullmatch(part.replace("-", "_")) for part in name.parts)
