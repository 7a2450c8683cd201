"""Shutdown while an event stream is open, and while a request is on its way."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from service.http import server as module
from service.http.server import Server

TRIAGE = Path(sys.executable).with_name("triage")


def test_an_open_stream_does_not_delay_the_shutdown(artefact: Path, tmp_path: Path, root: Path) -> None:
    """The stream ends as a complete response."""
    environment = {
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_METRICS__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(tmp_path / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "PYTHONPATH": str(root),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [TRIAGE, "serve"], env=os.environ | environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[3]
            with httpx.Client(base_url=address, timeout=60) as client, client.stream("GET", "/v1/events") as answer:
                lines = answer.iter_lines()
                assert next(lines) == ": listening"
                process.send_signal(signal.SIGTERM)
                assert [line for line in lines if line] == []  # httpx raises if the response is cut off
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    output = (tmp_path / "log").read_text()
    assert "Application shutdown complete" in output
    assert "exceeded" not in output  # uvicorn's message when a graceful shutdown times out


def test_a_connection_that_was_accepted_still_has_its_request_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """When new connections are refused, the request of an older one may still be on its way."""
    sleep, sent = asyncio.sleep, threading.Event()

    async def patient(seconds: float) -> None:  # this thread may be late, too
        if seconds == module.ARRIVAL:
            await asyncio.to_thread(sent.wait, 60)
        await sleep(min(seconds, 0.1))  # by a timer: the loop reads what has arrived before it

    monkeypatch.setattr(asyncio, "sleep", patient)
    app = FastAPI()
    app.get("/")(lambda: "here")
    server = Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None), SimpleNamespace(close=lambda: None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    address = server.servers[0].sockets[0].getsockname()
    with socket.create_connection(address, timeout=60) as connection:
        while not server.server_state.connections:
            time.sleep(0.01)
        server.should_exit = True
        while is_open(address):
            time.sleep(0.01)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        sent.set()
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    thread.join(30)
    assert not thread.is_alive()


def test_connections_that_wait_to_be_accepted_are_answered() -> None:
    """Under load the event loop is busy for so long that some always wait when the server stops."""
    app = FastAPI()
    app.get("/")(lambda: "here")
    connections: list[socket.socket] = []

    def connect() -> None:  # while the event loop stands still, as the first step of the shutdown
        address = server.servers[0].sockets[0].getsockname()
        connections.extend(socket.create_connection(address, timeout=60) for _ in range(5))
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")

    server = Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None), SimpleNamespace(close=connect))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    assert [connection.recv(4096)[:12] for connection in connections] == [b"HTTP/1.1 200"] * 5
    for connection in connections:
        connection.close()


def is_open(address: tuple[str, int]) -> bool:
    """Say whether the address takes a connection."""
    try:
        socket.create_connection(address, timeout=60).close()
    except ConnectionError:
        return False
    return True
