"""Real Airflow before the sandbox, and headless Chromium before Airflow: one of each for the whole session."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from browser.pages import Pages
from simulator.app import Simulator
from simulator.config import Account, SimulatorConfig
from simulator.server import serve
from support.real_airflow import Airflow, postgres, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator

EXAMPLE = Path(__file__).resolve().parents[2] / "example_dags" / "we360_to_duckdb.py"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--no-sandbox",  # as root, as on most machines that build
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LARGEST_PICTURE_BYTES = 200_000


def absent(reason: str) -> NoReturn:
    """Skips, or fails where the browser may not be left out."""
    if os.environ.get("WE360_REQUIRE_BROWSER", "").lower() not in {"", "0", "false"}:
        pytest.fail(f"no browser: {reason}", pytrace=False)
    pytest.skip(f"no browser: {reason}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, with a profile of its own that is thrown away."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("Playwright is not installed; .ci/bootstrap test browser")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        absent("Chromium is not installed; Debian, Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def blind() -> Account:
    """An account whose role sees no one."""
    return Account(login="blind.etl@acme-demo.example.com", password="blind-Passw0rd-81c2", sees=())


@pytest.fixture(scope="session")
def sandbox(blind: Account) -> Simulator:
    return Simulator(SimulatorConfig(employees=50, more_accounts=(blind,)))


@pytest.fixture(scope="session")
def we360(sandbox: Simulator) -> Iterator[str]:
    """URL of the sandbox."""
    with serve(sandbox) as server:
        yield server.url


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Airflow's home, Dags and warehouse. A short path that names nobody: a task's log shows it, and so does a picture."""
    with tempfile.TemporaryDirectory(prefix="we360-") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def warehouse(folder: Path) -> Path:
    return folder / "warehouse.duckdb"


@pytest.fixture(scope="session")
def airflow(browser: Browser, folder: Path, warehouse: Path) -> Iterator[Airflow]:
    """Airflow as a newcomer has it, but for the switch that lets Connections be tested. It knows one example Dag."""
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(EXAMPLE, dags)
    environment = {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW_CONN_DUCKDB_DEFAULT": json.dumps({"conn_type": "duckdb", "host": str(warehouse)}),
        "NO_PROXY": "*",  # a host that is not there shall not be asked of a proxy
    }
    with postgres() as database, Airflow(folder, database, dags, **environment) as running:
        wait_until(lambda: EXAMPLE.stem in running.known_dags(), running, "the example Dag parsed")
        yield running


@pytest.fixture(scope="session")
def person(browser: Browser) -> Iterator[BrowserContext]:
    """Somebody in India. The cache of the browser is shared by all tabs: Airflow's UI is large."""
    with browser.new_context(locale="en-US", timezone_id="Asia/Kolkata") as context:
        yield context


@pytest.fixture
def pages(person: BrowserContext, airflow: Airflow) -> Iterator[Pages]:
    """Airflow's pages in a tab of its own, high enough for the whole form."""
    tab = person.new_page()
    pages = Pages(tab, airflow.url)
    pages.resize(1120, 1240)
    yield pages
    tab.close()


@pytest.fixture
def picture(tmp_path: Path, sandbox: Simulator, blind: Account) -> Callable[[str, Locator], None]:
    """Takes a picture of a part of a page, for the documentation where ``WE360_SCREENSHOTS`` names its folder."""
    into = Path(os.environ.get("WE360_SCREENSHOTS") or tmp_path)

    def take(name: str, part: Locator) -> None:
        shown = part.evaluate(
            "part => part.innerText + [...part.querySelectorAll('input')].map(field => field.value)"
        )
        people = {
            value
            for person in sandbox.company.people
            for value in (person.identity_id, person.columns["email"])
            if value
        }
        kept_back = {
            sandbox.config.login,
            sandbox.config.password,
            blind.login,
            blind.password,
            *people,
        }
        assert [secret for secret in kept_back if secret in shown] == []
        path = into / f"{name}.png"
        part.screenshot(
            path=path, animations="disabled", style="[data-part=backdrop] { background: white }"
        )
        assert path.stat().st_size < LARGEST_PICTURE_BYTES

    return take
