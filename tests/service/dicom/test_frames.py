import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.dicom.frames import frames
from service.dicom.reader import Bounds
from service.errors import NotFound
from tests.factories import chest, encode, ramp


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("bits", [8, 12])
def test_native_pixels_are_little_endian_whatever_the_file(syntax: str, bits: int) -> None:
    pixels = ramp(bits=bits)

    result = frames(encode(chest(pixels), syntax), Bounds(), [1])

    assert result.transfer_syntax == ExplicitVRLittleEndian
    assert result.contents == (pixels.astype("<u2" if bits > 8 else "u1").tobytes(),)


def test_words_of_two_pixels_are_swapped() -> None:
    """PS3.5 A.3: pixels of 8 bits in OW lie in words of 16."""
    pixels = ramp(bits=8)
    dataset = chest(pixels)
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].value = pixels.ravel().view("<u2").byteswap().tobytes()

    result = frames(encode(dataset, ExplicitVRBigEndian), Bounds(), [1])

    assert np.array_equal(np.frombuffer(result.contents[0], np.uint8), pixels.ravel())


def test_a_frame_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        frames(encode(chest(ramp())), Bounds(), [2])
