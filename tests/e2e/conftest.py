"""What the suites under a real scheduler share: a database for Airflow, and figures at the end of the run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from support import real_airflow

# Who stops the tests with time-out or kill stops what they have started, too: as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module")
def metadata_database() -> Iterator[str]:
    """A PostgreSQL for Airflow itself."""
    with real_airflow.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps a line that is printed when all is done: what was measured."""
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)
