import struct

import pytest

from service.dicom.element_header import Encoding
from service.dicom.structure import Limits, encoding_of, meta_ends, walk
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
    assert walk(data, 0, encoding, Limits(5, 100, 100, 100)).end == len(data)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "nothing"])
def test_a_cut_inside_an_element_is_detected(name):
    data, encoding = GOOD[name]
    ends = {"open sequence": {0, len(data) - len(LEAF)}, "big endian": {0, 1}}.get(name, {0})  # 1: a zero
    for size in range(len(data)):
        if size in ends:
            continue
        with pytest.raises(MalformedDicom) as refusal:
            walk(data[:size], 0, encoding, Limits(5, 100, 100, 100))
        assert refusal.value.code == "truncated"


def test_zeros_at_the_end_are_padding():
    assert walk(LEAF + bytes(3), 0, EXPLICIT, Limits(5, 100, 100, 100)).end == len(LEAF)
    assert walk(LEAF + bytes(600), 0, EXPLICIT, Limits(5, 100, 100, 100)).end == len(LEAF)


BAD = {
    "zeros within": (LEAF + bytes(8) + LEAF, "structure_invalid"),
    "no element before pixel data": (LEAF + b"\xff" * 40, "structure_invalid"),
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
        walk(data, 0, EXPLICIT, Limits(5, 100, 100, 100))
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
    assert walk(data, 0, EXPLICIT, Limits(5, 100, 100, 100)).end == len(data)
    for _ in range(2000):
        data = nest(data)
    with pytest.raises(MalformedDicom) as refusal:
        walk(data, 0, EXPLICIT, Limits(5, 100_000, 100_000, 100))
    assert refusal.value.code == "too_deep"


def test_the_encoding_is_detected_from_the_first_element():
    assert encoding_of(LEAF, 0, None) == EXPLICIT
    assert encoding_of(LEAF, 0, IMPLICIT) == EXPLICIT
    assert encoding_of(implicit(0x00080060, b"DX"), 0, EXPLICIT) == IMPLICIT
    assert encoding_of(short(0x00080060, b"CS", b"DX", ">"), 0, None) == BIG


def test_file_meta_ends_where_group_2_does():
    meta = short(0x00020010, b"UI", b"1.2\0") + long(0x00020001, b"OB", b"\0\1")
    assert meta_ends(meta + LEAF, 0, 10) == (len(meta), len(meta))
    with pytest.raises(MalformedDicom) as refusal:
        meta_ends(meta * 10, 0, 10)
    assert refusal.value.code == "too_many_elements"


def test_a_second_file_meta_information_is_told_from_the_first():
    meta = long(0x00020001, b"OB", b"\0\1") + short(0x00020010, b"UI", b"1.2\0")
    again = short(0x00020010, b"UI", b"1.3\0")
    for second in (again, meta, again + again):
        assert meta_ends(meta + second + LEAF, 0, 10) == (len(meta), len(meta + second))


def test_the_byte_order_is_that_of_the_first_group():
    big = short(0x00080060, b"CS", b"DX", ">")
    assert encoding_of(big, 0, EXPLICIT) == BIG
    assert encoding_of(LEAF, 0, BIG) == EXPLICIT


# A VR that is none: the next element shows how long this one is...

PRIVATE = 0x00211001
MISSPELT = {
    "question marks": (short(PRIVATE, b"??", b"ABCD"), "LT"),
    "blanks": (short(PRIVATE, b"  ", b"ABCD"), "LT"),
    "small letters": (short(PRIVATE, b"us", b"\1\2"), "US"),
    "small letters of a long form": (long(PRIVATE, b"ob", b"ABCD"), "OB"),
    "of a known tag": (short(0x00280010, b"??", b"\1\2"), "US"),
    "of a known tag with a long form": (short(0x00281201, b"??", b"\1\2"), "LT"),
    "nothing in it": (short(PRIVATE, b"??", b""), "LT"),
}
AFTER = short(0x00400010, b"SH", b"A ")


@pytest.mark.parametrize("name", MISSPELT)
@pytest.mark.parametrize("after", [AFTER, b""])
def test_a_vr_that_is_none_is_corrected(name, after):
    element, vr = MISSPELT[name]
    result = walk(LEAF + element + after, 0, EXPLICIT, Limits(5, 100, 100, 100))
    assert result.end == len(LEAF + element + after)
    assert result.misspelt == {len(LEAF) + 4: vr.encode()}


def test_a_vr_that_is_none_is_corrected_in_an_item():
    inner = LEAF + MISSPELT["question marks"][0]
    for data in (
        open_sequence(0x00081140, open_item(inner)) + AFTER,
        long(0x00081140, b"SQ", item(inner) + item(inner + AFTER)) + AFTER,
    ):
        result = walk(data, 0, EXPLICIT, Limits(5, 100, 100, 100))
        assert result.end == len(data)
        assert {data[position : position + 2] for position in result.misspelt} == {b"??"}


def test_an_element_in_implicit_vr_is_read_as_one():
    """Its length of 16,191 bytes is in the same characters."""
    data = LEAF + implicit(PRIVATE, bytes(0x3F3F)) + AFTER
    assert walk(data, 0, EXPLICIT, Limits(5, 100, 100, 100)) == (len(data), {}, False)


# After the pixel data...

PIXELS = long(0x7FE00010, b"OW", b"1234")


@pytest.mark.parametrize("junk", [b"\n", b"\r\n--boundary--\r\n", b"\xff" * 40, LEAF * 3, b"\0\0\0\1" * 9])
def test_what_follows_the_pixel_data_and_is_no_element_is_trailing(junk):
    assert walk(LEAF + PIXELS + junk, 0, EXPLICIT, Limits(5, 100, 100, 100)) == (len(LEAF + PIXELS), {}, True)


def test_an_element_after_the_pixel_data_is_part_of_the_data_set():
    padding = long(0xFFFCFFFC, b"OB", bytes(20))
    data = LEAF + PIXELS + padding
    assert walk(data, 0, EXPLICIT, Limits(5, 100, 100, 100)) == (len(data), {}, False)
    with pytest.raises(MalformedDicom) as refusal:
        walk(data[:-3], 0, EXPLICIT, Limits(5, 100, 100, 100))
    assert refusal.value.code == "truncated"


def test_items_and_fragments_are_bounded_apart_from_elements():
    items = long(0x00081140, b"SQ", item(b"") * 11)
    fragments = long(0x7FE00010, b"OB", item(b"12") * 50, UNDEFINED) + implicit(0xFFFEE0DD, b"")
    assert walk(items + fragments, 0, EXPLICIT, Limits(5, 100, 11, 100)).end == len(items + fragments)
    assert walk(items + fragments, 0, EXPLICIT, Limits(5, 2, 11, 51)).end == len(items + fragments)
    for limits, what in (
        (Limits(5, 1, 11, 51), "1 data elements"),
        (Limits(5, 2, 10, 51), "10 items of sequences"),
        (Limits(5, 2, 11, 49), "49 fragments of pixel data"),
    ):
        with pytest.raises(MalformedDicom, match=f"^the file has more than {what}$") as refusal:
            walk(items + fragments, 0, EXPLICIT, limits)
        assert refusal.value.code == "too_many_elements"
