"""Both servers, one after the other, with one interface."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from keycloak.jvm import NoKeycloak, Running, keycloak
from keycloak.real import connected
from keycloak.server import Server
from keycloak.simulated import served


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """Start the one real Keycloak of this session, or skip its tests; fail if it is required."""
    try:
        with keycloak() as made:
            yield made
    except NoKeycloak as reason:
        absent(str(reason))


def absent(reason: str) -> None:
    """Skip, or fail if the tests of the real server are required."""
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
def simulator() -> Iterator[Server]:
    with served() as server:
        yield server


@pytest.fixture(params=["simulator", pytest.param("real", marks=pytest.mark.keycloak)])
def server(request: pytest.FixtureRequest) -> Server:
    """Return each of the two in its initial state."""
    found: Server = request.getfixturevalue(request.param)
    found.clear()
    return found
