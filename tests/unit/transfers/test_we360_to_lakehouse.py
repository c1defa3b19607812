"""Arguments of the operator, as they are checked when a Dag is parsed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"table": "days"}, "^table: .*namespace.table"),
        ({"load_log_table": "log"}, "^load_log_table: "),
        ({"write_mode": "upsert"}, "^write_mode: "),
        ({"create_table": "false"}, "^create_table: "),
        ({"evolve_schema": 1}, "^evolve_schema: "),
    ],
)
def test_a_wrong_argument_is_an_import_error(given: dict[str, Any], says: str) -> None:
    with pytest.raises(We360ConfigError, match=says):
        We360ToLakehouseOperator(task_id="load", **({"table": "hr.days"} | given))


def test_a_template_is_left_to_the_run() -> None:
    operator = We360ToLakehouseOperator(task_id="load", table="{{ params.table }}")
    assert operator._target == {"table": "{{ params.table }}"}
    assert {"table", "lakehouse_conn_id", "load_log_table"} <= {*operator.template_fields}
