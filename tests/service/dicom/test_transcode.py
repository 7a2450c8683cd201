"""Files in another transfer syntax, read by pydicom, GDCM and DCMTK."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from service.dicom.frames import frames, native_frames
from service.dicom.reader import Bounds
from service.dicom.transcode import compressed as compress
from service.dicom.transcode import native
from service.errors import NotFound, TriageError, UnsupportedEncoding
from tests.factories import chest, compressed, encode, jpeg_baseline, noise, ramp

UNCOMPRESSED = [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
COMPRESSED = [RLELossless, JPEGLSLossless, JPEG2000Lossless]
ABOUT_PIXELS = {"PixelData", "BitsAllocated", "BitsStored", "HighBit"}


def header(data: bytes) -> Dataset:
    dataset = dcmread(BytesIO(data))
    for keyword in ABOUT_PIXELS:
        dataset.pop(keyword, None)
    return dataset


# Into Explicit VR Little Endian...


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, *COMPRESSED])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_native_has_the_same_pixels_and_header(syntax: str, bits: int) -> None:
    dataset = chest(noise(33, 47, bits), LossyImageCompression="00")
    data = compressed(dataset, syntax) if syntax in COMPRESSED else encode(dataset, syntax)

    result = native(data, Bounds())

    read = dcmread(BytesIO(result))
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert ("OB" if bits == 8 and syntax != ImplicitVRLittleEndian else "OW") == read["PixelData"].VR
    assert (read.BitsAllocated, read.BitsStored) == (8 if bits == 8 else 16, bits)
    assert np.array_equal(read.pixel_array, noise(33, 47, bits))
    assert header(result) == header(encode(dataset))


def test_signed_pixels() -> None:
    pixels = (noise(33, 47).astype(np.int32) - 2048).astype(np.int16)

    read = dcmread(BytesIO(native(compressed(chest(pixels, BitsStored=12), JPEG2000Lossless), Bounds())))

    assert read.PixelRepresentation == 1
    assert np.array_equal(read.pixel_array, pixels)


def test_an_explicit_file_stays_as_it_is() -> None:
    data = encode(chest(ramp(8, 8)))
    assert native(data, Bounds()) is data


def test_a_file_that_is_written_in_another_encoding_than_it_declares_is_corrected() -> None:
    implicit = encode(chest(ramp(8, 8)), ImplicitVRLittleEndian)
    wrong = implicit.replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0", 1)
    wrong = wrong.replace(b"\x02\0\x10\0UI\x12\0", b"\x02\0\x10\0UI\x14\0", 1)

    assert np.array_equal(dcmread(BytesIO(native(wrong, Bounds()))).pixel_array, ramp(8, 8))


def test_bits_above_bits_stored_survive_rle() -> None:
    """An overlay may lie there."""
    pixels = (ramp(8, 9, 12) | 0xA000).astype(np.uint16)

    read = dcmread(BytesIO(native(compressed(chest(pixels, BitsStored=12), RLELossless), Bounds())))

    assert read.BitsStored == 12
    assert read.PixelData == pixels.tobytes()


def test_the_marks_of_a_lossy_image_are_kept() -> None:
    data = jpeg_baseline(
        ramp(16, 16, 8),
        LossyImageCompression="01",
        LossyImageCompressionRatio=9,
        LossyImageCompressionMethod="ISO_10918_1",
    )

    read = dcmread(BytesIO(native(data, Bounds())))

    assert (read.LossyImageCompression, read.LossyImageCompressionRatio) == ("01", 9)
    assert read.LossyImageCompressionMethod == "ISO_10918_1"


def test_a_compressed_icon_is_left_out_and_a_native_one_kept() -> None:
    for value, fragments in ((encapsulate([b"\xff\xd8\xff\xd9"]), True), (bytes(4), False)):
        icon = chest(ramp(2, 2, 8))
        icon.add_new("PixelData", "OB", value)
        icon["PixelData"].is_undefined_length = fragments
        data = compressed(chest(ramp(8, 8)), RLELossless)
        dataset = dcmread(BytesIO(data))
        dataset.IconImageSequence = [icon]
        stream = BytesIO()
        dataset.save_as(stream)

        read = dcmread(BytesIO(native(stream.getvalue(), Bounds())))

        assert ("IconImageSequence" in read) is not fragments


def test_a_file_without_pixels_is_converted_too() -> None:
    dataset = chest(ramp(8, 8), PixelData=None)
    assert header(native(encode(dataset, ImplicitVRLittleEndian), Bounds())) == header(encode(dataset))


def test_several_compressed_frames_are_unsupported() -> None:
    data = compressed(chest(np.concatenate([ramp(8, 8), ramp(8, 8)]), Rows=8, NumberOfFrames=2), RLELossless)
    for function in (lambda: native(data, Bounds()), lambda: native_frames(data, Bounds(), [1])):
        with pytest.raises(UnsupportedEncoding):
            function()


# Frames...


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, *COMPRESSED])
def test_decoded_frames(syntax: str) -> None:
    dataset = chest(noise(33, 47))
    data = compressed(dataset, syntax) if syntax in COMPRESSED else encode(dataset, syntax)

    result = native_frames(data, Bounds(), [1, 1])

    assert result.transfer_syntax == ExplicitVRLittleEndian
    assert result.contents == (noise(33, 47).tobytes(),) * 2
    with pytest.raises(NotFound):
        native_frames(data, Bounds(), [2])


def test_frames_of_a_multi_frame_object_are_cut() -> None:
    data = encode(chest(np.concatenate([ramp(8, 8), noise(8, 8)]), Rows=8, NumberOfFrames=2))
    assert native_frames(data, Bounds(), [2]).contents == (noise(8, 8).tobytes(),)


# Compressed...


def colour(planar: int = 0) -> tuple[Dataset, np.ndarray]:
    pixels = noise(7, 15, 8).reshape(7, 5, 3)
    stored = pixels.transpose(2, 0, 1) if planar else pixels
    dataset = chest(
        pixels[:, :, 0],
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=planar,
        PresentationLUTShape=None,
        PixelData=stored.tobytes() + b"\0",
    )
    dataset["PixelData"].VR = "OB"
    return dataset, pixels


def several() -> tuple[Dataset, np.ndarray]:
    pixels = noise(21, 5, 8).reshape(3, 7, 5)
    return chest(pixels.reshape(21, 5), Rows=7, NumberOfFrames=3), pixels


IMAGES = {"grey": (chest(noise(7, 5, 8)), noise(7, 5, 8)), "rgb": colour(), "planes": colour(1), "frames": several()}
PLUGINS = {RLELossless: ("pydicom", "pylibjpeg"), JPEGLSLossless: ("pyjpegls", "gdcm")}
BINARY = chest(ramp(8, 8, 8), BitsAllocated=1, BitsStored=1, HighBit=0)
DCMTK = {RLELossless: "dcmdrle", JPEGLSLossless: "dcmdjpls"}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("syntax", PLUGINS)
def test_compressed_images_are_read_by_others(syntax: str, image: str) -> None:
    dataset, pixels = IMAGES[image]

    result = compress(encode(dataset), Bounds(), syntax)

    read = dcmread(BytesIO(result))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert len(tuple(generate_frames(read.PixelData, number_of_frames=3 if image == "frames" else 1))) in (1, 3)
    for plugin in PLUGINS[syntax]:
        values, _ = get_decoder(syntax).as_array(read, raw=True, decoding_plugin=plugin)
        assert np.array_equal(values, pixels), plugin
    assert len(frames(result, Bounds(), [1]).contents) == 1


@pytest.mark.skipif(not all(map(shutil.which, DCMTK.values())), reason="DCMTK is not installed")
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("syntax", DCMTK)
def test_compressed_images_are_read_by_dcmtk(syntax: str, image: str, tmp_path: Path) -> None:
    dataset, pixels = IMAGES[image]
    source, target = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(compress(encode(dataset), Bounds(), syntax))

    subprocess.run([DCMTK[syntax], source, target], check=True, capture_output=True, timeout=60)

    read = dcmread(target)
    assert np.array_equal(read.pixel_array, pixels)


def test_the_header_stays() -> None:
    dataset, _ = several()
    assert header(compress(encode(dataset), Bounds(), RLELossless)) == header(encode(dataset))


@pytest.mark.parametrize(
    ("data", "syntax", "code"),
    [
        (encode(chest(ramp(8, 8, 12))), RLELossless, "pixel_format_unsupported"),
        (
            encode(chest(ramp(8, 8, 8), BitsAllocated=1, BitsStored=1, HighBit=0)),
            RLELossless,
            "pixel_format_unsupported",
        ),
        (compressed(chest(ramp(8, 8, 8)), RLELossless), JPEGLSLossless, "pixel_format_unsupported"),
        (encode(chest(ramp(8, 8, 8))), JPEGLSNearLossless, "transfer_syntax_unsupported"),
        (encode(chest(ramp(8, 8, 8), SamplesPerPixel=3)), RLELossless, "truncated"),
    ],
)
def test_what_cannot_be_compressed_is_refused(data: bytes, syntax: str, code: str) -> None:
    with pytest.raises(TriageError) as refusal:
        compress(data, Bounds(), syntax)
    assert refusal.value.code == code
