import pytest

from service.dicom.jpeg_extended import decode_jpeg_extended


def test_bytes_that_are_no_jpeg_are_refused():
    with pytest.raises(ValueError, match="reshape"):
        decode_jpeg_extended(b"\xff\xd8nothing\xff\xd9", 16, 16, 12)
