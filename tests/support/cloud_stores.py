"""The object stores that files are loaded into, each a test server of this machine: moto, gcp-storage-emulator, Azurite."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import urlsplit

import pytest

from support.stores import Store

AZURITE = "azurite@3.35.0"
CACHE = Path(__file__).parents[2] / ".cache" / "azurite"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Known to all the world: the one that the emulators of Azure take."""


@dataclass(frozen=True)
class Cloud:
    """One object store with a bucket.

    :param endpoint: where it listens, ``http://127.0.0.1:<port>``.
    :param connect: the Airflow Connection that reaches it at an endpoint.
    :param denial: how it words "no", with its content type.
    """

    scheme: str
    endpoint: str
    connect: Callable[[str], dict[str, Any]]
    denial: tuple[str, str]
    bucket: str = "we360-hr"

    def connection(self, endpoint: str | None = None, **extra: Any) -> str:
        """A new Connection, known to this process and its children; answers its id."""
        made = self.connect(endpoint or self.endpoint)
        made["extra"] = {**made["extra"], **extra}
        conn_id = f"{self.scheme}_{uuid.uuid4().hex[:8]}"
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(made)
        return conn_id

    def store(self, folder: str | None = None, conn_id: str | None = None) -> Store:
        """A folder that is absent yet, for Parquet."""
        folder = folder or f"{uuid.uuid4().hex}/days"
        return Store(
            f"{self.scheme}://{self.bucket}/{folder}", conn_id=conn_id or self.connection()
        )

    @classmethod
    def opened(cls, *given: Any) -> Cloud:
        cloud = cls(*given)
        with suppress(FileExistsError):  # two servers of moto in one process have one memory
            Store(f"{cloud.scheme}://{cloud.bucket}", conn_id=cloud.connection()).place.fs.mkdir(
                cloud.bucket
            )
        return cloud


def refuse(reason: str) -> None:
    """The store is not at hand: tests that need it are left out, or fail where it was promised."""
    if os.environ.get("WE360_REQUIRE_CLOUDS") == "1":
        pytest.fail(f"WE360_REQUIRE_CLOUDS=1, but there is {reason}")
    pytest.skip(f"no clouds here ({reason}): make test-clouds tries them")


def _require(*modules: str) -> None:
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        refuse(f"no {', '.join(missing)}")


@contextmanager
def s3() -> Iterator[Cloud]:
    """Moto's S3. It looks at no signature."""
    _require("moto", "s3fs")
    server = importlib.import_module("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    _, port = server.get_host_and_port()

    def connect(endpoint: str) -> dict[str, Any]:
        extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        return {"conn_type": "aws", "login": "key", "password": "not-for-the-log", "extra": extra}

    denial = (
        "application/xml",
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    )
    yield Cloud.opened("s3", f"http://127.0.0.1:{port}", connect, denial)
    server.stop()


@contextmanager
def gcs() -> Iterator[Cloud]:
    """gcp-storage-emulator. It asks for no credentials."""
    _require("gcp_storage_emulator", "gcsfs")
    # To learn whether a bucket is of the zonal kind gcsfs asks over gRPC, which the emulator does not speak.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    server = importlib.import_module("gcp_storage_emulator.server").create_server(
        "127.0.0.1", 0, in_memory=True
    )
    server.start()
    port = server._api._httpd.socket.getsockname()[1]

    def connect(endpoint: str) -> dict[str, Any]:
        extra = {"is_anonymous": True, "project": "we360", "gcs.endpoint": endpoint}
        return {"conn_type": "google_cloud_platform", "extra": extra}

    denial = (
        "application/json",
        json.dumps({"error": {"code": 403, "message": "no access to we360"}}),
    )
    yield Cloud.opened("gs", f"http://127.0.0.1:{port}", connect, denial)
    server.stop()


@contextmanager
def azure() -> Iterator[Cloud]:
    """Azurite, an npm package: fetched into .cache once. It looks at signatures."""
    _require("adlfs")
    if not shutil.which("node") or not shutil.which("npm"):
        refuse("no node and npm, on which Azurite runs")
    memory = ["--inMemoryPersistence", "--disableTelemetry"]
    # The Python clients are ahead of it by some version of the protocol.
    command = [
        "node",
        _azurite(),
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        "0",
        *memory,
        "--silent",
        "--skipApiVersionCheck",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = _listening(server)

            def connect(endpoint: str) -> dict[str, Any]:
                string = (
                    f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURE_KEY};"
                    f"BlobEndpoint={endpoint}/devstoreaccount1;"
                )
                return {"conn_type": "wasb", "extra": {"connection_string": string}}

            denial = (
                "application/xml",
                "<Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized.</Message></Error>",
            )
            yield Cloud.opened("abfs", f"http://127.0.0.1:{port}", connect, denial)
        finally:
            server.terminate()


