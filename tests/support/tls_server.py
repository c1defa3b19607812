"""An HTTPS server behind an authority that nobody knows: what a network that inspects TLS looks like from a worker."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextlib.contextmanager
def https_server(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its URL, and the file of the authority that vouches for its certificate; both end with the block.

    :param folder: where key and certificates are written.
    """
    files = _authority_and_certificate(folder)
    server = HTTPServer(
        ("127.0.0.1", 0), BaseHTTPRequestHandler
    )  # answers 501 to whatever it is asked
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["certificate"], files["key"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", files["authority"]
    server.shutdown()
    server.server_close()


def _authority_and_certificate(folder: Path) -> dict[str, Path]:
    now = dt.datetime.now(dt.UTC)
    authority_key, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    authority = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme Inspection")])

    def signed(
        name: x509.Name, public_key: Any, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority)
            .public_key(public_key)
        )
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(
            now + dt.timedelta(days=3)
        )
        for extension in extensions:
            made = made.add_extension(
                extension, critical=isinstance(extension, x509.BasicConstraints)
            )
        return made.sign(authority_key, hashes.SHA256())

    of_authority = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    root = signed(
        authority,
        authority_key.public_key(),
        x509.BasicConstraints(ca=True, path_length=0),
        of_authority,
        x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        ),
    )  # fmt: skip
    leaf = signed(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]),
        key.public_key(),
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_authority),
    )
    files = {name: folder / f"{name}.pem" for name in ("authority", "certificate", "key")}
    files["authority"].write_bytes(root.public_bytes(serialization.Encoding.PEM))
    files["certificate"].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    plain = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files["key"].write_bytes(key.private_bytes(*plain))
    return files
