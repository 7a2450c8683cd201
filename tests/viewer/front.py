"""nginx in front of the service, with the files that this repository has for it."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

DIST = ROOT / "build" / "ohif" / "node_modules" / "@ohif" / "app" / "dist"
USER, PASSWORD = "reader", "a password"


def ohif() -> Path:
    """Return the folder of OHIF's built viewer."""
    if not (DIST / "index.html").is_file():
        pytest.skip("OHIF is not there; run make ohif")
    return DIST


def compose_configuration(folder: Path, port: int, service: httpx.URL, key: str) -> str:
    """Return `docker/viewer.conf` with the addresses and files of this test."""
    _write_secrets(folder, key)
    places = {
        "/tmp/": f"{folder}/",
        "/dev/stderr crit": "stderr crit",
        "/dev/stdout triage": "off",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "service:8000": service.netloc.decode(),
        "/srv/ohif": str(ohif()),
        "/etc/triage/ohif.js": str(ROOT / "docker" / "ohif.js"),
        "/run/secrets/": f"{folder}/",
        "worker_processes auto": "user root; worker_processes 1",  # the folders of tests are closed to other users
    }
    return _replaced((ROOT / "docker" / "viewer.conf").read_text(), places)


def example_configuration(folder: Path, port: int, service: httpx.URL, key: str) -> str:
    """Return the server of docs/pacs.md with the addresses and files of this test; `folder/ohif` is served at `/`."""
    _write_secrets(folder, key)
    [server] = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "pacs.md").read_text(), re.DOTALL)
    places = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "    ssl_certificate /etc/nginx/tls_certificate.pem;\n": "",
        "    ssl_certificate_key /etc/nginx/tls_key.pem;\n": "",
        "include /etc/nginx/mime.types;": "types { text/html html; }",
        "/etc/nginx/": f"{folder}/",
        "/srv/ohif": f"{folder}/ohif",
        "http://127.0.0.1:8000": str(service).rstrip("/"),
    }
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in names)
    http = f"access_log off; {temporary}\n{_replaced(server, places)}"
    return f"user root; pid {folder}/nginx.pid; error_log stderr crit; events {{}} http {{ {http} }}"


def _write_secrets(folder: Path, key: str) -> None:
    hashed = ["openssl", "passwd", "-apr1", PASSWORD]
    password = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout
    (folder / "viewer_users").write_text(f"{USER}:{password}")
    (folder / "viewer_key").write_text(f'set $key "{key}";\n')


@contextmanager
def nginx(folder: Path, configuration: str) -> Iterator[None]:
    """Run nginx until the block ends."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed; install Debian's package nginx-light")
    file = folder / "nginx.conf"
    file.write_text(configuration)
    with (folder / "nginx.log").open("w") as log:
        process = subprocess.Popen([program, "-c", file, "-g", "daemon off;"], stdout=log, stderr=log)
    try:
        [port] = re.findall(r"listen 127\.0\.0\.1:(\d+)", configuration)
        _wait(int(port), process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "nginx has ended; its log says why"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _replaced(text: str, places: dict[str, str]) -> str:
    for place, by in places.items():
        assert place in text, place
        text = text.replace(place, by)
    return text
