"""What one connection may send."""

from pathlib import Path

import pytest

from service.dimse.wire import MAX_PDU_BYTES, Meter, tls_context
from service.errors import ConfigurationError


def read(wanted: int) -> bytearray:
    return bytearray(min(wanted, 8))  # as much as there is


def test_a_pdu_up_to_the_bound_is_read_and_no_longer_one() -> None:
    meter = Meter(read, 2**40, lambda: 0)

    assert meter.recv(MAX_PDU_BYTES)
    with pytest.raises(OSError, match="longer"):
        meter.recv(MAX_PDU_BYTES + 1)


def test_of_a_message_all_pdus_count_until_it_is_complete() -> None:
    meter = Meter(read, 100, lambda: 0)
    meter.recv(60)
    meter.count = 0  # as `Wire.message` does
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


def test_no_certificate_is_no_tls() -> None:
    assert tls_context(None, None, None) is None
    with pytest.raises(ConfigurationError, match="TLS_CERTIFICATE"):
        tls_context(None, None, Path("ca.pem"))
