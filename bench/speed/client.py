"""An HTTP client over a bare socket: it costs a fraction of a millisecond of processor time a request.

The clients share the processors with the service that they measure.
"""

import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from urllib.parse import urlsplit

Parts = Sequence[bytes | memoryview]
_CHUNK = 2**18
_SECONDS = 300


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers by lower-case name, its body, and whether 100 Continue came before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    admitted: bool = False


@dataclass(frozen=True)
class Request:
    """A POST request; `parts` together are its body."""

    path: str
    media_type: str
    parts: Parts
    accept: str = "application/json"

    def head(self, host: str, expect: bool) -> bytes:
        """Return the request line and the headers."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {host}",
            f"Content-Type: {self.media_type}",
            f"Accept: {self.accept}",
            f"Content-Length: {sum(map(len, self.parts))}",
            *(["Expect: 100-continue"] if expect else []),
        ]
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


class Connection:
    """One connection; requests go over it one after another."""

    def __init__(self, address: str) -> None:
        url = urlsplit(address)
        self._host = url.netloc
        self._socket = socket.create_connection((url.hostname or "", url.port or 80), _SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def post(self, request: Request) -> Answer:
        """Send a request and wait for its answer."""
        self._socket.sendall(request.head(self._host, expect=False))
        for part in request.parts:
            self._socket.sendall(part)
        return self._answer()

    def post_if_admitted(self, request: Request) -> Answer:
        """Send the headers, and the body only if the server asks for it (100 Continue)."""
        self._socket.sendall(request.head(self._host, expect=True))
        answer = self._answer()
        if answer.status != 100:
            return answer
        for part in request.parts:
            self._socket.sendall(part)
        return replace(self._answer(), admitted=True)

    def post_until_answered(self, request: Request) -> Answer:
        """Send headers and body at once, and stop at the first byte of an answer, as good clients do.

        Raises
        ------
        ConnectionError
            The connection was closed without an answer that could be read.
        """
        with suppress(ConnectionError):
            self._socket.sendall(request.head(self._host, expect=False))
            self._send_while_unanswered(request.parts)
        return self._answer()

    def _send_while_unanswered(self, parts: Parts) -> None:
        for part in parts:
            view = memoryview(part)
            while len(view):
                readable, writable, _ = select.select([self._socket], [self._socket], [], _SECONDS)
                if readable:
                    return
                if writable:
                    view = view[self._socket.send(view[:_CHUNK], socket.MSG_DONTWAIT) :]

    def _answer(self) -> Answer:
        status = self._stream.readline()
        if not status:
            raise ConnectionError("the connection was closed without an answer")
        headers = {}
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self._stream.read(int(headers.get("content-length", 0)))
        return Answer(int(status.split()[1]), headers, body)
