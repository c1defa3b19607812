"""An answer comes in time and fits into memory: over real sockets, in real time."""

from __future__ import annotations

import datetime as dt
import gzip
import random
import ssl
import time
from contextlib import contextmanager

import httpx
import pytest

from airflow_provider_we360.auth.endpoint import LARGEST_ANSWER_BYTES as LARGEST_TOKEN_ANSWER_BYTES
from airflow_provider_we360.client import reports
from airflow_provider_we360.client.answer import TooLarge
from airflow_provider_we360.client.bounds import counted, unpacked
from airflow_provider_we360.client.exchange import Exchange, TimedOut
from airflow_provider_we360.client.gate import Gate
from airflow_provider_we360.client.http import (
    LARGEST_ANSWER_BYTES,
    _tls,
    build_http_client,
    send_whole,
)
from airflow_provider_we360.client.report import Query
from airflow_provider_we360.client.stats import ReadStats
from airflow_provider_we360.transport import AnswerTooLarge
from simulator.app import Simulator, SimulatorConfig
from simulator.http_faults import _zeros
from simulator.server import serve
from support.endless import endless, peak_growth_bytes
from support.session import World, settings_for

MIB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
REPORT = reports.get("dynamic_report")
DAY = dt.date(2026, 4, 1)
QUERY = Query(
    first_day=DAY, last_day=DAY, mode="detailed", columns=("attendance_date", "identity_id")
)


@contextmanager
def client_of(url, **changes):
    url = httpx.URL(url)
    with build_http_client(
        settings_for(Simulator(SimulatorConfig()), **{"api_url": url, "auth_url": url} | changes)
    ) as http:
        yield http


def ask(http, *, at=REPORT.path, deadline_s=1.0, most_bytes=MIB, auth=None):
    request = http.build_request("POST", at, json={})
    return send_whole(
        http, request, deadline_s=deadline_s, most_bytes=most_bytes, clock=time.monotonic, auth=auth
    )


def require_given_up(http):
    """An answer is waited for until its deadline, and not much longer."""
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        ask(http, deadline_s=0.7)
    assert 0.5 < time.monotonic() - began < 2


def exchange(http, *, timeout_s=60.0):
    gate = Gate(1, clock=time.monotonic, sleep=time.sleep)
    about = {
        "timezone": "Asia/Kolkata",
        "timeout_s": timeout_s,
        "gate": gate,
        "stats": ReadStats(),
        "clock": time.monotonic,
    }
    return Exchange(http, REPORT, dict(REPORT.columns), **about)


# Time

