import struct

import pytest
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from service.dicom.codestream import Stream, describe, is_complete
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
    "frame", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", ramp(4, 4).tobytes()]
)
def test_bytes_that_are_no_stream_declare_nothing(frame):
    assert describe(frame) is None
    assert not is_complete(frame)


@pytest.mark.parametrize("tail", [b"\xff\xd9", b"\xff\xd9\0\0\0", b"\xff\xd9\xff\xff"])
def test_a_padded_stream_is_complete(tail):
    assert is_complete(b"data" + tail)
