"""The simulator on a socket, with keep-alive and the faults that need a connection."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulator.app import Simulator
from simulator.fault_effects import SocketFault

MAX_BODY_BYTES = 10_000_000


class _Handler(BaseHTTPRequestHandler):
    """One connection. It speaks WSGI to the simulator."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server: SimulatorServer

    def _serve(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if (
            not length.isdigit()
            or int(length) > MAX_BODY_BYTES
            or self.headers.get("Transfer-Encoding")
        ):
            self.close_connection = True
            self.send_error(
                411 if not length.isdigit() or self.headers.get("Transfer-Encoding") else 413
            )
            return
        plan: dict[str, SocketFault] = {}
        said: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            said.update(status=status, headers=headers)

        try:
            body = b"".join(self.server.sandbox(self._environ(int(length), plan), start_response))
        except Exception:  # the client gets an answer, the reader a traceback
            traceback.print_exc()
            self.close_connection = True
            self.send_error(500, explain="The simulator itself failed; see its standard error")
            return
        silent = self.command == "HEAD" or said["status"].startswith(("204", "304"))
        self.log_request(said["status"])
        head = [
            f"HTTP/1.1 {said['status']}",
            *(f"{name}: {value}" for name, value in said["headers"]),
        ]
        if self.close_connection:
            head.append("Connection: close")
        self._send(
            "\r\n".join([*head, "", ""]).encode("latin-1"),
            b"" if silent else body,
            plan.get("fault"),
        )

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815 - names of http.server

    def _environ(self, length: int, plan: dict[str, SocketFault]) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        named = {
            f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()
        }
        return named | {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "wsgi.input": io.BytesIO(self.rfile.read(length)),
            "wsgi.url_scheme": "http",
            "simulator.socket_fault": plan,
        }

    def _send(self, head: bytes, body: bytes, fault: SocketFault | None) -> None:
        if fault is None:
            self.wfile.write(head + body)
            return
        if fault.kind == "drip":
            self._drip(head + body, fault)
            return
        self.close_connection = True
        if fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.kind == "cut_off":
            self.wfile.write(head + body[: len(body) // 2])
        elif fault.kind == "not_http":
            self.wfile.write(b"\x15\x03\x01\x00\x02\x02\x46 this is no HTTP\r\n\r\n")

    def _drip(self, data: bytes, fault: SocketFault) -> None:
        for start in range(0, len(data), fault.chunk):
            self.wfile.write(data[start : start + fault.chunk])
            if self.server.stopping.wait(fault.pause_s):
                return

    def handle(self) -> None:
        """Ignore a client that closes the connection."""
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Log requests only if the command line says so."""
        if self.server.verbose:
            super().log_message(format, *args)


class SimulatorServer(ThreadingHTTPServer):
    """Serve each connection in a thread; threads end with the process."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, sandbox: Simulator, host: str = "127.0.0.1", port: int = 0, *, verbose: bool = False
    ) -> None:
        self.sandbox = sandbox
        self.verbose = verbose
        self.stopping = threading.Event()
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Bind without looking up the host's full name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = (
            str(self.server_address[0]),
            int(self.server_address[1]),
        )


@contextlib.contextmanager
def serve(sandbox: Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[SimulatorServer]:
    """Serve the simulator while the block runs; port 0 takes a free one."""
    server = SimulatorServer(sandbox, host, port)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
