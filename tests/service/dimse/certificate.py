"""A self-signed certificate."""

import subprocess
from pathlib import Path

from tests.service.dimse.serving import tool


def certify(folder: Path) -> None:
    """Write a self-signed certificate and its key."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    request = [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(request, check=True, capture_output=True)
