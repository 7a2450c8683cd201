"""Limits on what one connection may send."""

import gc
import time
from pathlib import Path
from typing import cast
from weakref import ref

import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from service.dimse.wire import MAX_PDU_BYTES, Meter, Wire, tls_context
from service.errors import ConfigurationError


def read(size: int) -> bytearray:
    return bytearray(min(size, 8))  # a socket may return less than was asked for


def test_a_pdu_longer_than_the_limit_is_not_read() -> None:
    meter = Meter(read, 2**40, lambda: 0)

    assert meter.recv(MAX_PDU_BYTES)
    with pytest.raises(OSError, match="too long"):
        meter.recv(MAX_PDU_BYTES + 1)


def test_all_pdus_of_a_message_count_towards_its_limit() -> None:
    meter, event = Meter(read, 100, lambda: 0), cast(Event, None)
    meter.recv(60)
    meter.message(event)
    meter.recv(60)

    with pytest.raises(OSError, match="too long"):
        meter.recv(60)


def test_a_peer_that_does_not_wait_for_answers_is_not_read() -> None:
    waiting = [1]
    meter = Meter(read, 2**40, lambda: waiting[0])
    assert meter.recv(6)

    waiting[0] = 2
    with pytest.raises(OSError, match="wait"):
        meter.recv(6)


def test_an_association_is_freed_after_its_end() -> None:
    accepted: list[ref[Association]] = []
    acceptor = AE()
    acceptor.add_supported_context(Verification)
    handlers = [
        (evt.EVT_CONN_OPEN, Wire(2**20, 5).open),
        (evt.EVT_CONN_OPEN, lambda event: accepted.append(ref(event.assoc))),
    ]
    server = acceptor.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    sender = AE()
    sender.add_requested_context(Verification)

    for _ in range(3):
        association = sender.associate("127.0.0.1", cast(ThreadedAssociationServer, server).server_address[1])
        assert association.send_c_echo().Status == 0
        association.release()

    deadline = time.monotonic() + 10  # an association's threads end after the release is answered
    while any(reference() for reference in accepted) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    acceptor.shutdown()
    assert [reference() for reference in accepted] == [None, None, None]


def test_tls_needs_a_certificate() -> None:
    assert tls_context(None, None, None) is None
    with pytest.raises(ConfigurationError, match="TLS_CERTIFICATE"):
        tls_context(None, None, Path("ca.pem"))
