import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from service.dicom.decoder import decode
from service.dicom.reader import read
from service.errors import MalformedDicom, UnsupportedEncoding
from tests.factories import chest, compressed, dicom_bytes, encode, jpeg_baseline, noise, ramp

NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, "1.2.840.10008.1.2.1.99"]
LOSSLESS = [RLELossless, JPEGLSLossless, JPEG2000Lossless]
IMAGES = {
    "8 bits": ramp(33, 47, 8),
    "10 bits": noise(33, 48, 10),
    "12 bits": noise(33, 47, 12),
    "16 bits": noise(33, 47, 16),
}
SIGNED = (noise(33, 47, 12).astype(np.int32) - 2048).astype(np.int16)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=lambda uid: str(getattr(uid, "name", uid)))
def test_every_lossless_syntax_gives_the_same_values(syntax, image):
    dataset = chest(IMAGES[image])
    data = compressed(dataset, syntax) if syntax in LOSSLESS else encode(dataset, syntax)
    assert np.array_equal(decode(read(data)), IMAGES[image])


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEG2000Lossless], ids=lambda uid: str(uid))
def test_signed_values(syntax):
    dataset = chest(SIGNED, BitsStored=12)
    data = encode(dataset, syntax) if syntax in NATIVE else compressed(dataset, syntax)
    assert np.array_equal(decode(read(data)), SIGNED)


def test_near_lossless():
    data = compressed(chest(noise(40, 40, 8)), JPEGLSNearLossless, error=3)
    difference = decode(read(data)).astype(int) - noise(40, 40, 8)
    assert 0 < np.abs(difference).max() <= 3


def test_jpeg_baseline():
    smooth = ramp(64, 64, 8)
    difference = decode(read(jpeg_baseline(smooth))).astype(int) - smooth
    assert np.abs(difference).max() <= 8


def test_a_multi_frame_object_gives_its_first_frame():
    frames = np.concatenate([ramp(8, 8), noise(8, 8)])
    data = dicom_bytes(frames, Rows=8, NumberOfFrames=2)
    assert np.array_equal(decode(read(data)), ramp(8, 8))


# Bits...


def test_overlay_bits_are_masked():
    pixels = ramp(8, 8, 12)
    dirty = (pixels | 0xA000).astype(np.uint16)
    assert np.array_equal(decode(read(dicom_bytes(dirty, BitsStored=12))), pixels)


def test_a_high_bit_above_bits_stored_shifts_the_values():
    pixels = ramp(8, 8, 12)
    data = dicom_bytes((pixels << 4).astype(np.uint16), BitsStored=12, HighBit=15)
    assert np.array_equal(decode(read(data)), pixels)


def test_signed_values_of_fewer_bits_are_extended():
    dirty = (SIGNED.view(np.uint16) & 0x0FFF | 0x5000).view(np.int16)  # an overlay in place of the sign's copies
    assert np.array_equal(decode(read(dicom_bytes(dirty, BitsStored=12))), SIGNED)


# Refusals...


@pytest.mark.parametrize(
    "syntax",
    [
        "1.2.840.10008.1.2.4.100",  # MPEG2
        "1.2.840.10008.1.2.4.110",  # JPEG XL
        "1.2.840.10008.1.2.4.94",  # JPIP
        "1.2.3.4",
    ],
)
def test_other_syntaxes_are_unsupported(syntax):
    dataset = read(compressed(chest(ramp(8, 8)), RLELossless))
    dataset.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(UnsupportedEncoding) as refusal:
        decode(dataset)
    assert refusal.value.code == "transfer_syntax_unsupported"


@pytest.mark.parametrize(
    "elements", [{"BitsAllocated": 12}, {"SamplesPerPixel": 3}, {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}]
)
def test_other_pixel_formats_are_unsupported(elements):
    with pytest.raises(UnsupportedEncoding) as refusal:
        decode(read(dicom_bytes(ramp(8, 8), **elements)))
    assert refusal.value.code == "pixel_format_unsupported"


@pytest.mark.parametrize(
    "elements", [{"BitsStored": 0, "HighBit": 0}, {"BitsStored": 17}, {"HighBit": 16}, {"PixelRepresentation": 2}]
)
def test_inconsistent_pixel_formats_are_refused(elements):
    with pytest.raises(MalformedDicom) as refusal:
        decode(read(dicom_bytes(ramp(8, 8), **elements)))
    assert refusal.value.code == "value_invalid"


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_garbage_in_a_fragment_is_corrupt(syntax):
    dataset = read(compressed(chest(ramp(64, 64)), syntax))
    dataset.PixelData = encapsulate([b"\xff\xd8 garbage that is no image \xff\xd9"])
    with pytest.raises(MalformedDicom) as refusal:
        decode(dataset)
    assert refusal.value.code == "pixel_data_corrupt"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_truncated_stream_in_a_whole_file_is_corrupt(syntax):
    dataset = read(compressed(chest(noise(64, 64)), syntax))
    dataset.PixelData = encapsulate([dataset.PixelData[16:-200]])
    with pytest.raises(MalformedDicom) as refusal:
        decode(dataset)
    assert refusal.value.code == "pixel_data_corrupt"


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_an_image_of_another_size_than_declared_is_corrupt(syntax):
    dataset = read(compressed(chest(ramp(64, 64)), syntax))
    dataset.Rows = 128
    with pytest.raises(MalformedDicom) as refusal:
        decode(dataset)
    assert refusal.value.code == "pixel_data_corrupt"


def test_compressed_data_declared_native_is_corrupt_and_the_reverse():
    for syntax, other in ((RLELossless, ExplicitVRLittleEndian), (JPEG2000Lossless, JPEGLSLossless)):
        dataset = read(compressed(chest(noise(64, 64, 8)), syntax))
        dataset.file_meta.TransferSyntaxUID = other
        with pytest.raises(MalformedDicom):
            decode(dataset)
    dataset = read(dicom_bytes(ramp(64, 64)))
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    with pytest.raises(MalformedDicom):
        decode(dataset)
