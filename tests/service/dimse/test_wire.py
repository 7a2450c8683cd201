"""What one connection may send."""

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


def read(wanted: int) -> bytearray:
    return bytearray(min(wanted, 8))  # as much as there is


def test_a_pdu_up_to_the_bound_is_read_and_no_longer_one() -> None:
    meter = Meter(read, 2**40, lambda: 0)

    assert meter.recv(MAX_PDU_BYTES)
    with pytest.raises(OSError, match="longer"):
        meter.recv(MAX_PDU_BYTES + 1)


def test_of_a_message_all_pdus_count_until_it_is_complete() -> None:
    meter, event = Meter(read, 100, lambda: 0), cast(Event, None)
    meter.recv(60)
    meter.message(event)
    meter.recv(60)

    with pytest.raises(OSError, match="longer"):
        meter.recv(60)


def test_who_sends_on_without_waiting_for_answers_is_not_read() -> None:
    waiting = [1]
    meter = Meter(read, 2**40, lambda: waiting[0])
    assert meter.recv(6)

    waiting[0] = 2
    with pytest.raises(OSError, match="wait"):
        meter.recv(6)


def test_nothing_is_kept_of_an_association_that_is_over() -> None:
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

    until = time.monotonic() + 10  # its threads end after the release is answered
    while any(one() for one in accepted) and time.monotonic() < until:
        gc.collect()
        time.sleep(0.02)
    acceptor.shutdown()
    assert [one() for one in accepted] == [None, None, None]


def test_no_certificate_is_no_tls() -> None:
    assert tls_context(None, None, None) is None
    with pytest.raises(ConfigurationError, match="TLS_CERTIFICATE"):
        tls_context(None, None, Path("ca.pem"))
