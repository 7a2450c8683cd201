"""Frames as they are encoded in a file, PS3.18 10.4.1.1.6."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from service.dicom.elements import binary, integer
from service.dicom.reader import NATIVE, Bounds, read
from service.errors import MalformedDicom, NotFound


@dataclass(frozen=True)
class Frames:
    """Encoded frames. Native ones are always in Explicit VR Little Endian, whatever the byte order of the file."""

    contents: tuple[bytes, ...]
    transfer_syntax: str


def frames(data: bytes, bounds: Bounds, numbers: Sequence[int]) -> Frames:
    """Return frames by their numbers, from 1.

    Raises
    ------
    NotFound
        `no_such_frame`.
    MalformedDicom, TooLarge
    """
    dataset = read(data, bounds)
    count = integer(dataset, "NumberOfFrames", 1)
    if not all(1 <= number <= count for number in numbers):
        raise NotFound(f"frame number must be 1 to {count}", "no_such_frame")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        return Frames(tuple(_native(dataset, number, count) for number in numbers), ExplicitVRLittleEndian)
    encoded = tuple(generate_frames(binary(dataset, "PixelData"), number_of_frames=count))
    if len(encoded) < count:
        raise MalformedDicom("(7FE0,0010) PixelData has fewer frames than NumberOfFrames states", "truncated")
    return Frames(tuple(encoded[number - 1] for number in numbers), str(syntax))


def _native(dataset: Dataset, number: int, count: int) -> bytes:
    pixels = integer(dataset, "Rows") * integer(dataset, "Columns") * integer(dataset, "SamplesPerPixel", 1)
    allocated = integer(dataset, "BitsAllocated")
    if allocated not in (8, 16, 32) and count > 1:
        raise MalformedDicom(
            "(0028,0100) BitsAllocated must be 8, 16 or 32 where there are several frames", "value_invalid"
        )
    size = (pixels * allocated + 7) // 8
    values = binary(dataset, "PixelData")
    # PS3.5 A.3: words are swapped, including those that hold two 8-bit pixels
    if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and dataset["PixelData"].VR == "OW":
        values = np.frombuffer(values, ">u2").astype("<u2").tobytes()
    return values[(number - 1) * size : number * size]
