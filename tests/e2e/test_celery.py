"""The same fleet under Celery: two workers, as on two machines, know of each other only through Airflow's Variables."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import socket
import subprocess

import pytest

from e2e.fleet import LIFETIME_S, TASKS, account, everything_in, fleet
from support.real_airflow import free_port, wait_until

pytestmark = pytest.mark.e2e

SCENES = {
    "cold": account("cold", rotation=True, login_takes_s=0.5),
    "expiry": account("expiry", rotation=True, access_lifetime_s=LIFETIME_S),
}
WORKERS = ("one", "two")


def missing():
    """What this suite needs and this machine lacks."""
    if shutil.which("redis-server") is None:
        return "no redis-server; Debian, Ubuntu: apt-get install redis-server"
    try:
        importlib.metadata.version("apache-airflow-providers-celery")
    except importlib.metadata.PackageNotFoundError:
        return (
            "no apache-airflow-providers-celery in this environment; make test-celery installs it"
        )
    return None


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A Redis of our own that writes nothing down."""
    if why := missing():
        (pytest.fail if os.environ.get("WE360_REQUIRE_CELERY") == "1" else pytest.skip)(why)
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = [
        "redis-server",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    with (folder / "redis.txt").open("wb") as log:
        redis = subprocess.Popen(
            [*command, "--dir", str(folder)], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield port
    finally:
        redis.terminate()
        redis.wait()


@pytest.fixture(scope="module")
def ships(tmp_path_factory, broker, metadata_database):
    home = tmp_path_factory.mktemp("celery")
    environment = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{broker}/0",
    }

    def workers(airflow):
        wait_until(lambda: listens(broker), airflow, "Redis up")
        for name in WORKERS:
            each = (
                "--celery-hostname",
                f"{name}@fleet",
                "--concurrency",
                str(TASKS // len(WORKERS)),
                "--skip-serve-logs",
            )
            airflow.start("celery", "worker", *each, log_name=f"worker-{name}", FLEET_WORKER=name)
        for name in WORKERS:
            log = airflow.home / f"worker-{name}.txt"
            wait_until(
                lambda log=log: "ready." in log.read_text(), airflow, f"Celery worker {name} up"
            )

    with fleet(
        home, metadata_database, SCENES, environment=environment, more_parts=workers
    ) as ships:
        yield ships


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_two_workers_on_a_cold_cache_log_in_once(ships, figure):
    run = ships.run("cold", "cold")
    figure(ships.figures("cold", run))
    run.assert_all_at_once()
    run.assert_green(ships.rows_of_the_day("cold"))
    assert run.workers == dict.fromkeys(WORKERS, TASKS // len(WORKERS))
    assert ships.sandboxes["cold"].request_log.counts["logins_sent"] == 1
    assert ships.live_sessions("cold") == 1


def test_a_token_expiring_under_two_workers_is_renewed_once(ships, figure):
    run = ships.run("expiry", "expiry")
    figure(ships.figures("expiry", run))
    run.assert_all_at_once()
    run.assert_green(ships.rows_of_the_day("expiry"))
    assert run.workers == dict.fromkeys(WORKERS, TASKS // len(WORKERS))
    ships.assert_renewed_by_one("expiry", LIFETIME_S)


def test_no_lease_stays_and_nothing_leaks(ships):
    left = [
        name for (name,) in ships.airflow.rows("SELECT key FROM variable WHERE key LIKE 'we360%%'")
    ]
    assert len(left) == len(SCENES)
    assert all(name.startswith("we360_token__") for name in left)
    texts = dict(everything_in(ships.airflow))
    texts |= {
        str(path): path.read_text(errors="replace") for path in ships.airflow.home.rglob("*.txt")
    }
    texts |= {
        str(path): path.read_text(errors="replace") for path in ships.airflow.home.rglob("*.log")
    }
    assert {
        name for name, text in texts.items() if ships.secrets_in(text) or ships.logins_in(text)
    } == set()
