"""A receiver of webhooks that checks signatures by its own code, in a thread or in a process that can be killed."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ROOT

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Message(NamedTuple):
    """A message that was received, with a good signature."""

    id: str
    document: dict[str, Any]


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> Message:
    """Check signature and time of a message, with HMAC written out (RFC 2104 2)."""
    id, moment = headers["webhook-id"], headers["webhook-timestamp"]
    block = base64.b64decode(secret.removeprefix("whsec_")).ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + f"{id}.{moment}.".encode() + body).digest()
    expected = sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
    version, signature = headers["webhook-signature"].split(",")
    assert (version, base64.b64decode(signature)) == ("v1", expected)
    assert abs(time.time() - int(moment)) < 300
    assert headers["content-type"] == "application/json"
    return Message(id, json.loads(body))


class Receiver(ThreadingHTTPServer):
    """Keeps every message in `received`, and in a file if there is one, then answers `status`.

    If `status` is 0, it closes the connection without an answer.
    """

    def __init__(self, port: int = 0, file: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.status, self.headers, self.file = 204, dict[str, str](), file
        self.received: list[Message] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        assert self.path == "/hook/"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = verify(SECRET, {name.lower(): value for name, value in self.headers.items()}, body)
        if self.server.file is not None:
            with self.server.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(message) + "\n")
        self.server.received.append(message)
        if self.server.status == 0:
            self.close_connection = True
            return
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """Run a receiver in a thread; it has a free port unless one is named."""
    server = Receiver(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def receiver_process(port: int, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a receiver in a process, which is killed at the end; it writes the messages to a file."""
    run = f"Receiver({port}, Path({str(file)!r})).serve_forever()"
    script = f"from pathlib import Path; from tests.service.sending.receiver import Receiver; {run}"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=os.environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def messages(file: Path) -> list[Message]:
    """Return the messages in the file of a receiver process."""
    return [Message(*json.loads(line)) for line in whole_lines(file)]


def whole_lines(file: Path) -> list[str]:
    """Return the lines of a file, without one that is being written."""
    return file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
