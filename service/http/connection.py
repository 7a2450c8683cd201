"""One HTTP connection, with the deadlines that uvicorn's own lacks: for a request head and for reading an answer."""

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from service import telemetry
from service.errors import InvalidRequest, TriageError, UploadIdle
from service.http import problems
from service.http.connections import Connections
from service.http.envelope import SAFE_HEADERS
from service.http.pace import Pace

# Longer than clients and proxies keep an idle connection (httpx 5 s, nginx 60 s): none is closed as a request arrives.
KEEP_ALIVE_SECONDS = 75
_PART = 2**18  # bytes of an answer that are sent at once


class Connection(H11Protocol):
    """One connection.

    Parameters
    ----------
    connections
        All connections of the server; the others are as uvicorn gives them.
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = connections
        self._served: ASGIApp = self.app
        self.app = self._serve
        self._deadline: asyncio.TimerHandle | None = None
        self._waits = 0  # number of requests that wait for the client to send a body or to read an answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self._expect(self._all.head_seconds)
        self._all.open(self, len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._forget_deadline()
        self._all.proceed(self)

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request; its head has a deadline, which begins with its first byte."""
        begins = self.timeout_keep_alive_task is not None
        super().data_received(data)
        if self._busy:
            self._forget_deadline()
            if not self._waits:  # what a client sends does not read its answers
                self._all.proceed(self)
        elif begins and not self._refused_body:
            self._expect(self._all.head_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next request; for the rest of an answer to be read, or of a refused body to arrive, as well."""
        super().on_response_complete()
        if not self._busy:
            if self._refused_body or self.transport.get_write_buffer_size() > 0:
                self._expect(self._all.idle_seconds)
            elif self.conn.trailing_data[0]:
                self._expect(self._all.head_seconds)
            self._all.wait(self)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request, in place of uvicorn's answer without our headers."""
        self.refuse(InvalidRequest("this is no valid HTTP/1.1 request", "invalid_http"))

    def refuse(self, error: TriageError) -> None:
        """Answer an error in place of a request, and close the connection."""
        request_id = secrets.token_hex(8)
        with telemetry.request(request_id):
            answer = problems.answer(error)
        more = {"Connection": "close", "X-Request-Id": request_id, **SAFE_HEADERS}
        headers = [*answer.raw_headers, *((name.encode(), value.encode()) for name, value in more.items())]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = answer.status_code
            for event in (
                h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def cut(self) -> None:
        """Close the connection at once, whatever has not been read."""
        self.transport.abort()

    @property
    def _busy(self) -> bool:
        """Whether a request has arrived and is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _refused_body(self) -> bool:
        """Whether a request was answered before its body had arrived."""
        return self.conn.their_state is h11.SEND_BODY and not self._busy

    def _expect(self, seconds: float) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        began = bool(self.conn.trailing_data[0]) and self.conn.their_state is h11.IDLE
        if began and not self.transport.is_closing():
            self.refuse(UploadIdle(f"the head of the request did not arrive within {self._all.head_seconds:g} s"))
            self._expect(self._all.head_seconds)  # to be read
        else:
            self.cut()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its answer is sent in parts, each of which waits until the one before is read."""
        pace, size, more = self._all.pace(), 0, True

        async def receive_part() -> Message:
            nonlocal more
            if not more:
                return await receive()  # the end of the connection
            self._all.wait(self)
            self._waits += 1
            try:
                message = await receive()
            finally:
                self._waits -= 1
                if not self._waits:
                    self._go_on()
            more = message.get("more_body", False)
            return message

        async def paced(message: Message) -> None:
            nonlocal size
            size = max(size, _declared(message), len(message.get("body", b"")))
            for part in _parts(message):
                await send(part)
                await self._drain(pace, size)
                pace.moved += len(part.get("body", b""))

        await self._served(scope, receive_part, paced)

    async def _drain(self, pace: Pace, size: int) -> None:
        if not self.flow.write_paused:
            return
        self._all.wait_for_reader(self, size)
        self._waits += 1
        try:
            with pace.waiting():
                async with asyncio.timeout(pace.left):
                    await self.flow.drain()
        except TimeoutError:
            telemetry.log().warning("an answer was cut off: its client does not read it")
            self.cut()
        finally:
            self._waits -= 1
            self._go_on()

    def _go_on(self) -> None:
        """Note that a request goes on; the connection waits for its client where another does, or all are answered."""
        self._all.proceed(self)
        if (self._waits or not self._busy) and self in self.connections:  # it may have been lost meanwhile
            self._all.wait(self)


def _declared(message: Message) -> int:
    lengths = (value for name, value in message.get("headers", ()) if name.lower() == b"content-length")
    return int(next(lengths, 0))


def _parts(message: Message) -> Iterator[Message]:
    """Divide a message that holds a large part of an answer."""
    body = memoryview(message.get("body", b""))
    if len(body) <= _PART:
        yield message
        return
    for start in range(0, len(body), _PART):
        more = start + _PART < len(body) or message.get("more_body", False)
        yield {"type": message["type"], "body": body[start : start + _PART], "more_body": more}
