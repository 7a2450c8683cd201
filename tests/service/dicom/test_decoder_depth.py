"""Code streams of another depth than Bits Stored: the precision of the stream counts, as for pydicom and GDCM."""

import shutil
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from service.dicom.decoder import decode, depth_flags
from service.dicom.radiograph import radiograph
from service.dicom.reader import read
from tests.factories import chest, compressed_dataset, encode, jpeg_baseline, noise, ramp
from tests.service.dicom.conformance.syntaxes import fragment, through

FLAG = ("bits_stored_wrong",)
ORACLES = {JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls"}
SYNTAXES = [*ORACLES, JPEGLosslessSV1]
needs_dcmtk = pytest.mark.skipif(shutil.which("dcmdjpeg") is None, reason="DCMTK is not installed")


def lossless(pixels: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits))


def extended(pixels: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, level=40, bitspersample=bits))


def htj2k(pixels: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels))


def file(pixels: np.ndarray, precision: int, syntax: str, **elements: int) -> bytes:
    """Return a file whose stream has `precision` bits, whatever the elements say."""
    if syntax in (JPEG2000Lossless, JPEGLSLossless):
        dataset = compressed_dataset(chest(pixels, BitsStored=precision), syntax)
    else:
        encoders = {JPEGLosslessSV1: lossless, JPEGExtended12Bit: extended, HTJ2KLossless: htj2k}
        words = pixels.view(np.uint16) & np.uint16((1 << precision) - 1)
        stream = encoders[syntax](words, precision)
        dataset = chest(pixels, BitsStored=precision, PixelData=encapsulate([stream]))
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    return encode(dataset, syntax)


def both(data: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    dataset = read(data)
    stored = decode(dataset)
    return stored, depth_flags(stored, dataset)


def by_others(data: bytes) -> np.ndarray:
    """Decode with pydicom, and JPEG with DCMTK."""
    dataset = dcmread(BytesIO(data))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in ORACLES:
        return through("dcmdjpeg")(data)
    return get_decoder(syntax).as_array(dataset, raw=True, decoding_plugin=ORACLES[syntax])[0]


@needs_dcmtk
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("precision", "stored"), [(14, 12), (16, 12), (13, 8), (16, 15)])
def test_a_deeper_stream_keeps_its_values_and_is_flagged(syntax: str, precision: int, stored: int) -> None:
    pixels = noise(64, 64, precision)

    data = file(pixels, precision, syntax, BitsStored=stored)

    values, flags = both(data)

    assert np.array_equal(values, pixels)
    assert flags == FLAG
    assert np.array_equal(by_others(data), pixels)


@pytest.mark.parametrize("syntax", [*SYNTAXES, HTJ2KLossless])
def test_a_deeper_stream_with_values_of_bits_stored_is_as_it_should_be(syntax: str) -> None:
    """DCMTK compresses 12 bits as JPEG lossless of 16."""
    values, flags = both(file(noise(64, 64, 12), 16, syntax, BitsStored=12))

    assert np.array_equal(values, noise(64, 64, 12))
    assert flags == ()


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("signed", [False, True])
def test_a_shallower_stream_gives_its_values(syntax: str, signed: bool) -> None:
    pixels = (noise(64, 64, 10).astype(np.int32) - 512).astype(np.int16) if signed else noise(64, 64, 10)

    values, flags = both(file(pixels, 10, syntax, BitsStored=12))

    assert np.array_equal(values, pixels)
    assert flags == ()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_sign_is_where_the_stream_has_it(syntax: str) -> None:
    pixels = (noise(64, 64, 14).astype(np.int32) - 8192).astype(np.int16)

    values, flags = both(file(pixels, 14, syntax, BitsStored=12))

    assert np.array_equal(values, pixels)
    assert flags == FLAG


