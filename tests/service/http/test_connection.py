"""Deadlines and bounds of connections, with real sockets against uvicorn."""

import asyncio
import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.http.connection import KEEP_ALIVE_SECONDS, Connection
from service.http.connections import OTHER_FILES, Connections, most_connections
from service.http.envelope import SAFE_HEADERS
from service.http.pace import Pace
from service.http.server import BACKLOG

LARGE = bytes(range(256)) * 2**17  # 32 MiB, more than the kernel holds for a client that does not read
FAR = 60.0  # seconds: no test waits for it
ENTERED: list[str] = []  # the requests of `/never` so far
BOUNDS = {"most": 100, "unread_bytes": 2**40, "head_seconds": FAR, "idle_seconds": FAR, "bytes_per_second": 1}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer by path: a large body, nothing, an echo, or a refusal before the body is read."""
    path = scope["path"]
    if path == "/never":
        ENTERED.append(path)
        await asyncio.Event().wait()
    body = await Request(scope, receive).body() if path == "/echo" else b"here"
    await Response(LARGE if path == "/large" else body, 413 if path == "/refused" else 200)(scope, receive, send)


class Address(NamedTuple):
    """The address of a server, with the server."""

    host: str
    port: int
    server: uvicorn.Server

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.server.servers[0].get_loop()


@contextmanager
def server(**bounds: Any) -> Iterator[Address]:
    """Run a server with other bounds than `BOUNDS`; yields its address."""
    accept: Any = partial(Connection, Connections(**BOUNDS | bounds))
    config = uvicorn.Config(
        application,
        http=accept,
        ws="none",
        lifespan="off",
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    running = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    wait_until(lambda: running.started)
    try:
        yield Address(*listener.getsockname(), running)
    finally:
        running.should_exit = running.force_exit = True
        thread.join(FAR)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + FAR
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):  # of a connection that is refused while its request is on its way
            if holds():
                return
        time.sleep(0.01)
    raise TimeoutError


def settle(address: Address) -> None:
    """Let the server do what it can; after a sleep of this thread it may have done nothing."""

    async def turns() -> None:
        for _ in range(50):
            await asyncio.sleep(0.01)

    asyncio.run_coroutine_threadsafe(turns(), address.loop).result(FAR)


@contextmanager
def standing_still(address: Address) -> Iterator[None]:
    """Let the server see at once what its clients do in the block, however long they take."""
    stands, may_go_on = threading.Event(), threading.Event()

    def stand() -> None:
        stands.set()
        may_go_on.wait(FAR)

    address.loop.call_soon_threadsafe(stand)
    assert stands.wait(FAR)
    try:
        yield
    finally:
        may_go_on.set()


def connect(address: Address, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection((address.host, address.port), timeout=FAR)
    client.sendall(sent)
    return client


def small_buffers(create: Any, address: tuple[str, int]) -> socket.socket:
    """Create a listening socket whose connections hold little in the kernel."""
    listener: socket.socket = create(address)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**16)
    return listener


def nearly_read(address: Address) -> socket.socket:
    """Return a connection whose last part of an answer, of 256 KiB, is written, but not for the most part sent."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**15)
    client.connect((address.host, address.port))
    client.sendall(get("/large"))
    unread = len(LARGE)
    while unread > 270_000:
        unread -= len(client.recv(2**16))
    settle(address)
    return client


def receive_here(client: socket.socket) -> None:
    """Receive a small answer, after which the connection stays open."""
    received = b""
    while b"here" not in received:
        part = client.recv(2**16)
        assert part, received
        received += part


def everything(client: socket.socket) -> bytes:
    """Return what a server sends until it closes or resets the connection."""
    received = bytearray()
    try:
        while part := client.recv(2**16):
            received += part
    except ConnectionError:
        pass
    client.close()
    return bytes(received)


def trickle(client: socket.socket, data: bytes, every: float = 0.05) -> int:
    """Send byte after byte until the server closes; return how many were sent."""
    client.setblocking(False)
    for count, byte in enumerate(data):
        try:
            client.send(bytes([byte]))
            if client.recv(1) == b"":
                return count
        except BlockingIOError:
            pass
        except ConnectionError:
            return count
        time.sleep(every)
    return len(data)


