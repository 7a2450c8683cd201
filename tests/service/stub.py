"""An HTTP server with configurable answers, in place of the service or of a destination."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RECORD = '{"schema": "agcnn-triage/prediction/1"}'  # the part of a prediction that acknowledges a file


class Stub(ThreadingHTTPServer):
    """Answers every POST with `status` and `body`, and keeps headers and bodies in `received`.

    It answers after `seconds`, and not before `may_answer` is set, as it is at first.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body, self.seconds = 200, RECORD, 0.0
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.began, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, status: int, **body: Any) -> None:
        self.status, self.body = status, json.dumps(body) if body else RECORD


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), data))
        self.server.began.set()
        time.sleep(self.server.seconds)
        self.server.may_answer.wait(60)
        body = self.server.body.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stub() -> Iterator[Stub]:
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
