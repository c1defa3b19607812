"""A real Keycloak on this machine: fetched once, started and ended with the tests."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

VERSION = "26.7.3"
URL = f"https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist/{VERSION}/keycloak-quarkus-dist-{VERSION}.zip"
SHA512 = (
    "15c764765576eef267cf15cc5225a5826b5394a25a83d9bfa5b8544e4bbba690"
    "cb743c9d384200b93bb71ee4c4a328e1dd8c0a00f822fd3e6e154f14b1e47216"
)
CACHE = Path(__file__).parents[2] / ".cache" / "keycloak"
JAVA = 17
START_S = 180
"""The first start also builds the distribution for this machine; all later ones are faster."""

# A JVM must not outlive the tests, however they end: the shell that started it ends the whole group
# when its standard input closes, and the system closes that with the last process that holds it.
_ENDS_WITH_ITS_PARENT = '{ sh "$@" </dev/null; kill -s KILL 0; } & read -r _; kill -s KILL 0'


class NoKeycloak(Exception):
    """This machine cannot run a Keycloak; the message says why."""


class KeycloakFailed(Exception):
    """Keycloak was started and does not answer. The message has the end of its log."""


@dataclass(frozen=True)
class Running:
    """A Keycloak that answers, with a user of the realm ``master`` created for this run."""

    url: str
    log: Path
    admin: str
    password: str


def java(env: Mapping[str, str] = os.environ) -> str:
    """Return the command that runs Java.

    :raises NoKeycloak: if there is none, or it is too old.
    """
    home = env.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java", path=env.get("PATH"))
    said = ""
    if found:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            said = subprocess.run(
                [found, "-version"], capture_output=True, text=True, check=True, timeout=60
            ).stderr
    if not found or not said:
        raise NoKeycloak(
            f"no Java found; install Java {JAVA} or newer, such as default-jre-headless"
        )
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA:
        raise NoKeycloak(
            f"the Java found is older than {JAVA}; install Java {JAVA} or newer, or set JAVA_HOME to it"
        )
    return found


def distribution(cache: Path = CACHE, url: str = URL, sha512: str = SHA512) -> Path:
    """Return the folder of the distribution; fetch, verify and unpack it if it is missing.

    :raises NoKeycloak: if it cannot be fetched.
    :raises KeycloakFailed: if its checksum is not the pinned one.
    """
    folder = cache / f"keycloak-{VERSION}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as made:
        archive = Path(made) / "keycloak.zip"
        _fetch(url, archive, sha512)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(made)
        (Path(made) / folder.name).rename(folder)
    return folder


def _fetch(url: str, into: Path, sha512: str) -> None:
    digest = hashlib.sha512()
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=30) as http,
            http.stream("GET", url) as answer,
            into.open("wb") as file,
        ):
            answer.raise_for_status()
            for piece in answer.iter_bytes(1 << 20):
                digest.update(piece)
                file.write(piece)
    except (httpx.HTTPError, OSError) as failed:
        raise NoKeycloak(
            f"Keycloak {VERSION} cannot be fetched from Maven Central ({type(failed).__name__})"
        ) from None
    if digest.hexdigest() != sha512:
        raise KeycloakFailed(
            f"what was fetched as Keycloak {VERSION} has another SHA-512 than the one pinned in {__file__}"
        )


@contextlib.contextmanager
def keycloak(cache: Path = CACHE, find_java: Callable[[], str] = java) -> Iterator[Running]:
    """Run a Keycloak in memory on a free local port while the block runs.

    :raises NoKeycloak: if this machine has no Java or cannot fetch the distribution.
    :raises KeycloakFailed: if it does not answer.
    """
    command = find_java()
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / "server.log"
    with contextlib.ExitStack() as stack:
        with (cache / "lock").open("w") as lock:
            fcntl.flock(
                lock, fcntl.LOCK_EX
            )  # two test sessions must not fetch or build the distribution at the same time
            running = Running(
                f"http://127.0.0.1:{_free_port()}", log, "admin-of-tests", secrets.token_urlsafe(16)
            )
            process = stack.enter_context(_process(distribution(cache), running, command))
            _wait_until_it_answers(process, running)
        yield running


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _process(home: Path, running: Running, java_command: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KC_", "JAVA_", "QUARKUS_"))
    }
    env |= {
        "JAVA": java_command,
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",  # optimising does not pay off in a short run
        "KC_BOOTSTRAP_ADMIN_USERNAME": running.admin,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": running.password,
    }
    port = running.url.rpartition(":")[2]
    options = ["start-dev", "--db=dev-mem", "--http-host=127.0.0.1", f"--http-port={port}"]
    command = ["sh", "-c", _ENDS_WITH_ITS_PARENT, "keycloak", str(home / "bin" / "kc.sh"), *options]
    running.log.unlink(missing_ok=True)  # the other session keeps writing to its own file
    with running.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            os.killpg(
                process.pid, signal.SIGKILL
            )  # everything is in memory, so there is nothing to save
        process.communicate()


def _wait_until_it_answers(process: subprocess.Popen[bytes], running: Running) -> None:
    until = time.monotonic() + START_S
    with httpx.Client(trust_env=False, timeout=5) as http:
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if http.get(f"{running.url}/realms/master").is_success:
                    return
            time.sleep(0.2)
    ended = (
        "ended by itself"
        if process.poll() is not None
        else f"did not answer within {START_S} seconds"
    )
    raise KeycloakFailed(f"Keycloak {VERSION} {ended}. The end of its log:\n{_end_of(running.log)}")


def _end_of(log: Path, lines: int = 40) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
