import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.dicom.frames import frames
from service.dicom.reader import Bounds
from service.errors import NotFound
from tests.factories import chest, encode, ramp


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("bits", [8, 12])
def test_native_pixels_are_little_endian_however_the_file_has_them(syntax: str, bits: int) -> None:
    pixels = ramp(bits=bits)

    found = frames(encode(chest(pixels), syntax), Bounds(), [1])

    assert found.transfer_syntax == ExplicitVRLittleEndian
    assert found.contents == (pixels.astype("<u2" if bits > 8 else "u1").tobytes(),)


def test_words_of_two_pixels_are_swapped_too() -> None:
    """PS3.5 A.3: pixels of 8 bits in OW lie in words of 16."""
    pixels = ramp(bits=8)
    dataset = chest(pixels)
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].value = pixels.ravel().view("<u2").byteswap().tobytes()

    found = frames(encode(dataset, ExplicitVRBigEndian), Bounds(), [1])

    assert np.array_equal(np.frombuffer(found.contents[0], np.uint8), pixels.ravel())


def test_no_such_frame() -> None:
    with pytest.raises(NotFound):
        frames(encode(chest(ramp())), Bounds(), [2])
