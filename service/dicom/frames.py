"""Frames of an image, as they are encoded in a file or decoded, PS3.18 10.4.1.1.6."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from service.dicom.decoder import decode
from service.dicom.elements import frame_count, integer
from service.dicom.fragments import encoded_frames, native_pixels
from service.dicom.reader import NATIVE, Bounds, part10, read
from service.dicom.transcode import compressed
from service.errors import MalformedDicom, NotFound, UnsupportedEncoding

_NATIVE = str(ExplicitVRLittleEndian)  # a plain one: it is the answer of a decoder process


@dataclass(frozen=True)
class Frames:
    """Encoded frames. Native ones are always in Explicit VR Little Endian, whatever the byte order of the file."""

    contents: tuple[bytes, ...]
    transfer_syntax: str


def frames(data: bytes, bounds: Bounds, numbers: Sequence[int]) -> Frames:
    """Return frames by their numbers, from 1, as they are encoded; all frames without a number.

    Raises
    ------
    NotFound
        `no_such_frame`.
    MalformedDicom, TooLarge
    """
    dataset, numbers = _checked(data, bounds, numbers)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        return _native(dataset, numbers)
    encoded = encoded_frames(dataset)
    if len(encoded) < frame_count(dataset):
        raise MalformedDicom("(7FE0,0010) PixelData has fewer frames than NumberOfFrames states", "truncated")
    return Frames(tuple(encoded[number - 1] for number in numbers), str(syntax))


def native_frames(data: bytes, bounds: Bounds, numbers: Sequence[int]) -> Frames:
    """Return frames by their numbers, from 1, decoded, as in Explicit VR Little Endian.

    Raises
    ------
    NotFound
        `no_such_frame`.
    MalformedDicom, TooLarge, UnsupportedEncoding
    """
    dataset, numbers = _checked(data, bounds, numbers)
    if dataset.file_meta.TransferSyntaxUID in NATIVE:
        return _native(dataset, numbers)
    if frame_count(dataset) > 1:
        raise UnsupportedEncoding(
            "(0028,0008) NumberOfFrames must be 1 in a compressed image", "pixel_format_unsupported"
        )
    values = decode(dataset)
    return Frames((values.astype(values.dtype.newbyteorder("<")).tobytes(),) * len(numbers), _NATIVE)


def frames_in(data: bytes, bounds: Bounds, numbers: Sequence[int], transfer_syntax: str) -> Frames:
    """Return frames in a transfer syntax: that of the file, Explicit VR Little Endian, or one of `compressed`.

    Raises
    ------
    As `frames`, `native_frames` and `compressed`.
    """
    if transfer_syntax == ExplicitVRLittleEndian:
        return native_frames(data, bounds, numbers)
    if transfer_syntax != part10(data, bounds).transfer_syntax:
        data = compressed(data, bounds, transfer_syntax)
    return frames(data, bounds, numbers)


def _checked(data: bytes, bounds: Bounds, numbers: Sequence[int]) -> tuple[Dataset, Sequence[int]]:
    dataset = read(data, bounds)
    count = frame_count(dataset)
    if not all(1 <= number <= count for number in numbers):
        raise NotFound(f"frame number must be 1 to {count}", "no_such_frame")
    return dataset, numbers or range(1, count + 1)


def _native(dataset: Dataset, numbers: Sequence[int]) -> Frames:
    pixels = integer(dataset, "Rows") * integer(dataset, "Columns") * integer(dataset, "SamplesPerPixel", 1)
    allocated = integer(dataset, "BitsAllocated")
    values = native_pixels(dataset)
    if allocated == 1:  # a frame may begin inside a byte, PS3.5 8.1.1
        bits = np.unpackbits(np.frombuffer(values, np.uint8), bitorder="little")
        frames = (bits[(number - 1) * pixels : number * pixels] for number in numbers)
        packed = tuple(np.packbits(frame, bitorder="little").tobytes() for frame in frames)
        return Frames(packed, _NATIVE)
    if allocated not in (8, 16, 32) and frame_count(dataset) > 1:
        raise MalformedDicom(
            "(0028,0100) BitsAllocated must be 1, 8, 16 or 32 where there are several frames", "value_invalid"
        )
    size = (pixels * allocated + 7) // 8
    return Frames(tuple(values[(number - 1) * size : number * size] for number in numbers), _NATIVE)
