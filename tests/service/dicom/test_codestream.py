import struct

import pytest
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from service.dicom.codestream import Stream, describe, has_all_steps, is_complete
from tests.factories import chest, compressed_dataset, noise, ramp


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_streams_of_real_encoders(syntax):
    frame = get_frame(compressed_dataset(chest(noise(40, 60)), syntax).PixelData, 0, number_of_frames=1)
    assert describe(frame) == Stream(40, 60, 1, 12, signed=False)
    assert is_complete(frame)
    assert not is_complete(frame[: len(frame) // 2])


def test_jpeg_by_hand():
    segment = b"\xff\xe0\x00\x04ab"  # APP0
    start_of_frame = b"\xff\xc1\x00\x0b\x0c\x01\x00\x02\x00\x01\x01\x11\x00"  # 256 rows, 512 columns
    assert describe(b"\xff\xd8" + segment + b"\xff" + start_of_frame) == Stream(256, 512, 1, 12, signed=False)
    assert describe(b"\xff\xd8" + segment) is None


def test_jpeg_2000_by_hand():
    """ITU-T T.800 A.5.1: a grid of 70 x 50 with the image from (10, 20), one component of 14 bits with a sign."""
    grid = struct.pack(">8L", 70, 50, 10, 20, 70, 50, 0, 0)
    stream = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + grid + b"\x00\x01\x8d\x01\x01"
    assert describe(b"a box" + stream) == Stream(30, 60, 1, 14, signed=True, start=5)


@pytest.mark.parametrize(
    ("tiles", "valid"),
    [
        ((70, 50, 0, 0), True),
        ((2**32 - 1, 2**32 - 1, 0, 0), True),
        ((10, 10, 10, 20), True),
        ((1, 1, 10, 20), True),
        ((1, 1, 9, 19), False),  # the first tile is before the image
        ((70, 50, 11, 0), False),  # it is after it
        ((248, 2**32 - 2, 2**32 - 1, 0), False),  # OpenJPH looped for minutes
        ((0, 50, 0, 0), False),
    ],
)
def test_the_first_tile_holds_the_origin_of_the_image(tiles, valid):
    """ITU-T T.800 B.3."""
    grid = struct.pack(">8L", 70, 50, 10, 20, *tiles)
    stream = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + grid + b"\x00\x01\x8d\x01\x01"

    assert (describe(stream) is not None) == valid


def test_an_image_has_at_most_65535_tiles():
    for side, valid in ((255, True), (256, False)):
        grid = struct.pack(">8L", side, side, 0, 0, 1, 1, 0, 0)
        stream = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + grid + b"\x00\x01\x07\x01\x01"
        assert (describe(stream) is not None) == valid


@pytest.mark.parametrize(
    "frame", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", ramp(4, 4).tobytes()]
)
def test_bytes_that_are_no_stream_declare_nothing(frame):
    assert describe(frame) is None
    assert not is_complete(frame)


@pytest.mark.parametrize("tail", [b"\xff\xd9", b"\xff\xd9\0\0\0", b"\xff\xd9\xff\xff"])
def test_a_padded_stream_is_complete(tail):
    assert is_complete(b"data" + tail)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def header(*segments: bytes) -> bytes:
    """Return a main header: SOC, SIZ, the segments, and the SOT of a tile part, after which nothing counts."""
    size = struct.pack(">H8LH3B", 0, 70, 50, 0, 0, 70, 50, 0, 0, 1, 7, 1, 1)
    return b"\xff\x4f" + segment(0x51, size) + b"".join(segments) + b"\xff\x90" + segment(0x5C, b"\x20" + bytes(99))


def cod(levels: int) -> bytes:
    """Return Scod, progression, layers, transformation of components, levels, code blocks, style, wavelet."""
    return segment(0x52, bytes([0, 2, 0, 1, 0, levels, 4, 4, 0, 1]))


@pytest.mark.parametrize(
    ("segments", "whole"),
    [
        ((cod(5), segment(0x5C, b"\x20" + bytes(16))), True),  # 3 x 5 + 1 steps of a byte
        ((cod(5), segment(0x5C, b"\x20" + bytes(15))), False),
        ((cod(5), segment(0x5C, b"\x20")), False),  # OpenJPH crashed
        ((cod(5), segment(0x5C, b"")), False),
        ((cod(5), segment(0x5C, b"\x42" + bytes(32))), True),  # steps of two bytes
        ((cod(5), segment(0x5C, b"\x42" + bytes(31))), False),
        ((cod(32), segment(0x5C, b"\x41" + bytes(2))), True),  # derived from one
        ((cod(32), segment(0x5C, b"\x41\0")), False),
        ((cod(0), segment(0x5C, b"\x20\0")), True),
        ((cod(33), segment(0x5C, b"\x20" + bytes(200))), False),
        ((cod(5), segment(0x5C, b"\x03" + bytes(200))), False),  # no such style
        ((cod(5),), False),
        ((segment(0x5C, b"\x20" + bytes(16)),), False),
        ((segment(0x52, b"\0"), segment(0x5C, b"\x20" + bytes(16))), False),
        # Those of the component
        ((cod(5), segment(0x53, b"\0\0\1\4\4\0\1"), segment(0x5C, b"\x20" + bytes(4))), True),
        ((cod(1), segment(0x53, b"\0\0\5\4\4\0\1"), segment(0x5C, b"\x20" + bytes(4))), False),
        ((cod(5), segment(0x5C, b"\x20"), segment(0x5D, b"\0\x20" + bytes(16))), True),
        ((cod(5), segment(0x5C, b"\x20" + bytes(16)), segment(0x5D, b"\0\x20")), False),
    ],
)
def test_a_stream_needs_a_quantisation_step_for_each_subband(segments, whole):
    assert has_all_steps(header(*segments)) == whole


def test_other_streams_and_broken_headers_do_not_matter():
    assert has_all_steps(b"\xff\xd8\xff")
    assert not has_all_steps(b"\xff\x4f\xff\x51" + bytes(50))
    assert not has_all_steps(b"\xff\x4f\xff\x51\0")
