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


def test_frames_of_one_bit_begin_at_a_byte() -> None:
    """Frames of 3 x 3 bits follow one another without padding, PS3.5 8.1.1."""
    masks = np.array([[1, 0, 1, 0, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0, 0, 1, 0]], np.uint8)
    packed = np.packbits(masks.ravel(), bitorder="little").tobytes()
    dataset = chest(np.zeros((3, 3), np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames=2)
    dataset.PixelData = packed + b"\0"

    result = frames(encode(dataset), Bounds(), [1, 2])

    unpacked = [np.unpackbits(np.frombuffer(frame, np.uint8), count=9, bitorder="little") for frame in result.contents]
    np.testing.assert_array_equal(unpacked, masks)
    assert [len(frame) for frame in result.contents] == [2, 2]


def test_no_number_means_all_frames() -> None:
    dataset = chest(ramp(4, 4, 8), NumberOfFrames=3)
    dataset.PixelData = bytes(range(48))

    assert frames(encode(dataset), Bounds(), []).contents == frames(encode(dataset), Bounds(), [1, 2, 3]).contents
    assert frames(encode(dataset), Bounds(), [3]).contents == (bytes(range(32, 48)),)