DRIPS = {
    "a byte of a header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "a whole header": (b"HTTP/1.1 200 OK\r\n", b"X-Slow: a\r\n"),
    "a blank line before the answer": (b"HTTP/1.1 2", b"0"),
    "an answer that is none yet": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a byte of the body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a byte of a chunk's size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_whatever_drips_for_ever_ends_by_the_deadline(drip):
    first, then = DRIPS[drip]
    with endless(first, then, pause_s=0.02) as port, client_of(f"http://127.0.0.1:{port}") as http:
        require_given_up(http)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_headers_that_drip_through_a_proxy_end_by_the_deadline(scheme):
    """For https it is the proxy's own answer to CONNECT that drips."""
    with (
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Slow: a\r\n", pause_s=0.02) as port,
        client_of(f"{scheme}://127.0.0.1:9", proxy=f"http://127.0.0.1:{port}") as http,
    ):
        require_given_up(http)


def test_headers_that_drip_over_tls_end_by_the_deadline(tmp_path):
    certificate = a_certificate(tmp_path / "127.0.0.1.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with (
        endless(b"HTTP/1.1 200 OK\r\n", b"X-Slow: a\r\n", pause_s=0.02, tls=tls) as port,
        client_of(f"https://127.0.0.1:{port}", ca_bundle=str(certificate)) as http,
    ):
        require_given_up(http)


@pytest.mark.parametrize("opener", ["bounded", "not bounded"])
def test_a_connection_that_has_served_before_is_held_to_the_next_answers_deadline(opener):
    sandbox = Simulator(SimulatorConfig())
    with serve(sandbox) as server, client_of(server.url) as http:
        first = ask(http) if opener == "bounded" else http.post(REPORT.path)
        assert first.status_code == 401
        sandbox.faults.add("report", "drip", chunk=1, pause_s=0.1)
        require_given_up(http)
        assert ask(http).status_code == 401


def test_a_request_of_the_users_own_is_not_held_to_the_deadline_of_the_one_before():
    sandbox = Simulator(SimulatorConfig())
    with serve(sandbox) as server, client_of(server.url) as http:
        ask(http, deadline_s=0.3)
        sandbox.faults.add("report", "delay", seconds=0.6)
        assert http.post(REPORT.path).status_code == 401


def test_an_answer_that_a_user_reads_bit_by_bit_is_not_held_to_the_deadline_of_another_read_meanwhile():
    body = b"first" + b" " * 200_000
    answer = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with (
        endless(answer) as port,
        client_of(f"http://127.0.0.1:{port}") as http,
        http.stream("GET", "/x") as read,
    ):
        parts = read.iter_raw()
        first = next(parts)
        ask(http, deadline_s=0.3)
        time.sleep(0.4)
        assert first + b"".join(parts) == body


def test_a_day_whose_headers_drip_has_timed_out_and_is_left_to_its_pages():
    sandbox = Simulator(SimulatorConfig())
    sandbox.faults.add("report", "drip", chunk=1, pause_s=0.1, times="always")
    with (
        serve(sandbox) as server,
        client_of(server.url) as http,
        pytest.raises(TimedOut, match="no answer in time"),
    ):
        exchange(http, timeout_s=0.15).ask(QUERY)


def test_time_spent_on_a_login_is_not_taken_from_the_answer():
    world = World()

    class SlowLogin(httpx.Auth):
        def auth_flow(self, request):
            world.time.sleep(500)
            yield request

    http = world.task().http
    request = http.build_request("POST", REPORT.path, json=REPORT.body(QUERY))
    answer = send_whole(
        http, request, deadline_s=50, most_bytes=MIB, clock=world.time.clock, auth=SlowLogin()
    )
    assert answer.status_code == 401


# Size


@pytest.mark.parametrize("kind", ["bomb", "bomb in chunks", "endless"])
def test_an_answer_larger_than_the_bound_is_given_up_and_never_held(kind):
    bomb = _zeros(1024)
    first, then = {
        "bomb": (BOMB % len(bomb) + bomb, b""),
        "bomb in chunks": (
            HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x\r\n%b\r\n" % (len(bomb), bomb),
        ),
        "endless": (HEAD + b"Connection: close\r\n\r\n", b" " * MIB),
    }[kind]

    def give_up():
        with pytest.raises(TooLarge, match="more than 256 MiB, and no more was read"):
            exchange(http).ask(QUERY)

    with endless(first, then) as port, client_of(f"http://127.0.0.1:{port}") as http:
        grown = peak_growth_bytes(give_up)
    assert grown < LARGEST_ANSWER_BYTES + 100 * MIB


def test_a_login_servers_bomb_is_given_up_after_a_mebibyte():
    bomb = _zeros(1024)

    def give_up():
        with pytest.raises(AnswerTooLarge, match="more than 1 MiB"):
            ask(http, most_bytes=LARGEST_TOKEN_ANSWER_BYTES)

    with endless(BOMB % len(bomb) + bomb) as port, client_of(f"http://127.0.0.1:{port}") as http:
        grown = peak_growth_bytes(give_up)
    assert grown < 16 * MIB


def test_a_bomb_that_httpx_reads_by_itself_before_it_sends_again_is_bounded_too():
    """As a 401 is, before the replay with a new token."""
    bomb = _zeros(1024)

    def give_up():
        with pytest.raises(AnswerTooLarge):
            ask(http, auth=_Again())

    with (
        endless((BOMB % len(bomb)).replace(b"200 OK", b"401 X") + bomb) as port,
        client_of(f"http://127.0.0.1:{port}") as http,
    ):
        assert peak_growth_bytes(give_up) < 16 * MIB


def test_a_refusal_that_drips_is_held_to_its_own_deadline_after_a_token_was_asked_for_meanwhile():
    sandbox = Simulator(SimulatorConfig())

    class Renewing(httpx.Auth):
        def auth_flow(self, request):
            yield request
            assert ask(http, at=f"{server.url}{REPORT.path}").status_code == 401
            yield request

    head = HEAD.replace(b"200 OK", b"401 X") + b"Content-Length: 1000000\r\n\r\n"
    with (
        serve(sandbox) as server,
        endless(head, b" ", pause_s=0.02) as port,
        client_of(f"http://127.0.0.1:{port}", auth_url=httpx.URL(server.url)) as http,
    ):
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            ask(http, deadline_s=0.7, auth=Renewing())
        assert 0.5 < time.monotonic() - began < 2


class _Again(httpx.Auth):
    def auth_flow(self, request):
        yield request
        yield request


def test_only_what_we_can_unpack_within_bounds_is_asked_for():
    with client_of("http://127.0.0.1:9") as http:
        assert http.build_request("POST", "/x").headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "gzip, br", "x"])
