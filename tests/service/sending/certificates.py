"""An authority of certificates, made by OpenSSL's command: its certificate, and those that it signs."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Certificate:
    """Two PEM files."""

    certificate: Path
    key: Path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def authority(folder: Path, name: str = "authority") -> Certificate:
    """Make an authority, with a key of an elliptic curve because these are quick to make."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    _openssl("req", "-x509", *new, "-subj", f"/CN={name}", "-keyout", made.key, "-out", made.certificate)
    return made


def signed(by: Certificate, name: str) -> Certificate:
    """Make a certificate of 127.0.0.1 for a server or a client."""
    folder = by.certificate.parent
    made, request, names = (
        Certificate(folder / f"{name}.pem", folder / f"{name}.key"),
        folder / f"{name}.csr",
        folder / f"{name}.txt",
    )
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl("req", *new, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
    sign = ("-CA", by.certificate, "-CAkey", by.key, "-CAcreateserial", "-days", "2", "-extfile", names)
    _openssl("x509", "-req", "-in", request, *sign, "-out", made.certificate)
    return made


class Pki:
    """A hospital's authority with a server and a client, and another authority with a client of its own."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.other_ca = authority(folder), authority(folder, "stranger")
        self.server, self.client = signed(self.ca, "server"), signed(self.ca, "client")
        self.stranger = signed(self.other_ca, "foreign")

    def keys(self, client: str) -> dict[str, Any]:
        """Return the keys of a destination that presents a client's certificate."""
        certificate: Certificate | None = {"known": self.client, "unknown": self.stranger, "none": None}[client]
        own = {"tls_certificate": certificate.certificate, "tls_key": certificate.key} if certificate else {}
        return {"name": "archive", "tls_ca": self.ca.certificate} | own

    def server_context(self) -> ssl.SSLContext:
        """Return a server's context that requires a client certificate of the hospital's authority."""
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca.certificate)
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_cert_chain(self.server.certificate, self.server.key)
        return tls
