"""Bounds: an answer comes in time and fits into memory, headers and packed bodies too, or it is given up.

httpx bounds the silence between two reads of a socket, never their number: a byte of a header each second could hold a task
for ever. And it unpacks whatever comes: a megabyte of gzip can be a gigabyte of zeros. Both are bounded here for each
request that carries a :class:`Bound`, by hooks that httpx offers, so that what it reads by itself (a 401 before its replay)
is bounded as well.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import httpx

from airflow_provider_we360.transport import AnswerTooLarge
from airflow_provider_we360.types import Clock

EXTENSION = "we360_bound"
ENCODINGS = "gzip"
"""All that is asked for and unpacked. Other packings are not: few libraries can stop in the middle of one."""
_GZIP = frozenset({"gzip", "x-gzip"})
_PLAIN = frozenset({"", "identity"})
_OPENED = ("connect_tcp.complete", "start_tls.complete")


class Bound:
    """What one answer may take.

    :param deadline_s: seconds from sending the request to the last byte of its answer.
    :param most_bytes: of the body, unpacked.
    """

    def __init__(self, deadline_s: float, most_bytes: int, clock: Clock) -> None:
        self.most_bytes = most_bytes
        self._deadline_s = deadline_s
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """The request goes out now, for the first time or once more."""
        self._end = self._clock() + self._deadline_s

    def left_s(self) -> float:
        """Seconds that are left.

        :raises httpx.ReadTimeout: none are.
        """
        left_s = self._end - self._clock()
        if left_s <= 0:
            raise httpx.ReadTimeout(f"the answer was not complete after {self._deadline_s:.0f} s")
        return left_s


class Bounds:
    """Hooks for the requests and responses of one client. A request without a :class:`Bound` passes as it is."""

    def __init__(self) -> None:
        # A request is sent, and its answer read, by one thread; the connection may serve another one next.
        self._thread = threading.local()

    def on_request(self, request: httpx.Request) -> None:
        """It is about to be sent."""
        bound: Bound | None = request.extensions.get(EXTENSION)
        if bound is not None:
            bound.begin()
        self._hold(bound)
        request.extensions.setdefault("trace", self._on_event)

    def on_response(self, response: httpx.Response) -> None:
        """Its headers are there; what is yet to come is unpacked and counted."""
        if (bound := response.request.extensions.get(EXTENSION)) is None:
            return
        packed = response.headers.pop("content-encoding", "").strip().lower()
        body = cast("httpx.SyncByteStream", response.stream)
        response.stream = _Body(body, packed, bound, self._hold)

    def _hold(self, bound: Bound | None) -> None:
        self._thread.bound = bound

    def _on_event(self, name: str, facts: dict[str, Any]) -> None:
        """``trace`` of httpx: each connection that it opens reads in time from then on, whoever's answer it reads."""
        if not name.endswith(_OPENED):
            return
        stream = facts["return_value"]
        read = stream.read

        def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
            bound: Bound | None = getattr(self._thread, "bound", None)
            if bound is not None:
                left_s = bound.left_s()
                timeout = left_s if timeout is None else min(left_s, timeout)
            return cast("bytes", read(max_bytes, timeout=timeout))

        stream.read = read_in_time


class _Body(httpx.SyncByteStream):
    """A body, unpacked, within its bound.

    :param hold: holds this thread to a bound.
    """

    def __init__(
        self,
        body: httpx.SyncByteStream,
        packed: str,
        bound: Bound,
        hold: Callable[[Bound | None], None],
    ) -> None:
        self._body = body
        self._packed = packed
        self._bound = bound
        self._hold = hold

    def __iter__(self) -> Iterator[bytes]:
        parts = self._parts()
        if self._packed in _GZIP:
            return unpacked(parts, self._bound.most_bytes)
        if self._packed not in _PLAIN:
            raise httpx.DecodingError("the answer is packed in a way that was not asked for")
        return counted(parts, self._bound.most_bytes)

    def close(self) -> None:
        self._hold(None)
        self._body.close()

    def _parts(self) -> Iterator[bytes]:
        parts = iter(self._body)
        while True:
            self._hold(
                self._bound
            )  # since the last part the thread may have asked for something else, such as a token
            try:
                part = next(parts)
            except StopIteration:
                return
            yield part


def counted(parts: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """The same.

    :raises AnswerTooLarge: it is more.
    """
    left_bytes = most_bytes
    for part in parts:
        left_bytes -= len(part)
        if left_bytes < 0:
            raise AnswerTooLarge(most_bytes)
        yield part


def unpacked(parts: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """What was packed with gzip. No more than may come is ever unpacked.

    :raises AnswerTooLarge: it is more.
    :raises httpx.DecodingError: it is no gzip, or ends too early.
    """
    gzip, left_bytes, has_come = zlib.decompressobj(zlib.MAX_WBITS | 16), most_bytes, False
    for part in parts:
        has_come = has_come or bool(part)
        if gzip.eof:  # what follows is no part of it, and would be kept
            continue
        try:
            plain = gzip.decompress(part, left_bytes + 1)
        except zlib.error:
            raise httpx.DecodingError("the answer is no gzip, though it says so") from None
        left_bytes -= len(plain)
        if left_bytes < 0:
            raise AnswerTooLarge(most_bytes)
        yield plain
    if has_come and not gzip.eof:
        raise httpx.DecodingError("the answer's gzip ends too early")
