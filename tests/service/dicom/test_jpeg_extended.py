import pytest

from service.dicom.jpeg_extended import decode_jpeg_extended


def test_what_is_no_jpeg_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        decode_jpeg_extended(b"\xff\xd8nothing\xff\xd9", 16, 16, 12)
