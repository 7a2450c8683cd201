"""The number of pieces in a PDU, also where a length in it is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.dimse.pdu import MAX_ITEMS, items, values
from tests.service.dimse import peer


def body(pdu: bytes) -> bytes:
    return pdu[6:]


def test_items_of_a_request_are_counted_with_their_sub_items() -> None:
    contexts = ((1, peer.VERIFICATION, ("1.2",)), (3, peer.STORAGE, ("1.2", "1.2.1", "1.2.2")))

    # The application context, two contexts with 1 + 1 and 1 + 3 syntaxes, the user information with two sub-items
    assert items(body(peer.request(contexts))) == 1 + (1 + 2) + (1 + 4) + (1 + 2)


@pytest.mark.parametrize("kind", [0x10, 0x20, 0x50])
def test_no_request_has_more_items_than_are_counted(kind: int) -> None:
    many = peer.item(0x20, b"\1\0\0\0" + peer.item(0x40, b"") * 10_000)
    user = peer.item(0x51, b"") * 16_000
    bodies = {
        0x10: bytes(68) + peer.item(0x10, b"") * 100_000,
        0x20: bytes(68) + many,
        0x50: body(peer.request(user=user)),
    }

    assert items(bodies[kind]) > MAX_ITEMS


def test_a_wrong_length_ends_the_count() -> None:
    assert items(bytes(68) + b"\x10\0\xff\xff") == 1
    assert values(peer.value(1, b"ab") + b"\xff\xff\xff\xff\1\3") == 2


def test_values_are_counted() -> None:
    assert values(b"") == 0
    assert values(peer.value(1, b"ab") * 3) == 3
    assert values(b"\0\0\0\0" * 100) == 100


@given(st.binary(max_size=600))
def test_any_bytes_can_be_counted(data: bytes) -> None:
    assert 0 <= items(bytes(68) + data) <= len(data) / 4 + 1
    assert 0 <= values(data) <= len(data) / 4
