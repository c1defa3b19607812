"""Words for requests that failed on their way: each names who can mend it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_we360.transport import client
from airflow_provider_we360.transport.client import ResponseTooLarge, build_http_client
from airflow_provider_we360.transport.messages import (
    explain_connection_error,
    explain_web_page,
    is_refused_by_proxy,
)
from simulator.app import Simulator, SimulatorConfig
from support.session import settings_for

API, AUTH = httpx.URL("https://api.we360.test"), httpx.URL("https://auth.we360.test")


@contextmanager
def listening(answer=b"", tls=None):
    """A port that sends this to each client and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    line, _ = listener.accept()
                    with tls.wrap_socket(line, server_side=True) if tls else line as line:
                        line.recv(4096)
                        line.sendall(answer)
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def failure(url, **changes):
    """The error of a GET and its words."""
    settings = settings_for(
        Simulator(SimulatorConfig()), **{"api_url": url, "auth_url": url} | changes
    )
    with build_http_client(settings) as http, pytest.raises(httpx.RequestError) as caught:
        http.get("/x")
    return caught.value, explain_connection_error(caught.value, url)


# Proxies

PROXY_ANSWERS = {
    407: "requires a user name and password (407)",
    403: "refuses to connect to api.we360.test:443 (403)",
    502: "cannot connect to api.we360.test:443 (502)",
}


@pytest.mark.parametrize("status", PROXY_ANSWERS)
def test_a_proxys_refusal_names_the_proxy_and_its_answer(status):
    with listening(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status) as port:
        error, words = failure(API, proxy=f"http://user:hunter2@127.0.0.1:{port}")
    assert f"the proxy 127.0.0.1:{port} (Proxy (extra proxy)) {PROXY_ANSWERS[status]}" in words
    assert "hunter2" not in words
    assert "user:" not in words.replace("http://user:password@", "")
    assert is_refused_by_proxy(error) is (status != 502)


def test_an_absent_proxy_is_named_not_the_host():
    _, words = failure(API, proxy="http://127.0.0.1:9")
    assert "cannot reach the proxy 127.0.0.1:9 (Proxy (extra proxy))" in words
    assert "firewall" not in words


def test_a_connection_that_breaks_in_a_proxy_names_it():
    with listening() as port:
        _, words = failure(API, proxy=f"http://127.0.0.1:{port}")
    assert f"127.0.0.1:{port} (Proxy (extra proxy))" in words


# Certificates


