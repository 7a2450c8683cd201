"""A file in another transfer syntax: decoded for those that decode nothing, or compressed without loss."""

from collections.abc import Callable

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from rle.rle import encode_frame

from service.dicom.codecs import decode_rle
from service.dicom.decoder import decode, depth_flags, stream_of
from service.dicom.elements import frame_count, integer
from service.dicom.explicit import part10_explicit
from service.dicom.fragments import encoded_frames, native_pixels
from service.dicom.reader import NATIVE, Bounds, parse_encoded, read
from service.errors import MalformedDicom, UnsupportedEncoding


def native(data: bytes, bounds: Bounds) -> bytes:
    """Return the Part 10 file in Explicit VR Little Endian; every attribute but those of pixel data keeps its bytes.

    Parameters
    ----------
    data
        A file in any supported transfer syntax, with or without pixel data. A compressed one has one greyscale frame.

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding
    """
    dataset = parse_encoded(data, bounds)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == ExplicitVRLittleEndian and dataset.original_encoding == (False, True) and data[128:132] == b"DICM":
        return data
    if "PixelData" in dataset and syntax not in NATIVE:
        _decode_pixels(dataset, read(data, bounds))
    elif "PixelData" in dataset and syntax == ExplicitVRBigEndian:
        _set_pixels(dataset, native_pixels(dataset), dataset["PixelData"].VR, fragments=False)
    return part10_explicit(dataset, ExplicitVRLittleEndian)


def compressed(data: bytes, bounds: Bounds, transfer_syntax: str) -> bytes:
    """Return the Part 10 file of an uncompressed image of 8 bits, grey or RGB, as RLE or JPEG-LS without loss.

    Raises
    ------
    UnsupportedEncoding
        `pixel_format_unsupported`: another image. Of one bit, few programs read RLE, and none JPEG-LS.
        `transfer_syntax_unsupported`.
    MalformedDicom, TooLarge
    """
    if transfer_syntax not in _ENCODERS:
        raise UnsupportedEncoding("frames can be compressed as RLE or JPEG-LS Lossless", "transfer_syntax_unsupported")
    source = read(data, bounds)
    samples = integer(source, "SamplesPerPixel", 1)
    if (
        source.file_meta.TransferSyntaxUID not in NATIVE
        or integer(source, "BitsAllocated") != 8
        or samples not in (1, 3)
    ):
        raise UnsupportedEncoding("only an uncompressed image of 8 bits can be compressed", "pixel_format_unsupported")
    shape = (frame_count(source), integer(source, "Rows"), integer(source, "Columns"), samples)
    values = native_pixels(source)
    if len(values) < np.prod(shape):
        raise MalformedDicom("(7FE0,0010) PixelData is shorter than Rows x Columns x frames", "truncated")
    pixels = np.frombuffer(values, np.uint8, int(np.prod(shape)))
    if samples == 3 and integer(source, "PlanarConfiguration", 0):
        frames = pixels.reshape(shape[0], 3, *shape[1:3]).transpose(0, 2, 3, 1)
    else:
        frames = pixels.reshape(shape)
    dataset = parse_encoded(data, bounds)
    _set_pixels(dataset, encapsulate([_ENCODERS[transfer_syntax](frame) for frame in frames]), "OB", fragments=True)
    if samples == 3:
        dataset.PlanarConfiguration = int(transfer_syntax == RLELossless)  # RLE is by plane, PS3.5 G.2
    return part10_explicit(dataset, transfer_syntax)


def _rle(frame: NDArray[np.uint8]) -> bytes:
    rows, columns, samples = frame.shape
    return bytes(encode_frame(frame.tobytes(), rows, columns, samples, 8, "<"))


def _jpeg_ls(frame: NDArray[np.uint8]) -> bytes:
    values = np.ascontiguousarray(frame if frame.shape[2] == 3 else frame[:, :, 0])
    return bytes(imagecodecs.jpegls_encode(values, level=0))


_ENCODERS: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {str(RLELossless): _rle, str(JPEGLSLossless): _jpeg_ls}


def _decode_pixels(dataset: Dataset, source: Dataset) -> None:
    """Put the decoded frame of `source` into `dataset`, with the attributes that describe it."""
    if frame_count(source) > 1:
        raise UnsupportedEncoding(
            "(0028,0008) NumberOfFrames must be 1 in a compressed image", "pixel_format_unsupported"
        )
    values = decode(source)
    if source.file_meta.TransferSyntaxUID == RLELossless:  # the words may hold more than stored values
        bits = integer(source, "BitsAllocated")
        words = decode_rle(encoded_frames(source)[0], values.size, bits)
        _set_pixels(dataset, words.tobytes(), "OB" if bits == 8 else "OW", fragments=False)
    else:
        little = values.astype(values.dtype.newbyteorder("<"))
        _set_pixels(dataset, little.tobytes(), "OB" if values.itemsize == 1 else "OW", fragments=False)
        deeper = bool(depth_flags(values, source))
        dataset.BitsAllocated = 8 * values.itemsize
        dataset.BitsStored = stream_of(source)[1].precision if deeper else integer(source, "BitsStored")
        dataset.HighBit = dataset.BitsStored - 1
    _remove_compressed_icon(dataset)


def _set_pixels(dataset: Dataset, value: bytes, vr: str, fragments: bool) -> None:
    dataset.add_new("PixelData", vr, value + b"\0" * (len(value) % 2))
    dataset["PixelData"].is_undefined_length = fragments
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        dataset.pop(keyword, None)


def _remove_compressed_icon(dataset: Dataset) -> None:
    """An icon in fragments has no place in an uncompressed transfer syntax."""
    icons = dataset.get("IconImageSequence") or ()
    if any("PixelData" in icon and icon["PixelData"].is_undefined_length for icon in icons):
        del dataset.IconImageSequence
