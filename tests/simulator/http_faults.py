"""Faults that any server, proxy or connection can have, at the token endpoint and at the API."""

from __future__ import annotations

import email.utils
import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

from airflow_provider_we360.sandbox.http import Response, json_response, text_response
from simulator.fault_effects import Effect, SocketFault
from simulator.identity import Identity

_LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in</title></head>"
    '<body><form method="post"></form></body></html>'
)


def status(
    code: int,
    *,
    form: str = "json",
    retry_after: str | float | None = None,
    retry_after_date_s: float | None = None,
    reset_epoch_s: float | None = None,
    message: str = "The service is in trouble",
) -> Effect:
    """Response with that status, as ``json``, ``plain``, ``html`` or ``empty``.

    :param retry_after: the header's text: seconds or a date.
    :param retry_after_date_s: the header as a date, so many seconds from now.
    :param reset_epoch_s: ``X-RateLimit-Reset`` as an epoch, so many seconds from now.
    """

    def answer(identity: Identity) -> Response:
        headers = []
        if retry_after is not None:
            headers.append(("Retry-After", str(retry_after)))
        if retry_after_date_s is not None:
            headers.append(
                (
                    "Retry-After",
                    email.utils.formatdate(identity.now() + retry_after_date_s, usegmt=True),
                )
            )
        if reset_epoch_s is not None:
            headers.append(("X-RateLimit-Reset", str(int(identity.now() + reset_epoch_s))))
        return _shaped(code, form, message).with_headers(headers)

    return Effect(instead=answer)


def _shaped(code: int, form: str, message: str) -> Response:
    shapes: dict[str, Callable[[], Response]] = {
        "json": lambda: json_response(
            code, {"status": False, "message": message, "error_code": f"HTTP_{code}"}
        ),
        "oauth": lambda: json_response(code, {"error": message}),
        "plain": lambda: text_response(code, message),
        "html": lambda: text_response(
            code, f"<html><body><h1>{code} {message}</h1><hr>nginx</body></html>", "text/html"
        ),
        "empty": lambda: Response(code),
    }
    if form not in shapes:
        raise ValueError(f"form: use one of {', '.join(shapes)}")
    return shapes[form]()


def redirect(location: str = "https://login.example.net/maintenance", code: int = 302) -> Effect:
    """Redirect to a place that must never receive a token."""
    return Effect(instead=lambda _: text_response(code, "Moved", Location=location))


def login_page() -> Effect:
    """Response 200 with a web page, as a proxy, a firewall or a maintenance note does."""
    return Effect(instead=lambda _: text_response(200, _LOGIN_PAGE, "text/html"))


def empty_answer(code: int = 200) -> Effect:
    """Response with an empty body that is declared as JSON."""
    return Effect(instead=lambda _: Response(code, b"", (("Content-Type", "application/json"),)))


def truncated_json(keep: float = 0.5) -> Effect:
    """Carry the request out and cut the JSON; Content-Length agrees with the rest."""
    return Effect(
        after=lambda answer, _: replace(
            answer, body=answer.body[: max(1, int(len(answer.body) * keep))]
        )
    )


def gzip_junk() -> Effect:
    """Declare gzip and send something else."""
    return Effect(
        after=lambda answer, _: replace(answer, body=b"\x1f\x8b\x08junk").with_headers(
            [("Content-Encoding", "gzip")]
        )
    )


def gzip_cut() -> Effect:
    """Send gzip that ends too early."""
    return Effect(
        after=lambda answer, _: replace(answer, body=gzip.compress(answer.body)[:-12]).with_headers(
            [("Content-Encoding", "gzip")]
        )
    )


def gzip_bomb(mebibytes: int = 1024) -> Effect:
    """Send zeros as gzip, packed to about a thousandth."""
    return Effect(
        instead=lambda _: Response(
            200,
            gzipped_zeros(mebibytes),
            (("Content-Type", "application/json"), ("Content-Encoding", "gzip")),
        )
    )


@cache
def gzipped_zeros(mebibytes: int) -> bytes:
    """Return that many MiB of zeros as gzip (RFC 1952), built from one packed MiB."""
    zeros, packer = bytes(2**20), zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(mebibytes):
        checksum = zlib.crc32(zeros, checksum)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return (
        head
        + block * mebibytes
        + packer.flush()
        + struct.pack("<II", checksum, (mebibytes * 2**20) & 0xFFFFFFFF)
    )


def other_packing(encoding: str = "br") -> Effect:
    """Declare an encoding that the client does not accept."""
    return Effect(after=lambda answer, _: answer.with_headers([("Content-Encoding", encoding)]))


def other_json(content: Any = None) -> Effect:
    """Response 200 with JSON of another shape."""
    return Effect(instead=lambda _: json_response(200, content))


def wrong_content_type(kind: str = "text/html") -> Effect:
    """Send the right answer with a wrong media type."""
    return Effect(after=lambda answer, _: answer.with_headers([("Content-Type", kind)]))


def not_utf8() -> Effect:
    """Send JSON in an encoding that is not declared."""
    return Effect(
        after=lambda answer, _: replace(answer, body=answer.body.decode().encode("utf-16"))
    )


def delay(seconds: float = 1.0) -> Effect:
    """Carry the request out and answer late."""
    return Effect(after=lambda answer, _: answer.with_notes(delay_s=seconds))


def socket_fault(kind: str, *, committed: bool = True, **how: float) -> Effect:
    """Break the connection; ``committed=False`` breaks it before the request is carried out."""
    fault = SocketFault(kind, **how)  # type: ignore[arg-type]
    if not committed:
        return Effect(instead=lambda _: Response(200, b"{}").with_notes(socket_fault=fault))
    return Effect(after=lambda answer, _: answer.with_notes(socket_fault=fault))


def drip(pause_s: float = 0.05, chunk: int = 16) -> Effect:
    """Send a few bytes at a time."""
    return socket_fault("drip", pause_s=pause_s, chunk=chunk)


FAULTS: dict[str, tuple[str, Callable[..., Effect]]] = {
    **{
        f"http_{code}": ("F27", partial(status, code))
        for code in (400, 401, 403, 404, 408, 413, 422, 500, 501)
    },
    **{f"http_{code}": ("F23", partial(status, code)) for code in (502, 503, 504)},
    **{
        f"html_{code}": ("F23", partial(status, code, form="html")) for code in (500, 502, 503, 504)
    },
    "http_429": ("F24", partial(status, 429, form="oauth", message="too_many_requests")),
    "redirect": ("F23", redirect),
    "html_200": ("F23", login_page),
    "empty_200": ("F23", empty_answer),
    "truncated_json": ("F23", truncated_json),
    "gzip_junk": ("F23", gzip_junk),
    "gzip_cut": ("F23", gzip_cut),
    "gzip_bomb": ("F23", gzip_bomb),
    "other_packing": ("F23", other_packing),
    "other_json": ("F23", other_json),
    "wrong_content_type": ("F23", wrong_content_type),
    "not_utf8": ("F23", not_utf8),
    "delay": ("F23", delay),
}

SOCKET_FAULTS: dict[str, Callable[..., Effect]] = {
    "reset": partial(socket_fault, "reset", committed=False),
    "reset_after_commit": partial(socket_fault, "reset"),
    "close": partial(socket_fault, "close", committed=False),
    "close_after_commit": partial(socket_fault, "close"),
    "cut_off": partial(socket_fault, "cut_off"),
    "not_http": partial(socket_fault, "not_http", committed=False),
    "drip": drip,
}