def _azurite() -> str:
    """The file that node runs."""
    script = CACHE / "node_modules/azurite/dist/src/blob/main.js"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not script.exists():
            install = [
                "npm",
                "install",
                "--no-audit",
                "--no-fund",
                "--silent",
                "--prefix",
                str(CACHE),
                AZURITE,
            ]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                refuse(f"no Azurite: npm says {done.stderr.strip()[-200:]}")
    return str(script)


def _listening(server: subprocess.Popen[str]) -> int:
    """The port that it says it listens on."""
    assert server.stdout is not None
    for line in server.stdout:
        if "listens on" in line:
            return int(line.rstrip().rpartition(":")[2])
    raise AssertionError("Azurite ended before it listened")


Fault = Literal["denied", "unavailable", "cut", "stalled"]


class Proxy:
    """Stands before an object store and plays faults: the requests that it lets through are the store's own affair.

    :ivar seen: method, path and headers of each request.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self._cloud = cloud
        self._fault: Fault | None = None
        self._times = 0
        self._uploads_only = True
        self._lock = threading.Lock()
        self.stalled = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def play(self, fault: Fault, *, times: int = 10**9, uploads_only: bool = True) -> None:
        """The next requests meet this fault: all of them, or those that bring content."""
        with self._lock:
            self._fault, self._times, self._uploads_only = fault, times, uploads_only

    def heal(self) -> None:
        with self._lock:
            self._fault = None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next_fault(self, method: str, body: bytes) -> Fault | None:
        with self._lock:
            meant = self._fault and (not self._uploads_only or (method in ("PUT", "POST") and body))
            if not meant or self._times == 0:
                return None
            self._times -= 1
            return self._fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = _body(self.rfile, self.headers)
                proxy.seen.append((self.command, self.path, dict(self.headers.items())))
                fault = proxy._next_fault(self.command, body)
                if fault == "denied":
                    self._say(403, *proxy._cloud.denial)
                elif fault == "unavailable":
                    self._say(503, "text/plain", "busy")
                elif fault is None:
                    self._relay(body)
                else:
                    self._half(body)
                    if fault == "stalled":
                        proxy.stalled.set()
                        threading.Event().wait()
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _answer  # noqa: N815 - http.server's names

            def _say(self, status: int, kind: str, text: str) -> None:
                content = b"" if self.command == "HEAD" else text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _sent(self, body: bytes, size: int) -> HTTPConnection:
                """The request, on its way to the store; so many bytes are announced."""
                upstream = HTTPConnection(urlsplit(proxy._cloud.endpoint).netloc, timeout=60)
                upstream.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    if name.lower() not in (
                        "content-length",
                        "transfer-encoding",
                        "expect",
                        "connection",
                    ):
                        upstream.putheader(name, value)
                if size or self.command in ("PUT", "POST"):
                    upstream.putheader("Content-Length", str(size))
                upstream.endheaders()
                upstream.send(body)
                return upstream

            def _half(self, body: bytes) -> None:
                """The store gets half of what was announced, then the line is dead."""
                if proxy._cloud.scheme == "gs":
                    return  # its emulator serves one at a time, and waits for the other half for ever
                self._sent(body[: len(body) // 2], len(body)).close()

            def _relay(self, body: bytes) -> None:
                upstream = self._sent(body, len(body))
                with suppress(OSError), upstream.getresponse() as answer:
                    content = answer.read()
                    self.send_response_only(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in (
                            "content-length",
                            "transfer-encoding",
                            "connection",
                        ):
                            self.send_header(
                                name, value.replace(proxy._cloud.endpoint, proxy.endpoint)
                            )
                    length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                    self.send_header("Content-Length", length or str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *said: object) -> None:
                """Nothing: what matters is in ``seen``."""

        return Handler


def _body(file: IO[bytes], headers: Any) -> bytes:
    if headers.get("Transfer-Encoding", "").lower() != "chunked":
        return file.read(int(headers.get("Content-Length", 0)))
    parts = []
    while size := int(file.readline().partition(b";")[0], 16):
        parts.append(file.read(size))
        file.readline()
    file.readline()
    return b"".join(parts)
