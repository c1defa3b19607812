"""A TCP proxy before a database: loses the line at a chosen moment, as networks do."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Line:
    """Carries each connection to the database.

    :param upstream: opens a connection to it.
    """

    def __init__(self, upstream: Callable[[], socket.socket]) -> None:
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._word: bytes | None = None
        self._delivered = False
        self._after_bytes: int | None = None
        self.lost = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_at(self, word: bytes, *, delivered: bool) -> None:
        """End the connection that sends this word; where it is delivered, once the database has answered, unheard."""
        self._word, self._delivered = word, delivered

    def lose_after(self, sent_bytes: int) -> None:
        """End the connection that has sent so many bytes to the database."""
        self._after_bytes = sent_bytes

    def heal(self) -> None:
        self._word = self._after_bytes = None

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with (
            client,
            self._upstream() as server,
            selectors.DefaultSelector() as ready,
            suppress(OSError),
        ):
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            sent = 0
            while True:
                for key, _ in ready.select():
                    source, sink = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    if not (data := source.recv(1 << 16)):
                        return
                    if source is client:
                        sent += len(data)
                        if self._after_bytes is not None and sent > self._after_bytes:
                            sink.sendall(data[: len(data) // 2])
                            self.lost.set()
                            return
                        if self._word is not None and self._word in data:
                            if self._delivered:
                                sink.sendall(data)
                                sink.recv(1 << 16)
                            self.lost.set()
                            return
                    sink.sendall(data)
