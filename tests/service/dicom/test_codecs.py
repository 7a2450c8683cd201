import struct
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGLossless

from service.dicom.codecs import decode_htj2k, decode_jpeg, decode_rle
from tests.factories import chest, encode, noise, ramp


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


@pytest.mark.parametrize("cut", [0.25, 0.5, 0.9])
def test_an_htj2k_image_is_decoded_to_its_end_or_not_at_all(cut: float) -> None:
    """imagecodecs returns an image whose rest is black where OpenJPH fails in the middle of it."""
    stream = bytes(imagecodecs.htj2k_encode(ramp(), reversible=True))
    assert np.array_equal(decode_htj2k(stream), ramp())

    middle = int(cut * len(stream))
    for length in range(1, 60):
        try:
            values = decode_htj2k(stream[:middle] + b"\xff" * length + stream[middle + length :])
        except Exception:  # as `decode` expects
            continue
        assert not (values[-32:] == 0).all()
