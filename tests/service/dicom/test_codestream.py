import pytest
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from service.dicom.codestream import dimensions, is_complete
from tests.factories import chest, compressed_dataset, noise, ramp


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_dimensions_of_real_encoders(syntax):
    frame = get_frame(compressed_dataset(chest(noise(40, 60)), syntax).PixelData, 0, number_of_frames=1)
    assert dimensions(frame) == (40, 60)
    assert is_complete(frame)
    assert not is_complete(frame[: len(frame) // 2])


def test_dimensions_of_jpeg_by_hand():
    segment = b"\xff\xe0\x00\x04ab"  # APP0
    start_of_frame = b"\xff\xc1\x00\x0b\x0c\x01\x00\x02\x00\x01\x01\x11\x00"  # 256 rows, 512 columns
    assert dimensions(b"\xff\xd8" + segment + b"\xff" + start_of_frame) == (256, 512)
    assert dimensions(b"\xff\xd8" + segment) is None


@pytest.mark.parametrize(
    "frame", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", ramp(4, 4).tobytes()]
)
def test_a_stream_without_a_size_has_no_dimensions(frame):
    assert dimensions(frame) is None
    assert not is_complete(frame)


@pytest.mark.parametrize("tail", [b"\xff\xd9", b"\xff\xd9\0\0\0", b"\xff\xd9\xff\xff"])
def test_a_padded_stream_is_complete(tail):
    assert is_complete(b"data" + tail)
