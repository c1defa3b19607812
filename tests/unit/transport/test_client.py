"""The client: bounded bodies, one origin, no state between requests."""

from __future__ import annotations

import gzip
import itertools
import random
import socket
import ssl
import threading
import zlib
from contextlib import contextmanager, suppress

import httpx
import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transport.client import (
    ResponseTooLarge,
    _build_tls_context,
    build_http_client,
    discard_body,
    require_origin,
    send_bounded,
)
from simulator.app import Simulator, SimulatorConfig
from support.endless import peak_growth_bytes
from support.session import settings_for

MIB = 2**20


class Body(httpx.SyncByteStream):
    """A body in chunks that knows whether it was closed."""

    def __init__(self, chunks):
        self.chunks = chunks
        self.is_closed = False

    def __iter__(self):
        yield from self.chunks

    def close(self):
        self.is_closed = True


def client_of(respond, **changes):
    return build_http_client(
        settings_for(Simulator(SimulatorConfig()), **changes),
        transport=httpx.MockTransport(respond),
    )


def read(body, *, encoding="", deadline_s=60.0, max_bytes=MIB, clock=lambda: 0.0, **how):
    """The response that send_bounded makes of this body."""
    headers = {"content-encoding": encoding} if encoding else {}
    with client_of(lambda _: httpx.Response(200, headers=headers, stream=body)) as http:
        return send_bounded(
            http,
            http.build_request("POST", "/x"),
            deadline_s=deadline_s,
            max_bytes=max_bytes,
            clock=clock,
            **how,
        )


@contextmanager
def one_answer(answer):
    """A server on a socket that sends these bytes once; its port, and what is set at the end."""
    ended = threading.Event()

    def serve():
        line, _ = server.accept()
        with line, suppress(ConnectionError):  # a client that gives up resets the connection
            line.recv(65_536)
            line.sendall(answer)
            while line.recv(65_536):
                pass
        ended.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], ended


# Time


def test_a_body_that_never_ends_is_abandoned_at_the_deadline():
    body = Body(itertools.repeat(b" "))
    with pytest.raises(httpx.ReadTimeout, match="not complete after 50 s"):
        read(body, deadline_s=50, clock=itertools.count().__next__)
    assert body.is_closed


@pytest.mark.parametrize("body", [b"{}", b"{" + b" " * 70_000 + b"}"], ids=["short", "long"])
@pytest.mark.parametrize("late_s", [49, 400])
def test_an_answer_of_a_real_server_is_late_by_the_clock(body, late_s):
    """The whole answer arrives, on a real socket; only the clock says how long it took."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    times = itertools.chain([0.0], itertools.repeat(late_s))  # sent, then looked at
    with one_answer(answer) as (port, ended):
        url = httpx.URL(f"http://127.0.0.1:{port}")
        settings = settings_for(Simulator(SimulatorConfig()), api_url=url)
        with build_http_client(settings) as http:
            request = http.build_request("POST", "/x")
            how = {"deadline_s": 50, "max_bytes": MIB, "clock": times.__next__}
            if late_s > 50:
                with pytest.raises(httpx.ReadTimeout, match="not complete after 50 s"):
                    send_bounded(http, request, **how)
            else:
                assert send_bounded(http, request, **how).content == body
        assert ended.wait(30)  # the connection is not kept


def test_what_follows_gzip_is_ignored_but_held_to_the_deadline():
    packed = gzip.compress(b"whole")
    assert read(Body([packed, b"more"]), encoding="gzip").content == b"whole"
    with pytest.raises(httpx.ReadTimeout):
        read(
            Body(itertools.chain([packed], itertools.repeat(bytes(9)))),
            encoding="gzip",
            clock=itertools.count().__next__,
        )


def test_time_spent_on_a_login_does_not_count():
    now = [0.0]

    class SlowLogin(httpx.Auth):
        def auth_flow(self, request):
            now[0] += 500
            yield request

    assert read(Body([b"{}"]), auth=SlowLogin(), clock=lambda: now[0]).content == b"{}"


def test_a_body_is_abandoned_if_the_extract_is():
    body = Body(itertools.repeat(b" "))

    def stop():
        raise KeyError

    with pytest.raises(KeyError):
        read(body, on_chunk=stop)
    assert body.is_closed


# Size


def zeros(mebibytes):
    """A gzip stream of that many MiB of zeros, in chunks as a socket delivers them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()
    return [packed[start : start + 2**16] for start in range(0, len(packed), 2**16)]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_body_over_the_bound_is_abandoned_and_never_held(encoding):
    chunks = zeros(256) if encoding else itertools.repeat(bytes(2**16))

    def give_up():
        with pytest.raises(ResponseTooLarge, match="larger than 1 MiB"):
            read(Body(chunks), encoding=encoding)

    assert peak_growth_bytes(give_up) < 16 * MIB


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 10**6])
def test_gzip_is_unpacked_to_the_last_byte_that_may_come(size):
    plain = random.Random(1).randbytes(3000) * 3
    packed = gzip.compress(plain)
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert read(Body(parts), encoding="gzip", max_bytes=len(plain)).content == plain
    with pytest.raises(ResponseTooLarge):
        read(Body(parts), encoding="gzip", max_bytes=len(plain) - 1)
    with pytest.raises(httpx.DecodingError, match="too early"):
        read(Body([*parts[:-1], parts[-1][:-1]]), encoding="gzip")


