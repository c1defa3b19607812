"""Faults that any server, proxy or wire can have, at the token endpoint and at the API alike."""

from __future__ import annotations

import email.utils
import gzip
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

from simulator.fault_effects import Effect
from simulator.http import JSON, Answer, Wire, json_answer, text_answer
from simulator.identity import Identity

_LOGIN_PAGE = '<!DOCTYPE html><html><head><title>Sign in</title></head><body><form method="post"></form></body></html>'


def status(
    code: int,
    *,
    form: str = "json",
    retry_after: str | float | None = None,
    retry_after_date_s: float | None = None,
    reset_epoch_s: float | None = None,
    message: str = "The service is in trouble",
) -> Effect:
    """That status, as ``json``, ``plain``, ``html`` or ``empty``.

    :param retry_after: the header's text: seconds or a date.
    :param retry_after_date_s: the header as a date, so many seconds from now.
    :param reset_epoch_s: ``X-RateLimit-Reset`` as an epoch, so many seconds from now.
    """

    def answer(identity: Identity) -> Answer:
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


def _shaped(code: int, form: str, message: str) -> Answer:
    shapes: dict[str, Callable[[], Answer]] = {
        "json": lambda: json_answer(
            code, {"status": False, "message": message, "error_code": f"HTTP_{code}"}
        ),
        "oauth": lambda: json_answer(code, {"error": message}),
        "plain": lambda: text_answer(code, message),
        "html": lambda: text_answer(
            code, f"<html><body><h1>{code} {message}</h1><hr>nginx</body></html>", "text/html"
        ),
        "empty": lambda: Answer(code),
    }
    if form not in shapes:
        raise ValueError(f"form: use one of {', '.join(shapes)}")
    return shapes[form]()


def redirect(location: str = "https://login.example.net/maintenance", code: int = 302) -> Effect:
    """To a place where no token may ever go."""
    return Effect(instead=lambda _: text_answer(code, "Moved", Location=location))


def login_page() -> Effect:
    """HTTP 200 with a web page: a proxy's, a firewall's, a maintenance note."""
    return Effect(instead=lambda _: text_answer(200, _LOGIN_PAGE, "text/html"))


def empty_answer(code: int = 200) -> Effect:
    """Nothing, said to be JSON."""
    return Effect(instead=lambda _: Answer(code, b"", (("Content-Type", "application/json"),)))


def truncated_json(keep: float = 0.5) -> Effect:
    """Carried out; the JSON is cut, and Content-Length agrees with what is left."""
    return Effect(
        after=lambda answer, _: replace(
            answer, body=answer.body[: max(1, int(len(answer.body) * keep))]
        )
    )


def gzip_junk() -> Effect:
    """Said to be gzip, and is not."""
    return Effect(
        after=lambda answer, _: replace(answer, body=b"\x1f\x8b\x08junk").with_headers(
            [("Content-Encoding", "gzip")]
        )
    )


def gzip_cut() -> Effect:
    """Good gzip that ends too early."""
    return Effect(
        after=lambda answer, _: replace(answer, body=gzip.compress(answer.body)[:-12]).with_headers(
            [("Content-Encoding", "gzip")]
        )
    )


def gzip_bomb(mebibytes: int = 1024) -> Effect:
    """Good gzip, about a thousandth of what it unpacks to: zeros."""
    return Effect(
        instead=lambda _: Answer(
            200, _zeros(mebibytes), (("Content-Type", JSON), ("Content-Encoding", "gzip"))
        )
    )


@cache
def _zeros(mebibytes: int) -> bytes:
    """So many MiB of zeros as gzip (RFC 1952), made of one packed MiB again and again."""
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
    """Said to be packed in a way that nobody asked for."""
    return Effect(after=lambda answer, _: answer.with_headers([("Content-Encoding", encoding)]))


def other_json(content: Any = None) -> Effect:
    """HTTP 200 with JSON that is none of ours."""
    return Effect(instead=lambda _: json_answer(200, content))


def wrong_content_type(kind: str = "text/html") -> Effect:
    """The right answer under a wrong name."""
    return Effect(after=lambda answer, _: answer.with_headers([("Content-Type", kind)]))


def not_utf8() -> Effect:
    """JSON in another encoding, unsaid."""
    return Effect(
        after=lambda answer, _: replace(answer, body=answer.body.decode().encode("utf-16"))
    )


def delay(seconds: float = 1.0) -> Effect:
    """Carried out, and answered late."""
    return Effect(after=lambda answer, _: replace(answer, delay_s=seconds))


def on_the_wire(kind: str, *, committed: bool = True, **how: float) -> Effect:
    """A fault of the wire; ``committed=False``: it struck before the request was carried out."""
    wire = Wire(kind, **how)  # type: ignore[arg-type]
    if not committed:
        return Effect(instead=lambda _: Answer(200, b"{}", wire=wire))
    return Effect(after=lambda answer, _: replace(answer, wire=wire))


def drip(pause_s: float = 0.05, chunk: int = 16) -> Effect:
    """A few bytes at a time."""
    return on_the_wire("drip", pause_s=pause_s, chunk=chunk)


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

WIRE_FAULTS: dict[str, Callable[..., Effect]] = {
    "reset": partial(on_the_wire, "reset", committed=False),
    "reset_after_commit": partial(on_the_wire, "reset"),
    "close": partial(on_the_wire, "close", committed=False),
    "close_after_commit": partial(on_the_wire, "close"),
    "cut_off": partial(on_the_wire, "cut_off"),
    "not_http": partial(on_the_wire, "not_http", committed=False),
    "drip": drip,
}
