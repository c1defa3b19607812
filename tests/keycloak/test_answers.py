"""Every situation of the table on both servers: the same answer, and the provider's error."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from airflow_provider_we360.auth.keycloak import parse_login, parse_refresh
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.errors import We360AuthError
from keycloak.cases import CASES, Case
from keycloak.server import Server


def facts_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Return status, error and description; only the status of a success."""
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    content: dict[str, Any] = answer.json() if is_json else {}
    return answer.status_code, content.get("error"), content.get("error_description")


def understood(case: Case, answer: httpx.Response) -> type[We360AuthError] | None:
    """Return what the provider raises at that answer."""
    try:
        if case.call == "login":
            parse_login(answer, sent_at=0.0)
        elif case.call == "refresh":
            parse_refresh(answer, sent_at=0.0, previous=TokenSet("a", "r", 0.0, 1.0))
    except We360AuthError as error:
        return type(error)
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.call}: {case.situation}")
def test_both_servers_answer_alike_and_the_provider_understands(server: Server, case: Case) -> None:
    answer = case.ask(server)
    assert case.answer == facts_of(answer)
    if case.left is not None:
        assert case.left == server.sessions()
    assert case.means == understood(case, answer)


def test_no_situation_occurs_twice() -> None:
    names = [(case.call, case.situation) for case in CASES]
    assert sorted(set(names)) == sorted(names)
