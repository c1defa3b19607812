"""A request and its answer, as values; and what may happen to an answer on the wire."""

from __future__ import annotations

import gzip
import json
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Names of headers are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    scheme: str = "http"
    wire: dict[str, Wire] | None = None
    """Where a server plays an answer's wire fault; None in process."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> Request:
        headers = {
            name[5:].replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        if kind := environ.get("CONTENT_TYPE"):
            headers["content-type"] = str(kind)
        length = str(environ.get("CONTENT_LENGTH") or "0")
        body = environ["wsgi.input"].read(int(length) if length.isdigit() else 0)
        path = str(environ.get("PATH_INFO") or "/")
        scheme = str(environ.get("wsgi.url_scheme") or "http")
        return cls(
            str(environ["REQUEST_METHOD"]),
            path,
            headers,
            body,
            scheme,
            environ.get("we360.sandbox.wire"),
        )

    def form(self) -> dict[str, list[str]]:
        return urllib.parse.parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Wire:
    """A fault of the wire. ``reset`` and ``close`` send nothing, ``cut_off`` half of the body that the headers promise,
    ``drip`` a few bytes at a time with ``pause_s`` between, ``not_http`` what is no HTTP at all.
    """

    kind: Literal["reset", "close", "cut_off", "drip", "not_http"]
    pause_s: float = 0.05
    chunk: int = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    wire: Wire | None = None
    delay_s: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For the request_log; never sent."""

    def with_headers(self, headers: Iterable[tuple[str, str]]) -> Answer:
        """The same with these headers instead of their namesakes."""
        new = tuple(headers)
        names = {name.lower() for name, _ in new}
        return replace(
            self, headers=(*(pair for pair in self.headers if pair[0].lower() not in names), *new)
        )

    def unpacked(self) -> Answer:
        """The same, not compressed: most faults change what stands in a body."""
        if ("Content-Encoding", "gzip") not in self.headers:
            return self
        headers = tuple(pair for pair in self.headers if pair[0] != "Content-Encoding")
        return replace(self, body=gzip.decompress(self.body), headers=headers)

    def json(self) -> Any:
        return json.loads(self.body)


def json_answer(status: int, content: Any, **headers: str) -> Answer:
    """JSON as UTF-8, letters of all scripts as they are."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(
        status,
        body,
        (
            ("Content-Type", JSON),
            *((name.replace("_", "-"), value) for name, value in headers.items()),
        ),
    )


def text_answer(status: int, text: str, kind: str = "text/plain", **headers: str) -> Answer:
    """Text of that kind, UTF-8."""
    pairs = ((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, text.encode(), (("Content-Type", f"{kind}; charset=utf-8"), *pairs))
