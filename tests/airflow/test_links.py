"""The link "Documentation" of a failed task leads to the section about its error."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_we360 import errors, links
from airflow_provider_we360.provider_info import get_provider_info
from support.airflow_line import AIRFLOW

KEY = "_link_DocumentationLink" if AIRFLOW >= (3, 0) else "we360_documentation"


def linked(run) -> list[str]:
    """Return the addresses that the tasks of a run have stored."""
    tasks = run.get_task_instances()
    return [one for ti in tasks if (one := ti.xcom_pull(task_ids=ti.task_id, key=KEY))]


@pytest.mark.usefixtures("airflow_db", "duckdb_file")
def test_a_failed_load_links_to_its_error(example, sandbox):
    sandbox.faults.add("report", "http_403", times=9)
    run = example("we360_to_duckdb").test()
    assert run.state == "failed"
    (address,) = linked(run)
    assert address.startswith("https://")
    assert address.endswith("/reference/errors.html#airflow_provider_we360.errors.AccessDenied")
    sandbox.faults.clear()
    assert linked(example("we360_to_duckdb").test()) == []


def test_each_error_has_a_section_on_the_page():
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
    shown = ".. automodule:: airflow_provider_we360.errors\n   :members:"
    assert shown in page.read_text()
    address = links.documentation_of(errors.SinkBusy("x"))
    assert address.endswith("/reference/errors.html#airflow_provider_we360.errors.SinkBusy")
    assert links.documentation_of(ValueError("x")) == ""


def test_airflow_knows_the_link():
    (path,) = get_provider_info()["extra-links"]
    assert path == f"{links.__name__}.{links.DocumentationLink.__name__}"
