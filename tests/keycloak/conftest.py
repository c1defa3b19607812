"""Both servers, one after the other, behind the same words."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from keycloak.jvm import NoKeycloak, Running, keycloak
from keycloak.real import connected
from keycloak.sandboxed import served
from keycloak.server import Server


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """The one real Keycloak of this session; where there can be none, its tests are skipped, or fail if it is wanted."""
    try:
        with keycloak() as made:
            yield made
    except NoKeycloak as reason:
        absent(str(reason))


def absent(reason: str) -> None:
    """Skips, or fails where a test of the real server may not be left out."""
    if any(
        os.environ.get(name, "").lower() not in {"", "0", "false"}
        for name in ("CI", "WE360_REQUIRE_KEYCLOAK")
    ):
        pytest.fail(f"no real Keycloak: {reason}", pytrace=False)
    pytest.skip(f"no real Keycloak: {reason}")


@pytest.fixture(scope="session")
def real(running: Running) -> Iterator[Server]:
    with connected(running) as server:
        yield server


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Server]:
    with served() as server:
        yield server


@pytest.fixture(params=["sandbox", pytest.param("real", marks=pytest.mark.keycloak)])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two, as at the beginning."""
    found: Server = request.getfixturevalue(request.param)
    found.clear()
    return found