def test_another_packing_is_refused_unread(encoding):
    sandbox = Simulator(SimulatorConfig())
    sandbox.faults.add("report", "other_packing", encoding=encoding)
    with (
        serve(sandbox) as server,
        client_of(server.url) as http,
        pytest.raises(httpx.DecodingError, match="not asked for"),
    ):
        ask(http)


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "x-gzip", " GZIP "])
def test_an_answer_plain_or_packed_comes_as_it_is(encoding):
    plain = b'{"data": []}'
    body = plain if encoding in ("", "identity") else gzip.compress(plain)
    head = HEAD + (b"Content-Encoding: %b\r\n" % encoding.encode() if encoding else b"")
    answer = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with endless(answer) as port, client_of(f"http://127.0.0.1:{port}") as http:
        answer = ask(http)
    assert (answer.content, "content-encoding" in answer.headers) == (plain, False)


def test_an_answer_without_a_body_may_call_it_packed():
    answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"
    with endless(answer) as port, client_of(f"http://127.0.0.1:{port}") as http:
        assert ask(http).content == b""


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 10**6])
def test_gzip_is_unpacked_however_it_was_cut_to_the_last_byte_that_may_come(size):
    plain = random.Random(1).randbytes(3000) * 3
    packed = gzip.compress(plain)
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert b"".join(unpacked(parts, len(plain))) == plain
    with pytest.raises(AnswerTooLarge):
        list(unpacked(parts, len(plain) - 1))
    with pytest.raises(httpx.DecodingError, match="too early"):
        list(unpacked([*parts[:-1], parts[-1][:-1]], len(plain)))


def test_plain_parts_pass_to_the_last_byte_that_may_come():
    assert list(counted([b"ab", b"c"], 3)) == [b"ab", b"c"]
    with pytest.raises(AnswerTooLarge):
        list(counted([b"ab", b"cd"], 3))


def test_what_follows_good_gzip_is_not_kept():
    packed = gzip.compress(b"whole")

    def parts():
        yield packed
        for _ in range(200):
            yield bytes(MIB)

    assert peak_growth_bytes(lambda: list(unpacked(parts(), 10))) < 16 * MIB
    assert b"".join(unpacked([packed, b"more"], 10)) == b"whole"


def a_certificate(place):
    """A self-signed certificate for 127.0.0.1 and its key, in one PEM file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    place.write_bytes(
        key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return place


def test_a_client_that_speaks_no_https_loads_no_certificates_and_trusts_nobody():
    http, https = httpx.URL("http://127.0.0.1:1"), httpx.URL("https://auth.example.com")
    plain = _tls(settings_for(Simulator(SimulatorConfig()), api_url=http, auth_url=http))
    assert isinstance(plain, ssl.SSLContext)
    assert plain.verify_mode == ssl.CERT_REQUIRED
    assert not plain.get_ca_certs()
    assert _tls(settings_for(Simulator(SimulatorConfig()), api_url=http, auth_url=https)) is True
