"""A server that answers each request with the same bytes, for ever; and the most memory that this process has held."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def endless(
    first: bytes, then: bytes = b"", *, pause_s: float = 0.0, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Its port. Whatever is asked: ``first``, and then ``then`` again and again.

    :param pause_s: before each ``then``.
    """
    is_over = threading.Event()

    def answer(line: socket.socket) -> None:
        with (
            suppress(OSError),
            line if tls is None else tls.wrap_socket(line, server_side=True) as open_line,
        ):
            while open_line.recv(65_536):
                open_line.sendall(first)
                while then and not is_over.wait(pause_s):
                    open_line.sendall(then)

    def accept() -> None:
        with suppress(OSError):
            while True:
                line, _ = server.accept()
                threading.Thread(target=answer, args=(line,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            server.shutdown(socket.SHUT_RDWR)


def peak_growth_bytes(work: Callable[[], object]) -> int:
    """How much more memory than before this process held at once during the work (Linux: VmHWM, set back before)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    work()
    return _status_bytes("VmHWM") - before


def _status_bytes(name: str) -> int:
    line = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith(f"{name}:")
    )
    return int(line.split()[1]) * 1024