def certificates(folder, *, begin=-1, end=1, name="127.0.0.1", has_key_id=True):
    """A server's TLS context, and the file of the authority that signed its certificate."""
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Inspection")])
    key_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def sign(subject, public, first, last, *extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + first * day)
            .not_valid_after(now + last * day)
        )
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = sign(issuer, ca_key.public_key(), -9, 9, x509.BasicConstraints(True, 0), key_id, usage)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    known = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    leaf = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    chain = sign(leaf, key.public_key(), begin, end, names, *([known] if has_key_id else []))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "ca.pem").write_bytes(ca)
    (folder / "server.pem").write_bytes(private + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, str(folder / "ca.pem")


CERTIFICATES = {
    "expired": ({"begin": -3, "end": -1}, "has expired (OpenSSL: certificate has expired)"),
    "not yet valid": ({"begin": 1, "end": 3}, "is not valid yet (OpenSSL: certificate is not yet"),
    "another name": ({"name": "10.0.0.1"}, "is for another name (OpenSSL: IP address mismatch"),
    "no key identifier": ({"has_key_id": False}, "does not follow RFC 5280 (OpenSSL: Missing Auth"),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_a_certificates_fault_is_told_with_its_own_remedy(case, tmp_path, monkeypatch):
    how, expected = CERTIFICATES[case]
    tls, ca_bundle = certificates(tmp_path, **how)
    build = client._build_tls_context

    def strict(settings):  # as Python 3.13 does by itself
        context = build(settings)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(client, "_build_tls_context", strict)
    with listening(tls=tls) as port:
        _, words = failure(httpx.URL(f"https://127.0.0.1:{port}"), ca_bundle=ca_bundle)
    assert expected in words
    assert "extra ca_bundle" not in words


def test_an_unknown_authority_points_to_ca_bundle(tmp_path):
    (tmp_path / "other").mkdir()
    tls, _ = certificates(tmp_path)
    _, other = certificates(tmp_path / "other")
    with listening(tls=tls) as port:
        url = httpx.URL(f"https://127.0.0.1:{port}")
        assert "set CA bundle (extra ca_bundle)" in failure(url)[1]
        assert "does not hold the certificate authority" in failure(url, ca_bundle=other)[1]


def test_an_authority_that_only_the_system_knows_is_trusted(tmp_path, monkeypatch):
    tls, ca_bundle = certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_bundle)  # OpenSSL's place of the system's store
    with listening(b"HTTP/1.1 204 No Content\r\n\r\n", tls) as port:
        url = httpx.URL(f"https://127.0.0.1:{port}")
        settings = settings_for(Simulator(SimulatorConfig()), api_url=url, auth_url=url)
        with build_http_client(settings) as http:
            assert http.get("/x").status_code == 204
    assert len(client._build_tls_context(settings).get_ca_certs()) > 50  # those of httpx, too


def test_a_port_without_tls_is_named():
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        _, words = failure(httpx.URL(f"https://127.0.0.1:{port}"))
    assert "TLS failed" in words
    assert "certificate" not in words


# Other failures


def test_a_host_that_refuses_names_what_the_firewall_must_allow():
    _, words = failure(httpx.URL("https://127.0.0.1:9"))
    assert "check that your firewall allows 127.0.0.1:9" in words


def test_a_name_without_an_address_is_a_matter_of_dns():
    _, words = failure(httpx.URL("https://we360.invalid"))
    assert "the name we360.invalid has no address here" in words


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ResponseTooLarge(2**28), "the response is larger than 256 MiB; stopped reading"),
        (httpx.DecodingError("x"), "the response is compressed in a way that was not requested"),
        (httpx.ReadTimeout("x"), "no answer in time (ReadTimeout)"),
        (httpx.ReadError("x"), "the connection broke (ReadError)"),
        (httpx.RemoteProtocolError("x"), "the connection broke (RemoteProtocolError)"),
    ],
)
def test_other_failures_begin_with_the_origin(error, expected):
    assert explain_connection_error(error, API).startswith(f"https://api.we360.test: {expected}")


# Pages


def page(title, status=403, kind="text/html", request_headers=None):
    request = httpx.Request("POST", API, headers=request_headers)
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    headers = {"content-type": kind}
    return httpx.Response(status, headers=headers, text=text, request=request)


def test_a_gateways_page_is_told_by_its_title():
    words = explain_web_page(page("Attention &amp; Required!\n You\u202e were <b>blocked</b>"))
    assert words.startswith(
        "a web page in place of the API's answer ('Attention & Required! You were blocked')"
    )


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/plain", ""])
def test_a_page_is_known_by_its_type_or_its_first_character(kind):
    assert "(406)" not in explain_web_page(page("No", 406, kind), "the login server")


def test_a_title_is_cut_and_holds_no_mail_address():
    words = explain_web_page(page("asha@example.com " + "no " * 99))
    assert "asha" not in words
    assert len(words) < 300


@pytest.mark.parametrize(
    ("status", "title"),
    [(431, "431"), (400, "400 Request Header Or Cookie Too Large"), (400, "Headers too long")],
)
def test_headers_too_large_name_the_size_of_the_token(status, title):
    response = page(title, status, request_headers={"authorization": "Bearer " + "x" * 11_993})
    words = explain_web_page(response)
    assert "the access token has 12,000 bytes" in words
    assert "remove roles" in words


@pytest.mark.parametrize("content", [b"", b'{"message": "<html>"}', b"[]"])
def test_what_is_no_page_is_none(content):
    request = httpx.Request("POST", API)
    response = httpx.Response(400, content=content, request=request)
    assert explain_web_page(response) is None


def test_a_chain_of_causes_that_is_a_circle_ends():
    error = httpx.ConnectError("x")
    error.__context__ = other = ValueError()
    other.__context__ = error
    words = explain_connection_error(error, API)
    assert "cannot connect" in words
