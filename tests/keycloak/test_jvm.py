"""How the real server is fetched, started and ended, tested without one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from keycloak import jvm
from keycloak.jvm import KeycloakFailed, NoKeycloak

watches_processes = pytest.mark.only_if(
    Path("/proc/self/stat").exists(), reason="looks for processes in /proc"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Return the address of a file that is not a distribution, and the file."""
    made = tmp_path / "served" / "keycloak.zip"
    made.parent.mkdir()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr(f"keycloak-{jvm.VERSION}/bin/kc.sh", "echo the port is taken; exit 1\n")
    handler = partial(Quiet, directory=str(made.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keycloak.zip", made
        server.shutdown()
        thread.join()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with a distribution whose script the test writes."""
    script = tmp_path / f"keycloak-{jvm.VERSION}" / "bin" / "kc.sh"
    script.parent.mkdir(parents=True)
    yield script
    shutil.rmtree(tmp_path)


def test_the_distribution_is_fetched_once_and_unpacked(
    archive: tuple[str, Path], tmp_path: Path
) -> None:
    url, served = archive
    digest = hashlib.sha512(served.read_bytes()).hexdigest()
    home = jvm.distribution(tmp_path, url, digest)
    assert (home / "bin" / "kc.sh").is_file()
    served.unlink()
    assert home == jvm.distribution(tmp_path, url, digest)
    assert [home.name, "served"] == sorted(path.name for path in tmp_path.iterdir()), (
        "nothing half fetched is left"
    )


def test_another_file_than_the_pinned_one_is_not_unpacked(
    archive: tuple[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeycloakFailed, match="another SHA-512"):
        jvm.distribution(tmp_path, archive[0], "0" * 128)
    assert ["served"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/keycloak.zip", "http://127.0.0.1:{port}/nothing.zip"]
)
def test_without_a_network_there_is_no_keycloak(
    archive: tuple[str, Path], tmp_path: Path, url: str
) -> None:
    port = archive[0].split(":")[2].split("/")[0]
    with pytest.raises(NoKeycloak, match="cannot be fetched from Maven Central"):
        jvm.distribution(tmp_path, url.format(port=port))


def test_without_java_there_is_no_keycloak() -> None:
    with pytest.raises(NoKeycloak, match="no Java found; install"):
        jvm.java({"PATH": "/nowhere"})
    with pytest.raises(NoKeycloak, match="no Java found; install"):
        jvm.java({"JAVA_HOME": "/nowhere"})


def test_an_old_java_is_none(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    with pytest.raises(NoKeycloak, match="older than 17"):
        jvm.java({"JAVA_HOME": str(tmp_path)})


@pytest.mark.long
@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [({}, "1 skipped"), ({"WE360_REQUIRE_KEYCLOAK": "1"}, "1 error"), ({"CI": "true"}, "1 error")],
)
def test_without_a_server_its_tests_are_skipped_or_fail(
    wanted: dict[str, str], outcome: str
) -> None:
    tests = Path(__file__).with_name("test_provider.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rsE",
        "-p",
        "no:cacheprovider",
        str(tests),
        "-k",
        "real and disabled_account",
    ]
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in {"CI", "WE360_REQUIRE_KEYCLOAK", "COLUMNS"}
    }
    env |= {"JAVA_HOME": "/nowhere", "COLUMNS": "200"} | wanted
    output = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, cwd=tests.parents[2]
    ).stdout
    assert outcome in output
    assert (
        "no real Keycloak: no Java found; install Java 17 or newer, such as default-jre-headless"
        in output
    )


def test_a_server_that_does_not_come_up_shows_the_end_of_its_log(
    fake: Path, tmp_path: Path
) -> None:
    fake.write_text("seq 100; echo the port is taken; exit 1\n")
    with (
        pytest.raises(KeycloakFailed, match="ended by itself") as failed,
        jvm.keycloak(tmp_path, find_java=lambda: "java"),
    ):
        pass
    assert str(failed.value).endswith("\n100\nthe port is taken")
    assert "\n50\n" not in str(failed.value)


@watches_processes
def test_a_server_ends_with_its_block_with_all_that_it_started(fake: Path, tmp_path: Path) -> None:
    fake.write_text(f"sleep 300 & echo $! >{tmp_path}/child; wait\n")
    running = jvm.Running("http://127.0.0.1:1", tmp_path / "log", "a", "b")
    with jvm._process(fake.parents[1], running, "java"):
        child = _written(tmp_path / "child")
        assert _lives(child)
    assert _ends(child)


@watches_processes
def test_a_server_ends_with_the_tests_even_if_they_are_killed(fake: Path, tmp_path: Path) -> None:
    fake.write_text(f"sleep 300 & echo $! >{tmp_path}/child; wait\n")
    code = (
        "import pathlib, time, keycloak.jvm as jvm\n"
        f"running = jvm.Running('http://127.0.0.1:1', pathlib.Path({str(tmp_path / 'log')!r}), 'a', 'b')\n"
        f"with jvm._process(pathlib.Path({str(fake.parents[1])!r}), running, 'java'):\n"
        "    time.sleep(300)\n"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    child = _written(tmp_path / "child")
    assert _lives(child)
    tests.kill()
    tests.wait()
    assert _ends(child)


def _written(path: Path) -> int:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if path.is_file() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError("the server's script was not run")


def _lives(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    return False


def _ends(process: int) -> bool:
    until = time.monotonic() + 20
    while _lives(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not _lives(process)
