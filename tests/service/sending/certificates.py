"""An authority of certificates, made by OpenSSL's command: its certificate, and those that it signs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


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
