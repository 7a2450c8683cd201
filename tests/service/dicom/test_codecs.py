import struct
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGLossless

from service.dicom.codecs import decode_jpeg, decode_rle
from tests.factories import chest, encode, noise


def rle(*planes: bytes) -> bytes:
    """Return a frame of literal runs, PS3.5 G.3; each plane has at most 128 bytes."""
    segments = [bytes([len(plane) - 1]) + plane for plane in planes]
    starts = [64 + sum(map(len, segments[:place])) for place in range(len(segments))]
    return struct.pack("<16L", len(segments), *starts, *[0] * (15 - len(starts))) + b"".join(segments)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", range(2, 17))
def test_lossless_jpeg_of_every_precision_and_predictor(bits: int, predictor: int) -> None:
    pixels = noise(17, 23, bits)
    stream = bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits))

    assert np.array_equal(decode_jpeg(stream), pixels)
    if bits >= 8:  # GDCM fails on fewer
        assert np.array_equal(by_gdcm(stream, bits), pixels)


def by_gdcm(stream: bytes, bits: int) -> np.ndarray:
    dataset = chest(noise(17, 23, bits), BitsStored=bits, PixelData=encapsulate([stream]))
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    read = dcmread(BytesIO(encode(dataset, JPEGLossless)))
    return get_decoder(JPEGLossless).as_array(read, raw=True, decoding_plugin="gdcm")[0]


def test_rle_by_hand() -> None:
    assert decode_rle(rle(b"\x01\x02\x03"), 3, 8).tolist() == [1, 2, 3]
    assert decode_rle(rle(b"\x01\x02\x03", b"\xaa\xbb\xcc"), 3, 16).tolist() == [0x01AA, 0x02BB, 0x03CC]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        rle(b"\x01\x02"),  # too few
        rle(b"\x01\x02\x03"),  # one plane of two
        rle(b"\x01\x02\x03\x04\x05\x06\x07", b"\xaa\xbb\xcc"),
        struct.pack("<16L", 2, 64, 2**31, *[0] * 13) + b"\x00\x00",
    ],
    ids=range(5),
)
def test_broken_rle_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_rle(frame, 3, 16)


def test_a_panic_of_the_rle_decoder_is_an_ordinary_error() -> None:
    """In Python a panic of Rust is a BaseException, which would end the decoder process."""
    with pytest.raises(ValueError, match="panicked"):
        decode_rle(rle(b"\x01\x02\x03", b"\xaa\xbb\xcc\xdd"), 3, 16)
