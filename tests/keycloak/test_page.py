from __future__ import annotations

from keycloak.jvm import VERSION
from keycloak.page import BEGIN, END, PAGE, with_answers


def test_the_page_says_what_the_cases_say() -> None:
    page = PAGE.read_text()
    assert (1, 1) == (page.count(BEGIN), page.count(END))
    assert with_answers(page) == page, "write it anew: cd tests && ../.venv/bin/python -m keycloak"


def test_the_page_names_the_version_that_runs() -> None:
    assert f"Keycloak {VERSION}" in PAGE.read_text()