def get(path: str, host: str = "x", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def answered(address: Address) -> bool:
    return httpx.get(f"http://{address.host}:{address.port}/", timeout=FAR).content == b"here"


def problem(answer: bytes) -> tuple[int, str]:
    """Return status and code of an answer, which must have the headers of every answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    names = {line.partition(b":")[0].lower() for line in head.splitlines()[1:]}
    assert {name.lower().encode() for name in SAFE_HEADERS} <= names
    assert {b"x-request-id", b"content-length"} <= names
    assert head.split(b"\r\n")[0].split(b" ", 2)[2], "a reason phrase"
    assert json.loads(body)["request_id"].encode() in head
    return int(head.split()[1]), json.loads(body)["code"]


class TestHead:
    def test_a_head_that_trickles_in_is_refused_in_time(self) -> None:
        with server(head_seconds=0.5) as address, connect(address) as client:
            assert trickle(client, b"GET / HTTP/1.1\r\nX: " + 2_000 * b"x") < 1_000
            with standing_still(address):
                other = connect(address, get("/"))
            receive_here(other)
            other.close()

    def test_the_refusal_says_why(self) -> None:
        with server(head_seconds=0.2) as address:
            with standing_still(address):
                client = connect(address, b"GET / HTTP/1.1\r\nHost:")
            assert problem(everything(client)) == (408, "upload_idle")

    def test_a_silent_connection_is_closed(self) -> None:
        with server(head_seconds=0.2) as address:
            assert everything(connect(address)) == b""

    def test_an_idle_connection_stays_open_for_the_next_request(self) -> None:
        with server(head_seconds=0.2) as address:
            with standing_still(address):
                client = connect(address, get("/"))
            receive_here(client)
            settle(address)  # for half a second
            with standing_still(address):
                client.sendall(get("/"))
            receive_here(client)
            client.close()

    def test_a_second_head_that_has_begun_before_the_first_answer_has_the_same_deadline(self) -> None:
        with server(head_seconds=0.2) as address:
            with standing_still(address):
                client = connect(address, get("/") + b"GET / HTTP/1.1\r\nHost:")
            assert b'"upload_idle"' in everything(client)

    def test_a_second_head_has_the_same_deadline(self) -> None:
        with server(head_seconds=0.5) as address:
            with standing_still(address):
                client = connect(address, get("/"))
            receive_here(client)
            assert trickle(client, b"GET / HTTP/1.1\r\nX: " + 2_000 * b"x") < 1_000
            client.close()

    def test_what_is_no_http_is_refused_with_the_headers_of_every_answer(self) -> None:
        with server() as address:
            assert problem(everything(connect(address, b"\x01\x00\x00\x00\x00\xcd\x00\x01\r\n\r\n"))) == (
                400,
                "invalid_http",
            )


class TestNumber:
    def test_over_the_bound_the_longest_wait_ends(self) -> None:
        with server(most=3) as address:
            waiting = [connect(address) for _ in range(3)]
            settle(address)
            assert answered(address)
            assert everything(waiting[0]) == b""
            waiting[2].sendall(get("/", more="Connection: close\r\n"))
            assert everything(waiting[2]).endswith(b"here")
            waiting[1].close()

    def test_where_all_are_being_served_one_more_is_refused(self) -> None:
        before = len(ENTERED)
        with server(most=2) as address:
            served = [connect(address, get("/never")) for _ in range(2)]
            wait_until(lambda: len(ENTERED) == before + 2)
            assert problem(everything(connect(address))) == (503, "too_many_connections")
            served[0].close()
            wait_until(lambda: answered(address))
            served[1].close()

    def test_bodies_that_trickle_in_shut_nobody_out(self) -> None:
        with server(most=3) as address:
            head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx"
            uploads = [connect(address, head) for _ in range(3)]
            settle(address)
            assert answered(address)
            assert everything(uploads[0]) == b""
            uploads[2].sendall(99 * b"x")
            assert uploads[2].recv(2**16).startswith(b"HTTP/1.1 200")
            for upload in uploads:
                upload.close()

    def test_answers_that_nobody_reads_shut_nobody_out(self) -> None:
        with server(most=3) as address:
            unread = [connect(address, get("/large")) for _ in range(3)]
            settle(address)
            assert answered(address)
            for client in unread:
                client.close()

    def test_clients_that_leave_before_the_end_of_an_answer_leave_the_bound_as_it_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "create_server", partial(small_buffers, socket.create_server))
        with server(most=3) as address:
            for _ in range(3):
                nearly_read(address).close()
            assert answered(address)
            waiting = [connect(address) for _ in range(3)]
            assert answered(address)
            waiting[0].settimeout(FAR / 3)  # it is closed for the one that was answered, not by its deadline
            assert everything(waiting[0]) == b""
            for client in waiting[1:]:
                client.close()

    def test_bodies_that_are_still_asked_for_when_the_answer_is_written_shut_nobody_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
            asking = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            await Response(b"here")(scope, receive, send)
            await asyncio.wait([asking])

        monkeypatch.setattr(sys.modules[__name__], "application", hasty)
        with server(most=2) as address:
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            uploads = [connect(address, head) for _ in range(2)]
            for upload in uploads:
                receive_here(upload)
            assert answered(address)
            for upload in uploads:
                upload.close()

    def test_a_flood_of_silent_connections_shuts_nobody_out(self) -> None:
        with server(most=20) as address:
            flood = [connect(address) for _ in range(200)]
            assert all(answered(address) for _ in range(5))
            for client in flood:
                client.close()

    def test_the_bound_leaves_files_for_everything_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        limits = (1024, 1024)
        monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
        monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: raised.append(wanted))
        raised: list[tuple[int, int]] = []

        assert most_connections(10_000) == 1024 - OTHER_FILES
        assert most_connections(100) == 100

        limits = (1024, 524_288)
        raised.clear()
        assert most_connections(10_000) == 10_000
        assert raised == [(10_000 + OTHER_FILES, 524_288)]

    @pytest.mark.parametrize("more", [b"G", get("/")])
    def test_answers_that_nobody_reads_shut_nobody_out_when_more_is_sent(self, more: bytes) -> None:
        with server(most=3, unread_bytes=4 * len(LARGE)) as address:
            unread = [connect(address, get("/large")) for _ in range(3)]
            settle(address)
            for client in unread:
                client.sendall(more)
            settle(address)
            assert answered(address)
            for client in unread:
                client.close()

    def test_ends_of_answers_that_nobody_reads_shut_nobody_out_when_more_is_asked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "create_server", partial(small_buffers, socket.create_server))
        with server(most=3) as address:
            unread = [nearly_read(address) for _ in range(3)]
            for client in unread:
                client.sendall(get("/"))
            settle(address)
            assert answered(address)
            for client in unread:
                client.close()


class TestAnswer:
    def test_a_large_answer_arrives_whole(self) -> None:
        with server() as address:
            assert httpx.get(f"http://{address.host}:{address.port}/large", timeout=FAR).content == LARGE

    def test_requests_that_follow_each_other_at_once_are_all_answered(self) -> None:
        with server() as address:
            pipelined = get("/") + get("/large") + get("/", more="Connection: close\r\n")
            received = everything(connect(address, pipelined))
            assert received.count(b"here") == 2
            assert LARGE in received

    def test_an_answer_that_is_not_read_is_cut_off(self) -> None:
        with server(idle_seconds=0.5) as address:
            client = connect(address, get("/large"))
            assert client.recv(1)
            wait_until(lambda: not address.server.server_state.connections)
            assert len(everything(client)) < len(LARGE)

    def test_unread_bytes_are_bounded_also_when_more_is_sent(self) -> None:
        with server(unread_bytes=2 * len(LARGE)) as address:
            unread = []
            for _ in range(3):
                unread.append(connect(address, get("/large")))
                settle(address)
                unread[-1].sendall(b"G")
                settle(address)
            assert len(everything(unread[0])) < len(LARGE)
            for client in unread[1:]:
                client.close()

    def test_a_client_that_reads_slowly_but_fast_enough_gets_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each wait counts as many seconds as a part of 256 KiB may take, which is longer than a client may be idle."""

        @contextmanager
        def waiting(pace: Pace) -> Iterator[None]:
            yield
            pace.waited += 100.0
            waited.append(pace.waited)

        waited: list[float] = []
        monkeypatch.setattr(Pace, "waiting", waiting)
        with server(bytes_per_second=2**18 / 100) as address:
            received = 0
            with connect(address, get("/large", more="Connection: close\r\n")) as client:
                while part := client.recv(2**20):
                    received += len(part)
                    time.sleep(0.02)
            assert received > len(LARGE)
            assert max(waited) > FAR

    def test_over_the_bound_on_unread_bytes_the_longest_wait_is_cut_off(self) -> None:
        with server(unread_bytes=2 * len(LARGE)) as address:
            unread = []
            for _ in range(3):
                unread.append(connect(address, get("/large", more="Connection: close\r\n")))
                settle(address)
            assert len(everything(unread[0])) < len(LARGE)
            assert all(everything(client).endswith(LARGE) for client in unread[1:])


class TestBody:
    def test_a_body_arrives_whole(self) -> None:
        with server() as address:
            answer = httpx.post(f"http://{address.host}:{address.port}/echo", content=LARGE, timeout=FAR)
            assert answer.content == LARGE

    def test_a_refused_body_that_trickles_on_is_not_waited_for(self) -> None:
        head = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        with server(idle_seconds=0.5) as address, connect(address, head) as client:
            receive_here(client)
            assert trickle(client, 2_000 * b"x") < 1_000

    def test_a_refused_body_that_arrives_leaves_the_connection_usable(self) -> None:
        head = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        with server() as address, connect(address, head) as client:
            receive_here(client)
            client.sendall(100_000 * b"x" + get("/", more="Connection: close\r\n"))
            assert everything(client).endswith(b"here")