def test_plain_bytes_pass_to_the_last_byte_that_may_come():
    assert read(Body([b"ab", b"c"]), max_bytes=3).content == b"abc"
    with pytest.raises(ResponseTooLarge):
        read(Body([b"ab", b"cd"]), max_bytes=3)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "gzip, br", "x"])
def test_another_encoding_than_gzip_is_refused_unread(encoding):
    def unread():
        raise AssertionError
        yield b""

    with pytest.raises(httpx.DecodingError, match="Content-Encoding"):
        read(Body(unread()), encoding=encoding)


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "x-gzip", " GZIP "])
def test_a_body_is_decompressed_without_its_encoding_header(encoding):
    plain = b'{"data": []}'
    is_packed = encoding not in ("", "identity")
    response = read(Body([gzip.compress(plain) if is_packed else plain]), encoding=encoding)
    assert (response.content, "content-encoding" in response.headers) == (plain, False)


def test_an_empty_body_may_be_called_gzip():
    assert read(Body([]), encoding="gzip").content == b""


def test_a_body_that_is_not_gzip_is_named():
    with pytest.raises(httpx.DecodingError, match="not gzip"):
        read(Body([b"{}"]), encoding="gzip")


def test_a_response_that_auth_retries_is_never_read():
    """httpx reads a 401 to its end before the replay, without a bound."""

    def unread():
        raise AssertionError
        yield b""

    refused = Body(unread())
    answers = iter(
        [
            httpx.Response(401, headers={"content-encoding": "gzip"}, stream=refused),
            httpx.Response(200, stream=Body([b"{}"])),
        ]
    )

    class Again(httpx.Auth):
        def auth_flow(self, request):
            discard_body((yield request))
            yield request

    with client_of(lambda _: next(answers)) as http:
        request = http.build_request("POST", "/x")
        response = send_bounded(
            http, request, deadline_s=9, max_bytes=9, clock=lambda: 0.0, auth=Again()
        )
    assert (response.content, refused.is_closed) == (b"{}", True)


def test_only_gzip_is_requested():
    with client_of(lambda _: httpx.Response(200)) as http:
        assert http.build_request("POST", "/x").headers["accept-encoding"] == "gzip"


# Origin and state


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://api.example.com/x", True),
        ("https://api.example.com:443/x", True),
        ("https://API.example.com/x", True),
        ("http://api.example.com/x", False),
        ("https://api.example.com:8443/x", False),
        ("https://api.example.com.evil.test/x", False),
        ("https://evil.test/api.example.com", False),
    ],
)
def test_only_the_origin_of_the_connection_is_allowed(url, is_allowed):
    allowed = httpx.URL("https://api.example.com")
    if is_allowed:
        require_origin(httpx.URL(url), allowed)
        return
    with pytest.raises(We360ConfigError, match="nothing was sent"):
        require_origin(httpx.URL(url), allowed)


def test_no_cookie_is_kept_or_sent():
    seen = []

    def respond(request):
        seen.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": f"trace_{len(seen)}=1; Path=/"})

    with client_of(respond) as http:
        for _ in range(3):
            http.get("/x")
        assert not list(http.cookies.jar)
    assert seen == [None] * 3


def test_a_client_without_https_loads_no_certificates():
    http, https = httpx.URL("http://127.0.0.1:1"), httpx.URL("https://auth.example.com")
    simulator = Simulator(SimulatorConfig())
    plain = _build_tls_context(settings_for(simulator, api_url=http, auth_url=http))
    assert (plain.verify_mode, plain.get_ca_certs()) == (ssl.CERT_REQUIRED, [])
    mixed = _build_tls_context(settings_for(simulator, api_url=http, auth_url=https))
    assert (mixed.verify_mode, mixed.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_unreadable_ca_bundle_is_named_with_its_cause(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(We360ConfigError, match=r"CA bundle \(extra ca_bundle\)") as caught:
            client_of(lambda _: httpx.Response(200), ca_bundle=str(path))
        assert isinstance(caught.value.__cause__, OSError)
