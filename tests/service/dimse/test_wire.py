"""Limits on what one connection may send, and on how long it may take."""

import gc
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from weakref import ref

import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ, C_STORE_RSP
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from service.dimse import wire
from service.dimse.wire import MAX_PDU_BYTES, Meter, Wire, tls_context
from service.dimse_settings import Dimse
from service.errors import ConfigurationError
from tests.service.dimse import peer

SETTINGS = Dimse(
    idle_seconds=60, negotiation_seconds=10, pdu_seconds=30, minimum_bytes_per_second=1000, maximum_pdu_bytes=2**17
)
FILE = 4 * 2**20  # the limit is 5 MiB: 1 MiB is for commands


class Peer:
    """A connection that sends `pending`, and a clock that passes as it does."""

    def __init__(self) -> None:
        self.now, self.seconds_per_read = 1000.0, 0.0
        self.pending = b""
        self.timeouts: list[float] = []
        self.events: list[str] = []
        self.restarts = self.messages = 0
        idle_timer = SimpleNamespace(restart=lambda: setattr(self, "restarts", self.restarts + 1))
        events = SimpleNamespace(put=self.events.append)
        dul = SimpleNamespace(socket=SimpleNamespace(socket=self), _idle_timer=idle_timer, event_queue=events)
        queue = SimpleNamespace(qsize=lambda: self.messages)
        self.association = SimpleNamespace(dul=dul, dimse=SimpleNamespace(msg_queue=queue))

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def recv_into(self, view: memoryview, size: int) -> int:
        self.now += self.seconds_per_read
        part, self.pending = self.pending[: min(size, 100_000)], self.pending[min(size, 100_000) :]
        view[: len(part)] = part
        return len(part)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Peer, Meter]]:
    """A connection that is not negotiated yet, on a clock of its own."""
    connection = Peer()
    monkeypatch.setattr(wire, "monotonic", lambda: connection.now)
    return connection, Meter(connection.association, SETTINGS, FILE + 2**20)


def accept(meter: Meter) -> None:
    answer = A_ASSOCIATE()
    answer.result = 0
    meter.sent(cast(Event, SimpleNamespace(primitive=answer)))


def message(kind: type) -> Event:
    return cast(Event, SimpleNamespace(message=kind()))


def read(connection: Peer, meter: Meter, pdu: bytes) -> bytes:
    """Read a PDU as pynetdicom does."""
    connection.pending = pdu
    header = meter.recv(6)
    return bytes(header + meter.recv(struct.unpack(">BxL", header)[1]))


def read_all(connection: Peer, meter: Meter, pdus: list[bytes]) -> None:
    for pdu in pdus:
        read(connection, meter, pdu)


def data(size: int) -> bytes:
    return peer.pdu(4, peer.value(3, bytes(size)))


def test_a_pdu_is_read_as_it_was_sent(slow: tuple[Peer, Meter]) -> None:
    request = peer.request()

    assert read(*slow, request) == request
    accept(slow[1])
    assert read(*slow, data(200_000)) == data(200_000)


