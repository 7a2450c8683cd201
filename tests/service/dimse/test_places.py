"""Connections that do not negotiate, and peers whose bytes make a thread of pynetdicom fail."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path

import pytest
from pynetdicom.association import Association

from service.dimse import places
from service.dimse.acceptor import Acceptor
from service.dimse_settings import Dimse
from tests.service.dimse import peer
from tests.service.dimse.crowd import crowd
from tests.service.dimse.serving import Process, acceptor, environment
from tests.service.stub import stub


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let threads that are slow to end make room, too."""
    monkeypatch.setattr(places, "_ROOM_SECONDS", 30.0)


@contextmanager
def accepting(**settings: object) -> Iterator[int]:
    """Run an acceptor in this process, which waits for a peer that a busy machine delays; yield its port."""
    running = Acceptor(Dimse(port=0, **{"negotiation_seconds": 60} | settings), 2**20)  # type: ignore[arg-type]
    try:
        yield running.port
    finally:
        running.close(0)


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def echoes(port: int) -> bool:
    with peer.associated(port) as connection:
        connection.sendall(peer.echo())
        return peer.status(peer.receive(connection)) == 0


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return True
        except AssertionError:  # rejected
            time.sleep(0.05)
    return False


def test_connections_that_send_nothing_take_no_place_of_an_association() -> None:
    patience = {"negotiation_seconds": 300, "idle_seconds": 300}
    with accepting(maximum_associations=1, maximum_negotiating=4, **patience) as port, ExitStack() as stack:
        silent = [stack.enter_context(peer.connected(port)) for _ in range(3)]

        assert echoes(port)
        assert all(map(is_open, silent))


def test_the_oldest_that_has_not_negotiated_makes_room_for_a_new_connection() -> None:
    with accepting(maximum_negotiating=2, negotiation_seconds=300, idle_seconds=300) as port, ExitStack() as stack:
        oldest, *others = [stack.enter_context(peer.connected(port)) for _ in range(3)]

        assert peer.receive(oldest) is None
        assert echoes(port)  # for which the next one is closed
        assert peer.receive(others[0]) is None
        assert is_open(others[1])


def test_an_established_association_is_not_closed_for_a_new_connection() -> None:
    with (
        accepting(maximum_associations=1, maximum_negotiating=2) as port,
        peer.associated(port) as established,
        ExitStack() as stack,
    ):
        for _ in range(5):
            stack.enter_context(peer.connected(port))
        established.sendall(peer.echo())

        assert peer.status(peer.receive(established)) == 0
        second = stack.enter_context(peer.connected(port))
        second.sendall(peer.request())
        answer = peer.receive(second)
        assert answer is not None
        assert (answer[0], answer[1][1:]) == (peer.REJECTED, bytes([2, 3, 2]))  # PS3.8 table 9-21


def test_a_rejected_association_takes_no_place() -> None:
    with accepting(maximum_associations=1) as port, peer.connected(port) as rejected:
        rejected.sendall(peer.request(called=b"KANARIE") + b"\4" * 4)  # half a header, for which pynetdicom waits

        assert eventually(lambda: echoes(port))


def test_a_place_is_free_again_soon_after_a_connection_that_asked_for_nothing() -> None:
    """Its thread does not wait for the end of the time to negotiate."""
    with accepting(maximum_negotiating=1, negotiation_seconds=300, idle_seconds=300) as port:
        start = time.monotonic()
        for _ in range(20):
            peer.connected(port).__enter__().close()
        assert echoes(port)

        assert time.monotonic() - start < 100


@pytest.mark.parametrize(
    "pdus",
    [
        peer.pdu(4, struct.pack(">L", 0)),  # a PDV without a header
        peer.pdu(4, peer.value(1, b"", command=True)),  # a command set without elements
        peer.pdu(4, peer.value(1, b"Tweety Kanarie", command=True)),
        peer.pdu(4, peer.value(99, peer.command(peer.ECHO, peer.VERIFICATION), command=True)),
        peer.pdu(4, peer.value(1, peer.command(0x7777, peer.VERIFICATION), command=True)),
        peer.pdu(4, peer.value(1, peer.command(peer.FIND, "1.2.840.10008.5.1.4.1.2.1.1"), command=True)),
        peer.pdu(3, b"\0\1\1\1"),
        peer.pdu(1, b"\0"),
    ],
    ids=["pdv", "empty", "text", "context", "field", "find", "rejection", "request"],
)
def test_what_pynetdicom_cannot_decode_ends_the_association_and_fills_no_log(log: StringIO, pdus: bytes) -> None:
    with accepting() as port:
        with peer.associated(port) as connection:
            connection.sendall(pdus)
            assert peer.until_the_end(connection)[-1:] in ([peer.ABORTED], [])
        assert echoes(port)

    assert len(log.getvalue()) < 500
    assert "Tweety" not in log.getvalue()


def test_a_connection_for_which_no_thread_can_be_started_is_closed_and_the_next_is_served(
    log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: Association) -> None:
        monkeypatch.undo()
        raise RuntimeError("can't start new thread")

    with accepting() as port:
        monkeypatch.setattr(Association, "start", start)
        with peer.connected(port) as connection:
            assert peer.receive(connection) is None
        assert echoes(port)

    assert log.getvalue().count("\n") == 1
    assert "RuntimeError" in log.getvalue()


@pytest.mark.parametrize("crowds", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_a_thousand_half_open_associations_need_no_memory(artefact: Path, tmp_path: Path, crowds: int) -> None:
    """Half a request each; and ten thousand, of which the first are closed for the next."""
    patience = {f"TRIAGE_DIMSE__{name}_SECONDS": "300" for name in ("NEGOTIATION", "IDLE")}
    with stub() as http, acceptor(environment(artefact, tmp_path, **patience), http.url, tmp_path / "log") as dimse:
        assert echoes(dimse.port)
        with crowd(dimse.port, 200, peer.request()[:100]):
            before, _ = memory(dimse)
        for _ in range(crowds):
            with crowd(dimse.port, 1000, peer.request()[:100]):
                after, threads = memory(dimse)
                assert eventually(lambda: echoes(dimse.port))
                assert threads < 2 * (10 + 2 * 32) + 10, threads  # also of those that are being closed

        assert after - before < 20 * 2**20, (before, after)
        assert len(dimse.log.read_text()) < 5000


def memory(process: Process) -> tuple[int, int]:
    """Return resident bytes and the number of threads."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    values = dict(line.split(":", 1) for line in status.splitlines())
    return int(values["VmRSS"].split()[0]) * 1024, int(values["Threads"])
