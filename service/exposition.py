"""The server of the metrics: plain HTTP on a port of its own, in a thread with an event loop of its own.

None of its clients can take a turn of the service's loop, a place, or more than a few descriptors: connections are
bounded in number and in time, one too many ends the oldest, each has one answer, and what costs work is made once a
second at most. It is not uvicorn, which bounds none of this, nor the server of prometheus_client, which starts a thread
for each connection and waits for ever for its request.
"""

import asyncio
import ipaddress
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector

from service.errors import ConfigurationError
from service.metrics_settings import Metrics
from service.telemetry import describe, log

CONNECTIONS = 16
_WAITING = 128  # in the kernel, where they take no descriptor
SECONDS = 10.0  # for a request and its answer
KEEP_SECONDS = 1.0  # how long an answer is given again
_HEAD_BYTES = 2**13
_KERNEL_BYTES = 2**17  # of an answer that is not read; Linux would hold some megabytes
_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # which every version of Prometheus reads
_HOST = re.compile(rb"^host:[ \t]*(\[[0-9a-f:.]+\]|[^:\r\n]*)", re.IGNORECASE | re.MULTILINE)


@contextmanager
def exposed(collectors: Iterable[Collector], settings: Metrics, port: int) -> Iterator[str]:
    """Serve metrics, and those of the process, until the end of the block.

    Returns
    -------
    str
        Their URL; empty where the settings switch them off.

    Raises
    ------
    ConfigurationError
        It cannot listen at the address.
    """
    if not settings.enabled:
        yield ""
        return
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the time at which each series began, as a series
    with _listening(settings.host, port) as listener:
        server = _Server(listener, registry)
        try:
            yield f"http://{_netloc(settings.host, listener.getsockname()[1])}/metrics"
        finally:
            server.close()


class _Server:
    """Answers on a socket that listens, from a thread of its own.

    Where it listens on a loopback address, `Host` must name this machine: another name is that of a web page which
    reaches through the browser of somebody on this machine (DNS rebinding).
    """

    def __init__(self, listener: socket.socket, registry: CollectorRegistry) -> None:
        self._listener, self._registry = listener, registry
        self._local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
        self._text, self._made = b"", -KEEP_SECONDS
        self._open: dict[asyncio.StreamWriter, None] = {}  # in the order of their beginning
        self._ending = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._started = Event()
        self._thread = Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """End every connection, and stop."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # cancels the connections at its end
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            server = await asyncio.start_server(
                self._connected, sock=self._listener, limit=_HEAD_BYTES, backlog=CONNECTIONS
            )
            self._listener.listen(_WAITING)  # asyncio accepts no more at once than it lets wait
        finally:
            self._started.set()
        await self._ending.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer it, and close the connection."""
        self._open[writer] = None
        while len(self._open) > CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        writer.transport.set_write_buffer_limits(0)  # `drain` then waits until all is sent
        try:
            async with asyncio.timeout(SECONDS):
                writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):  # also TimeoutError
            pass
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        target, _, protocol = rest.partition(b" ")
        if not protocol.startswith(b"HTTP/1."):
            return _response("400 Bad Request", b"expected HTTP/1.1\n")
        if self._local and not _names_this_machine(head):
            return _response("403 Forbidden", b"the header Host names another machine\n")
        if target.partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"the metrics are at /metrics\n")
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"expected GET\n", "Allow: GET, HEAD\r\n")
        try:
            return _response("200 OK", self._metrics(), with_body=method == b"GET")
        except Exception as error:
            log().error("the metrics could not be read", **describe(error))
            return _response("500 Internal Server Error", b"the log says why\n")

    def _metrics(self) -> bytes:
        if time.monotonic() - self._made > KEEP_SECONDS:
            self._text = generate_latest(self._registry)
            self._made = time.monotonic()
        return self._text


def _response(status: str, body: bytes, headers: str = "", with_body: bool = True) -> bytes:
    kind = _TYPE if status.startswith("200") else "text/plain; charset=utf-8"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}"
        "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


def _names_this_machine(head: bytes) -> bool:
    names = [name.decode("latin-1").strip("[]").strip().lower() for name in _HOST.findall(head)]
    with suppress(ValueError):
        return all(name == "localhost" or ipaddress.ip_address(name).is_loopback for name in names)
    return False


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server((str(address[0]), port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigurationError(
            f"cannot listen on {host} port {port} for metrics (TRIAGE_METRICS__…): {reason}"
        ) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
    return listener
