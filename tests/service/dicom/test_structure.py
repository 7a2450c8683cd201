import struct

import pytest

from service.dicom.structure import Encoding, encoding_of, meta_end, walk
from service.errors import MalformedDicom

EXPLICIT = Encoding(implicit=False, little=True)
IMPLICIT = Encoding(implicit=True, little=True)
BIG = Encoding(implicit=False, little=False)
UNDEFINED = 0xFFFFFFFF


def short(tag: int, vr: bytes, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, len(value) if length is None else length) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(value: bytes) -> bytes:
    return implicit(0xFFFEE000, value)


def open_item(value: bytes) -> bytes:
    return implicit(0xFFFEE000, value, UNDEFINED) + implicit(0xFFFEE00D, b"")


def open_sequence(tag: int, value: bytes) -> bytes:
    return long(tag, b"SQ", value, UNDEFINED) + implicit(0xFFFEE0DD, b"")


LEAF = short(0x00080060, b"CS", b"DX")

GOOD = {
    "nothing": (b"", EXPLICIT),
    "short": (LEAF, EXPLICIT),
    "long": (long(0x7FE00010, b"OW", b"1234"), EXPLICIT),
    "big endian": (short(0x00080060, b"CS", b"DX", ">"), BIG),
    "implicit": (implicit(0x00080060, b"DX"), IMPLICIT),
    "fragments": (long(0x7FE00010, b"OB", item(b"") + item(b"12"), UNDEFINED) + implicit(0xFFFEE0DD, b""), EXPLICIT),
    "sequence": (long(0x00081140, b"SQ", item(LEAF) + item(b"")), EXPLICIT),
    "open sequence": (open_sequence(0x00081140, open_item(LEAF) + item(LEAF)) + LEAF, EXPLICIT),
    "implicit sequence": (implicit(0x00081140, item(implicit(0x00080060, b"DX"))), IMPLICIT),
    "open implicit sequence": (
        implicit(0x00081140, open_item(implicit(0x00080060, b"DX")), UNDEFINED) + implicit(0xFFFEE0DD, b""),
        IMPLICIT,
    ),
    "private open implicit": (
        implicit(0x00091001, open_item(implicit(0x00080060, b"DX")), UNDEFINED) + implicit(0xFFFEE0DD, b""),
        IMPLICIT,
    ),
    "implicit inside explicit": (long(0x00081140, b"UN", item(implicit(0x00080060, b"DX"))), EXPLICIT),
    "nested": (open_sequence(0x00081140, open_item(open_sequence(0x00081140, item(LEAF)))), EXPLICIT),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_valid_structure_is_walked_to_its_end(name):
    data, encoding = GOOD[name]
    assert walk(data, 0, encoding, 5, 100) == len(data)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "nothing"])
def test_a_cut_inside_an_element_is_detected(name):
    data, encoding = GOOD[name]
    ends = {"open sequence": {0, len(data) - len(LEAF)}, "big endian": {0, 1}}.get(name, {0})  # 1: a zero
    for size in range(len(data)):
        if size in ends:
            continue
        with pytest.raises(MalformedDicom) as refusal:
            walk(data[:size], 0, encoding, 5, 100)
        assert refusal.value.code == "truncated"


def test_zeros_at_the_end_are_padding():
    assert walk(LEAF + bytes(3), 0, EXPLICIT, 5, 100) == len(LEAF)
    assert walk(LEAF + bytes(600), 0, EXPLICIT, 5, 100) == len(LEAF)


BAD = {
    "zeros within": (LEAF + bytes(8) + LEAF, "structure_invalid"),
    "overrun": (long(0x00081140, b"SQ", implicit(0xFFFEE000, LEAF, 40)) + LEAF * 8, "structure_invalid"),
    "no item": (long(0x00081140, b"SQ", LEAF), "structure_invalid"),
    "item at top": (item(LEAF), "structure_invalid"),
    "delimiter at top": (implicit(0xFFFEE0DD, b""), "structure_invalid"),
    "open fragment": (long(0x7FE00010, b"OB", implicit(0xFFFEE000, b"12", UNDEFINED), UNDEFINED), "structure_invalid"),
    "many": (LEAF * 101, "too_many_elements"),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_structures_are_refused(name):
    data, code = BAD[name]
    with pytest.raises(MalformedDicom) as refusal:
        walk(data, 0, EXPLICIT, 5, 100)
    assert refusal.value.code == code


def nest_open(inner: bytes) -> bytes:
    return open_sequence(0x00081140, open_item(inner))


def nest_closed(inner: bytes) -> bytes:
    return long(0x00081140, b"SQ", item(inner))


@pytest.mark.parametrize("nest", [nest_open, nest_closed])
def test_depth_is_bounded_without_recursion(nest):
    data = LEAF
    for _ in range(5):
        data = nest(data)
    assert walk(data, 0, EXPLICIT, 5, 100) == len(data)
    for _ in range(2000):
        data = nest(data)
    with pytest.raises(MalformedDicom) as refusal:
        walk(data, 0, EXPLICIT, 5, 100_000)
    assert refusal.value.code == "too_deep"


def test_the_encoding_is_detected_from_the_first_element():
    assert encoding_of(LEAF, 0, None) == EXPLICIT
    assert encoding_of(LEAF, 0, IMPLICIT) == EXPLICIT
    assert encoding_of(implicit(0x00080060, b"DX"), 0, EXPLICIT) == IMPLICIT
    assert encoding_of(short(0x00080060, b"CS", b"DX", ">"), 0, None) == BIG


def test_file_meta_ends_where_group_2_does():
    meta = short(0x00020010, b"UI", b"1.2\0") + long(0x00020001, b"OB", b"\0\1")
    assert meta_end(meta + LEAF, 0, 10) == len(meta)
    with pytest.raises(MalformedDicom) as refusal:
        meta_end(meta * 10, 0, 10)
    assert refusal.value.code == "too_many_elements"