def test_a_pdu_longer_than_the_limit_is_not_read(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    accept(meter)
    read(connection, meter, data(MAX_PDU_BYTES - 6))

    connection.pending = struct.pack(">BBL", 4, 0, MAX_PDU_BYTES + 1) + bytes(10)
    meter.recv(6)
    with pytest.raises(OSError, match="too long"):
        meter.recv(MAX_PDU_BYTES + 1)
    assert len(connection.pending) == 10


def test_all_pdus_of_a_message_count_towards_its_limit(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    accept(meter)
    for _ in range(4):
        read(connection, meter, data(10**6))
    meter.message(message(C_STORE_RQ))
    for _ in range(5):
        read(connection, meter, data(10**6))

    with pytest.raises(OSError, match="too long"):
        read(connection, meter, data(10**6))


def test_little_is_read_before_the_association(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    read(connection, meter, peer.pdu(2, bytes(MAX_PDU_BYTES)))

    with pytest.raises(OSError, match="too long"):
        read(connection, meter, peer.pdu(2, bytes(100)))


def test_a_peer_that_does_not_wait_for_answers_is_not_read(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    accept(meter)
    connection.messages = 1
    read(connection, meter, peer.echo())

    connection.messages = 2
    with pytest.raises(OSError, match="wait"):
        read(connection, meter, peer.echo())


@pytest.mark.parametrize("negotiated", [False, True])
def test_a_pdu_that_trickles_is_not_read_to_its_end(slow: tuple[Peer, Meter], negotiated: bool) -> None:
    connection, meter = slow
    if negotiated:
        accept(meter)
    connection.pending, connection.seconds_per_read = peer.pdu(1, bytes(10**6)), 0.0
    meter.recv(6)
    connection.seconds_per_read = 4.0  # 64 KiB each

    with pytest.raises(OSError, match="in time"):
        meter.recv(10**6)
    assert connection.now == 1000 + (32 if negotiated else 12)
    assert max(connection.timeouts) <= 30  # a read that waits does so no longer than is left


def test_the_time_to_negotiate_is_one_for_all_pdus(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    connection.seconds_per_read = 2.0

    with pytest.raises(OSError, match="in time"):
        read_all(connection, meter, [peer.pdu(6, b"1234")] * 100)
    assert connection.now <= 1012


def test_the_slower_a_message_arrives_the_sooner_it_ends(slow: tuple[Peer, Meter]) -> None:
    """1000 bytes a second, after 30 s: PDUs of 2,012 bytes may take 2.012 s each, and 30 s once."""
    connection, meter = slow
    accept(meter)
    connection.seconds_per_read = 1.0
    for _ in range(100):  # header and body, in 2 s
        read(connection, meter, data(2000))
    meter.message(message(C_STORE_RQ))
    connection.seconds_per_read = 2.0

    with pytest.raises(OSError, match="in time"):
        read_all(connection, meter, [data(2000)] * 100)
    assert 1200 + 30 < connection.now < 1200 + 80


def test_an_association_without_a_data_set_ends_although_it_echoes(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    accept(meter)
    for _ in range(3):
        read(connection, meter, peer.echo())
        meter.message(message(C_ECHO_RQ))
        connection.now += 20

    connection.now += 1
    with pytest.raises(OSError, match="C-STORE"):
        read(connection, meter, peer.echo())


def test_the_time_without_a_data_set_begins_at_the_answer_to_the_last(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    accept(meter)
    for _ in range(5):
        connection.now += 59
        read(connection, meter, data(10))
        meter.message(message(C_STORE_RQ))
        connection.now += 59
        meter.answered(message(C_STORE_RSP))

    assert connection.restarts == 5  # pynetdicom's own timer
    assert connection.events == []


def test_a_message_that_is_neither_store_nor_echo_ends_the_association(slow: tuple[Peer, Meter]) -> None:
    slow[1].message(message(C_FIND_RQ))

    assert slow[0].events == ["Evt19"]


@pytest.mark.parametrize(
    "pdus",
    [
        [peer.pdu(4, peer.value(3, b"x", last=False) * 2000)],
        [peer.pdu(4, peer.value(3, b"x", last=False))] * 600,
        [peer.pdu(4, b"")] * 1100,
    ],
)
def test_a_message_in_pieces_of_a_byte_is_not_read(slow: tuple[Peer, Meter], pdus: list[bytes]) -> None:
    accept(slow[1])

    with pytest.raises(OSError, match="pieces"):
        read_all(*slow, pdus)


def test_a_request_with_a_hundred_thousand_items_is_refused_before_it_is_decoded(slow: tuple[Peer, Meter]) -> None:
    with pytest.raises(OSError, match="items"):
        read(*slow, peer.pdu(1, bytes(68) + peer.item(0x10, b"") * 100_000))


def test_nothing_is_read_after_a_header_that_is_none(slow: tuple[Peer, Meter]) -> None:
    """pynetdicom answers every unknown kind of PDU with an abort of ten bytes."""
    slow[0].pending = b"GET / HTTP/1.1\r\n"

    assert slow[1].recv(6) == b"GET / "
    with pytest.raises(OSError, match="over a limit"):
        slow[1].recv(6)


def test_nothing_is_read_after_a_refusal(slow: tuple[Peer, Meter]) -> None:
    """pynetdicom looks at the socket once more before it ends the connection, and would wait for a header."""
    connection, meter = slow
    connection.pending = peer.pdu(1, b"x")
    meter.recv(6)
    with pytest.raises(OSError, match="too long"):
        meter.recv(2**32 - 1)

    with pytest.raises(OSError, match="over a limit"):
        meter.recv(6)
    assert connection.pending == b"x"


def test_a_body_that_ends_early_is_returned_as_it_is(slow: tuple[Peer, Meter]) -> None:
    connection, meter = slow
    connection.pending = peer.pdu(1, bytes(100))[:50]

    assert len(meter.recv(6)) == 6
    assert len(meter.recv(100)) == 44


def test_an_association_is_freed_after_its_end() -> None:
    accepted: list[ref[Association]] = []
    acceptor = AE()
    acceptor.add_supported_context(Verification)
    handlers: Any = [
        (evt.EVT_CONN_OPEN, Wire(Dimse(negotiation_seconds=60), 2**20).open),
        (evt.EVT_CONN_OPEN, lambda event: accepted.append(ref(event.assoc))),
    ]
    server = acceptor.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    sender = AE()
    sender.add_requested_context(Verification)

    for _ in range(3):
        association = sender.associate("127.0.0.1", cast(ThreadedAssociationServer, server).server_address[1])
        assert association.send_c_echo().Status == 0
        association.release()

    deadline = time.monotonic() + 60  # an association's threads end after the release is answered
    while any(reference() for reference in accepted) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    acceptor.shutdown()
    assert [reference() for reference in accepted] == [None, None, None]


def test_tls_needs_a_certificate() -> None:
    assert tls_context(None, None, None) is None
    with pytest.raises(ConfigurationError, match="TLS_CERTIFICATE"):
        tls_context(None, None, Path("ca.pem"))