def test_values_with_a_sign_that_fit_in_bits_stored() -> None:
    """The words of the stream are extended to its 16 bits, or end at Bits Stored; both are the same values."""
    pixels = (noise(64, 64, 12).astype(np.int32) - 2048).astype(np.int16)
    for words in (pixels, (pixels & 0x0FFF).astype(np.int16)):
        values, flags = both(file(words, 16, JPEGLosslessSV1, BitsStored=12))
        assert np.array_equal(values, pixels)
        assert flags == ()


def test_an_overlay_in_the_upper_bits_is_removed() -> None:
    pixels = ramp(64, 64)
    data = file((pixels | 0x5000).astype(np.uint16), 16, JPEGLosslessSV1, BitsStored=12)
    dataset = read(data)
    dataset.add_new(0x60000102, "US", 12)  # Overlay Bit Position

    assert np.array_equal(decode(dataset), pixels)


def test_a_stream_deeper_than_bits_allocated() -> None:
    values, flags = both(file(noise(64, 64, 12), 12, JPEG2000Lossless, BitsAllocated=8, BitsStored=8))

    assert np.array_equal(values, noise(64, 64, 12))
    assert flags == FLAG


def test_a_stream_of_more_than_16_bits_is_corrupt() -> None:
    stream = bytes(imagecodecs.jpeg2k_encode(np.arange(4096, dtype=np.uint32).reshape(64, 64), codecformat="j2k"))
    dataset = read(file(noise(64, 64), 12, JPEG2000Lossless))
    dataset.PixelData = encapsulate([stream])
    with pytest.raises(Exception, match="PixelData") as refusal:
        decode(dataset)
    assert refusal.value.code == "pixel_data_corrupt"


def test_jpeg_of_8_bits_under_16_bits_allocated() -> None:
    data = jpeg_baseline(ramp(64, 64, 8), BitsAllocated=16)
    alike = jpeg_baseline(ramp(64, 64, 8))

    assert read(data).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    values, flags = both(data)
    assert values.dtype == np.uint16
    assert np.array_equal(values, decode(read(alike)))
    assert flags == ()


# Lossy streams...


def edges(high: int) -> np.ndarray:
    """Return stripes of 0 and `high`: at low quality their edges overshoot."""
    return np.where(np.arange(64) // 5 % 2, np.uint16(high), np.uint16(0))[None].repeat(64, 0)


def test_overshoot_of_a_lossy_stream_is_clipped() -> None:
    data = file(edges(1023), 12, JPEGExtended12Bit, BitsStored=10)
    assert imagecodecs.jpeg8_decode(fragment(data)).max() > 1023

    values, flags = both(data)

    assert (values.min(), values.max(), flags) == (0, 1023, ())


def test_a_deeper_lossy_stream_keeps_its_values_and_is_flagged() -> None:
    values, flags = both(file(ramp(64, 64), 12, JPEGExtended12Bit, BitsStored=10))

    assert np.abs(values.astype(int) - ramp(64, 64)).max() < 400
    assert values.max() > 3900
    assert flags == FLAG


# The whole path...


def test_the_picture_of_a_deeper_stream_is_that_of_the_true_header() -> None:
    window = {"WindowCenter": 8192, "WindowWidth": 16384}
    wrong = file(noise(512, 512, 14), 14, JPEG2000Lossless, BitsStored=12, **window)
    right = file(noise(512, 512, 14), 14, JPEG2000Lossless, **window)

    assert radiograph(wrong).header.flags == FLAG
    assert radiograph(right).header.flags == ()
    assert radiograph(wrong).header.display_sha256 == radiograph(right).header.display_sha256


def test_8_bits_stored_are_not_shown_as_they_are_where_the_stream_is_deeper() -> None:
    data = file(noise(512, 512, 12), 12, JPEG2000Lossless, BitsStored=8, WindowCenter=None, WindowWidth=None)

    shown = radiograph(data)

    assert shown.header.flags == (*FLAG, "window_missing")
    assert np.unique(shown.values).size == 4096
