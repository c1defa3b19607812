"""Requests and answers as values, and the page of an answer on WSGI."""

from __future__ import annotations

import email.utils
import http
import json
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

StartResponse: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Names of headers are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    scheme: str = "http"
    environ: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, Any]) -> Request:
        headers = {
            name[5:].replace("_", "-").lower(): str(value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        # Reading past the body would wait for a client that has sent everything.
        length = str(environ.get("CONTENT_LENGTH") or "0")
        return cls(
            str(environ["REQUEST_METHOD"]),
            str(environ.get("PATH_INFO") or "/"),
            headers,
            environ["wsgi.input"].read(int(length) if length.isdigit() else 0),
            str(environ.get("wsgi.url_scheme") or "http"),
            environ,
        )

    @property
    def base_url(self) -> str:
        """The address that the client used."""
        return f"{self.scheme}://{self.headers.get('host', 'localhost')}"

    def form(self) -> dict[str, list[str]]:
        # An empty password is a wrong password, not a missing one: keep blank values.
        return urllib.parse.parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer.

    :param notes: facts about the answer for code that wraps the sandbox; never sent.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def with_headers(self, headers: Iterable[tuple[str, str]]) -> Response:
        """Return the answer with these headers in place of those of the same name."""
        new = tuple(headers)
        names = {name.lower() for name, _ in new}
        kept = (pair for pair in self.headers if pair[0].lower() not in names)
        return replace(self, headers=(*kept, *new))

    def with_notes(self, **notes: Any) -> Response:
        return replace(self, notes={**self.notes, **notes})

    def json(self) -> Any:
        return json.loads(self.body)


def json_response(status: int, content: Any, **headers: str) -> Response:
    """Return JSON in UTF-8. Header names are given with underscores."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return _typed_response(status, body, "application/json", headers)


def text_response(status: int, text: str, kind: str = "text/plain", **headers: str) -> Response:
    """Return text of that media type in UTF-8."""
    return _typed_response(status, text.encode(), f"{kind}; charset=utf-8", headers)


def _typed_response(status: int, body: bytes, kind: str, headers: Mapping[str, str]) -> Response:
    more = ((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(status, body, (("Content-Type", kind), *more))


def send(answer: Response, start_response: StartResponse, now: float) -> list[bytes]:
    """Response through WSGI, with the headers that every server sends."""
    own = {
        "Date": email.utils.formatdate(now, usegmt=True),
        "X-Request-Id": str(uuid.uuid4()),
        **({} if answer.status == 204 else {"Content-Length": str(len(answer.body))}),
    }
    given = {name.lower() for name, _ in answer.headers}
    more = (pair for pair in own.items() if pair[0].lower() not in given)
    known = {status.value: status.phrase for status in http.HTTPStatus}
    phrase = known.get(answer.status, "Unknown")
    start_response(f"{answer.status} {phrase}", [*answer.headers, *more])
    return [answer.body]
