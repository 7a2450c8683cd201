"""Peers that send too slowly, on a real connection; `test_wire.py` has each limit on a clock of its own."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.dimse.acceptor import Acceptor
from service.dimse_settings import Dimse
from tests.service.dimse import peer
from tests.service.dimse.certificate import certify

PATIENCE = 50.0  # the limits below are half a second


@contextmanager
def accepting(**settings: object) -> Iterator[int]:
    limits = {"negotiation_seconds": 0.5, "pdu_seconds": 0.5, "maximum_associations": 1, "maximum_negotiating": 1}
    running = Acceptor(Dimse(port=0, **limits | settings), 2**20)  # type: ignore[arg-type]
    try:
        yield running.port
    finally:
        running.close(0)


def trickle(connection: socket.socket, part: bytes) -> None:
    """Send `part` twenty times a second until the other side ends the connection.

    Raises
    ------
    TimeoutError
        It does not.
    """
    ended = threading.Event()

    def send() -> None:
        try:
            while not ended.wait(0.05):
                connection.sendall(part)
        except OSError:
            pass

    sender = threading.Thread(target=send)
    sender.start()
    try:
        connection.settimeout(PATIENCE)
        peer.until_the_end(connection)
    finally:
        ended.set()
        sender.join()


def test_a_request_that_trickles_is_not_waited_for() -> None:
    with accepting(negotiation_seconds=1.5) as port:
        with peer.connected(port) as connection:
            connection.sendall(peer.request()[:80])
            trickle(connection, b"\0")
        with peer.admitted(port):
            pass


def test_a_data_set_that_trickles_is_not_waited_for() -> None:
    """As a PDU announces it, and as PDUs of a byte that are each whole in time."""
    with accepting(minimum_bytes_per_second=10**6, negotiation_seconds=PATIENCE) as port:
        for start, part in (
            (peer.pdu(4, peer.value(3, bytes(1000)))[:20], b"\0"),
            (b"", peer.pdu(4, peer.value(3, b"\0", last=False))),
        ):
            with peer.admitted(port) as connection:
                connection.sendall(start)
                trickle(connection, part)


def test_an_association_that_only_echoes_ends() -> None:
    with accepting(idle_seconds=2, negotiation_seconds=PATIENCE) as port, peer.admitted(port) as connection:
        trickle(connection, peer.echo())


def test_a_tls_handshake_that_trickles_is_not_waited_for(tmp_path: Path) -> None:
    certify(tmp_path)
    files = {"tls_certificate": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}
    with accepting(**files, negotiation_seconds=2) as port:
        with peer.connected(port) as connection:
            connection.sendall(struct.pack(">BHH", 22, 0x0301, 4000))  # a record of the handshake, RFC 8446 5.1
            trickle(connection, b"\0")

        with peer.admitted(port, tls=ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))):
            pass


@pytest.mark.parametrize("sent", [b"", peer.request()[:30]])
def test_a_peer_that_says_no_more_is_not_waited_for(sent: bytes) -> None:
    with accepting() as port, peer.connected(port, PATIENCE) as connection:
        connection.sendall(sent)
        peer.until_the_end(connection)
